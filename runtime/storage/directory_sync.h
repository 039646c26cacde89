/* Making a rename durable: it survives a crash once its folder has reached the disk. */
#ifndef REEL_DIRECTORY_SYNC_H
#define REEL_DIRECTORY_SYNC_H

/* Not collective. Waits until renames in the folder at path have reached the disk. Returns 0, or -1 with
 * errno. */
int reel_directory_sync(const char *path);

#endif
