/* HDF5's settings of a process. */
#include "storage.h"

#include <hdf5.h>
#include <stdlib.h>

void reel_storage_start(void)
{
    /* Files are renamed when they are complete, so HDF5's locks, which some file systems lack, would protect
     * nothing. */
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
    H5dont_atexit();
}
