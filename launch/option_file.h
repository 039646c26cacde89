/* Checks of the files that a command's options name for writing, before the work begins. Not collective. */
#ifndef REEL_OPTION_FILE_H
#define REEL_OPTION_FILE_H

#include "status.h"

/* REEL_BAD_JOB unless the path has that ending and fits into REEL_PATH_BYTES. The ending keeps the command
 * from replacing a file that was named by mistake. */
enum reel_status reel_option_ending(const char *option, const char *path, const char *ending);

/* REEL_BAD_JOB if no file can be created in the path's folder, or if the path is something else than a
 * regular file. */
enum reel_status reel_option_writable(const char *option, const char *path);

#endif
