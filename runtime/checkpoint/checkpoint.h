/* A checkpoint: everything that a job needs to resume, in global order, so that any mesh can read it.
 *
 * A checkpoint is taken between chunks, or before an iteration that computes the blocks. Such an iteration
 * makes TeaCache's residuals and previous signals anew, so the checkpoint need not contain them. Its size
 * depends on the latents alone. Within a chunk of 97 frames at 544x960 the arrays of the chunk have 52 MB, of
 * 121 frames at 720x1280 they have 114 MB; a finished latent frame of the video has 0.5 or 0.9 MB.
 *
 *     /latents/video         float32 [C, finished, h, w]   the video so far
 *     /latents/x m0 m1 last  float32 [C, frames, h, w]     current chunk: latents, solver's history
 *     /hashes/<array>        uint64 [blocks]               XXH3 of every MiB (checkpoint_checksums.h)
 *     /chunks                int64 [begun, 6]              index, first frame, frames, prefix, end, kept
 *     /solver                int64 [frames, 3]             the solver state of each frame (solver.h)
 *     /random/noise addnoise uint32 [624]                  both random streams (noise.h)
 *     /teacache/...          as in the output, all calls of the job
 *     attributes             job, fingerprint, chunk, iteration, ..., and the counters of the report
 *
 * How it is written (checkpoint_write_hdf5.c):
 *
 *     1. Every rank hashes a share of the arrays in memory.
 *     2. Rank 0 builds a skeleton, the HDF5 file without the values of the arrays, in /dev/shm, because HDF5
 *        crashes or hangs on a full disk.
 *     3. Rank 0 creates a temporary file, reserves room on the disk for the whole checkpoint, copies the
 *        skeleton to it, and writes the checksums at its beginning.
 *     4. Each rank writes whole channels of the arrays, as hyperslabs of its own.
 *     5. Every rank reads a share of the file back, compares it with the hashes of step 1, and calls fsync.
 *     6. Rank 0 checks that the directory's lock file is still its own, renames the temporary file to its
 *        final name, and flushes the directory (reel_checkpoint_directory_commit).
 *
 * The ranks agree after steps 1, 3, 4, 5 and 6. After a failure the temporary file is removed, and the older
 * checkpoints are as they were.
 *
 *     REEL_TRY(reel_checkpoint_write(comm, &directory, &checkpoint, &written), "saving");
 */
#ifndef REEL_CHECKPOINT_H
#define REEL_CHECKPOINT_H

#include "chunk.h"
#include "comm.h"
#include "checkpoint_directory.h"
#include "timeline.h"
#include "noise.h"
#include "solver.h"
#include "checkpoint_checksums.h"

enum { REEL_CHECKPOINT_ARRAYS = 5 };

/* The members of fixed size, and the sizes of all others. A value without pointers. */
struct reel_checkpoint_metadata {
    int64_t generation;              /* the number in the file's name */
    int64_t chunk, iteration;        /* the next to run: chunk, and row of its timestep matrix */
    int64_t begun;                   /* chunks whose noise is drawn */
    int64_t chunk_frames;            /* of the current chunk, end frames included; 0: it has not begun */
    int64_t finished_frames;         /* latent frames of the video */
    int64_t complete;                /* 1: the whole video is finished */
    int64_t channels, rows, columns; /* of the latents */
    int64_t calls_made;              /* calls of the job's table of calls that have run */
    int64_t call_count, saving_count;
    int64_t ranks;
    struct reel_mesh mesh;                 /* the mesh that wrote the checkpoint */
    uint64_t weights;                      /* hash of all weights */
    int64_t done, attempts;                /* iterations done; attempts so far (sampler.h) */
    int64_t skipped_iterations;            /* of the current chunk */
    double seconds;                        /* of all iterations so far */
    double chunk_seconds, skipped_seconds; /* of the current chunk */
    int64_t saved_at;                      /* seconds since 1970 */
    struct reel_noise noise, addnoise;
};

/* Latents, which every rank holds whole: [channels, room_frames, rows, columns] in memory. The checkpoint
 * contains the first `frames` frames of every channel. */
struct reel_checkpoint_array {
    const char *name; /* "video" */
    float *values;
    int64_t frames, room_frames;
};

enum { REEL_GEMM_ALGORITHMS_BYTES = 1 << 14 }; /* max bytes of their text */

struct reel_checkpoint {
    struct reel_checkpoint_metadata metadata;
    struct reel_chunk *chunks;        /* [begun] */
    struct reel_solver_state *solver; /* [chunk_frames] */
    struct reel_call *calls;          /* [call_count] */
    struct reel_saving *savings;      /* [saving_count] */
    char *job, *fingerprint;
    /* Which GEMM algorithms were chosen on a GPU (kernels/gpu.h); NULL or "" when there were none. */
    char *algorithms;
    struct reel_checkpoint_array arrays[REEL_CHECKPOINT_ARRAYS];
    int64_t array_count;
};

/* The result of writing a checkpoint. */
struct reel_written {
    char file[REEL_CHECKPOINT_PATH_BYTES];
    int64_t bytes;
    double seconds;
};

/* Collective over world. Writes the checkpoint as the newest of the checkpoint directory, which rank 0 has
 * locked. On other ranks only metadata, array_count and arrays of the checkpoint are read. REEL_BAD_OUTPUT,
 * the same on every rank; then older checkpoints are untouched and no temporary file is left. */
enum reel_status reel_checkpoint_write(struct reel_comm *comm,
                                       const struct reel_checkpoint_directory *directory,
                                       struct reel_checkpoint *checkpoint, struct reel_written *written);

/* Collective over world. Checks every byte of the file; each rank checks a share. REEL_BAD_INPUT, the same on
 * every rank, naming what is damaged. *foreign is 1 when the file is an undamaged checkpoint of another
 * format version. */
enum reel_status reel_checkpoint_verify(struct reel_comm *comm, const char *path, int *foreign);

/* Not collective. Reads everything except the arrays, from a file that reel_checkpoint_verify has accepted.
 * The caller frees the checkpoint with reel_checkpoint_free. REEL_BAD_INPUT, REEL_NO_MEMORY. */
enum reel_status reel_checkpoint_read(const char *path, struct reel_checkpoint *checkpoint);

/* Collective over world. Reads the arrays, and checks their values in memory against the hashes. The caller
 * has set values, frames and room_frames of each array. Errors as reel_checkpoint_transfer_arrays and
 * reel_checkpoint_compare_arrays, the same on every rank. */
enum reel_status reel_checkpoint_read_arrays(struct reel_comm *comm, const char *path,
                                             const struct reel_checkpoint *checkpoint);

/* Not collective. Compares the arrays in memory with the hashes in the file: the share of blocks that belongs
 * to `rank` of `ranks` ranks. REEL_BAD_INPUT when they differ. */
enum reel_status reel_checkpoint_compare_arrays(const char *path, const struct reel_checkpoint *checkpoint,
                                                int64_t rank, int64_t ranks);

/* Not collective. Frees what was read; a checkpoint of zeros is allowed. The memory of the arrays stays the
 * caller's. */
void reel_checkpoint_free(struct reel_checkpoint *checkpoint);

#endif
