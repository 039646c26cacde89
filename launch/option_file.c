/* Checks of files named on the command line. */
#include "option_file.h"

#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum reel_status reel_option_ending(const char *option, const char *path, const char *ending)
{
    size_t length = strlen(path), bytes = strlen(ending);
    REEL_NEED(length > bytes && length < REEL_PATH_BYTES && strcmp(path + length - bytes, ending) == 0,
              REEL_BAD_JOB, "%s is %s, expected a file that ends in %s", option, path, ending);
    return REEL_OK;
}

enum reel_status reel_option_writable(const char *option, const char *path)
{
    char aside[REEL_PATH_BYTES + 32];
    struct stat there;
    REEL_NEED(lstat(path, &there) != 0 || S_ISREG(there.st_mode), REEL_BAD_JOB,
              "%s is %s, which is no regular file, expected a regular file, which is replaced, or none",
              option, path);
    snprintf(aside, sizeof aside, "%s.%lld.tmp", path, (long long)getpid());
    int file = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    REEL_NEED(file >= 0, REEL_BAD_JOB, "%s is %s, which could not be written: %s", option, path,
              strerror(errno));
    close(file);
    unlink(aside);
    return REEL_OK;
}
