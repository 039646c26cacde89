/* A rename lasts once its folder has reached the disk. */
#ifndef REEL_DIRECTORY_SYNC_H
#define REEL_DIRECTORY_SYNC_H

/* Not collective. Lets what was renamed in a folder reach the disk. 0, or -1 with errno. */
int reel_directory_sync(const char *path);

#endif
