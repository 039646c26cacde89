/* Files that a command is told to write: what can be wrong with them is said before the work begins. Not
 * collective. */
#ifndef REEL_OPTION_FILE_H
#define REEL_OPTION_FILE_H

#include "status.h"

/* REEL_BAD_JOB unless the path has that ending, which keeps what is written from replacing a file that was
 * named by mistake, and fits into REEL_PATH_BYTES. */
enum reel_status reel_option_ending(const char *option, const char *path, const char *ending);

/* REEL_BAD_JOB where no file can be made in its folder, or something else than a file is there. */
enum reel_status reel_option_writable(const char *option, const char *path);

#endif
