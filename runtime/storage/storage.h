/* The settings that the storage libraries need once, before any file is opened. */
#ifndef REEL_STORAGE_H
#define REEL_STORAGE_H

/* Not collective; called before MPI starts. Turns off HDF5's file locks and its handler at the end of the
 * process. */
void reel_storage_start(void);

#endif
