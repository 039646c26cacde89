/* fsync of a folder. */
#include "directory_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int reel_directory_sync(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    int done = fsync(folder), trouble = errno;
    close(folder);
    errno = trouble;
    return done == 0 || trouble == EINVAL ? 0 : -1; /* EINVAL: the file system has no sync of folders */
}
