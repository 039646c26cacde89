/* What the storage libraries need once, before any file is opened. */
#ifndef REEL_STORAGE_H
#define REEL_STORAGE_H

/* Not collective; before MPI starts. HDF5 leaves locks and the end of the process alone. */
void reel_storage_start(void);

#endif
