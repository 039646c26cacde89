/* A checkpoint: everything from which a job goes on, in global order, whatever mesh wrote it.
 *
 * It is taken between chunks, or before an iteration that computes: then what TeaCache keeps, residuals and previous
 * signals, is made anew by that very iteration and need not be written. Tens of megabytes at 14B.
 *
 *     /latents/video         float32 [C, finished frames, h, w]          the video so far
 *     /latents/x m0 m1 last  float32 [C, frames, h, w]                   of the chunk at hand: latents, solver's history
 *     /hashes/<array>        uint64 [blocks]                             XXH3 of every MiB (checkpoint_checksums.h)
 *     /chunks                int64 [begun, 6]                            index, first frame, frames, prefix, end, kept
 *     /solver                int64 [frames, 3]                           where each frame's solver stands (schedule.h)
 *     /random/noise addnoise uint32 [624]                                both random streams (noise.h)
 *     /teacache/...          as in the output, all calls of the job
 *     attributes             job, fingerprint, chunk, iteration, ...     and the counters of the report
 *
 * Writing it: a skeleton with everything that is small is made in memory-backed files and its room reserved on the disk
 * before a byte of the arrays is written, for HDF5 on a full disk crashes or hangs; each rank writes whole channels as
 * hyperslabs of its own; what was written is read back, hashed and flushed by every rank; only then it is renamed.
 *
 *     REEL_TRY(reel_checkpoint_write(comm, &folder, &checkpoint, &written), "saving");
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

/* What is small and of fixed size. A value without pointers. */
struct reel_checkpoint_metadata {
    int64_t generation;       /* of its name */
    int64_t chunk, iteration; /* what comes next: chunk, and the row of its matrix */
    int64_t begun;            /* chunks whose noise is drawn */
    int64_t chunk_frames;     /* of the chunk at hand, end frames included; 0: it has not begun */
    int64_t finished_frames;  /* latent frames of the video */
    int64_t complete;
    int64_t channels, rows, columns; /* of latents */
    int64_t calls_made;              /* of the table's calls */
    int64_t call_count, saving_count;
    int64_t ranks;
    struct reel_mesh mesh;                 /* that wrote it */
    uint64_t weights;                      /* hash of all weights */
    int64_t done, attempts;                /* iterations; how often the job was started */
    int64_t skipped_iterations;            /* of the chunk at hand */
    double seconds;                        /* of all iterations so far */
    double chunk_seconds, skipped_seconds; /* of the chunk at hand */
    int64_t saved_at;                      /* seconds since 1970 */
    struct reel_noise noise, addnoise;
};

/* Latents of every rank: [channels, room_frames, rows, columns] in memory, of which the first `frames` of every channel. */
struct reel_checkpoint_array {
    const char *name; /* "video" */
    float *values;
    int64_t frames, room_frames;
};

enum { REEL_GEMM_ALGORITHMS_BYTES = 1 << 14 }; /* of their text, at most */

struct reel_checkpoint {
    struct reel_checkpoint_metadata metadata;
    struct reel_chunk *chunks;        /* [begun] */
    struct reel_solver_state *solver; /* [chunk_frames] */
    struct reel_call *calls;          /* [call_count] */
    struct reel_saving *savings;      /* [saving_count] */
    char *job, *fingerprint;
    char *
        algorithms; /* how GEMMs were chosen on a GPU (gpu.h); NULL or "" where there was nothing to choose */
    struct reel_checkpoint_array arrays[REEL_CHECKPOINT_ARRAYS];
    int64_t array_count;
};

/* What writing was. */
struct reel_written {
    char file[REEL_CHECKPOINT_PATH_BYTES];
    int64_t bytes;
    double seconds;
};

/* Collective over world. Writes the checkpoint as the newest of the folder, which is rank 0's and locked; of
 * checkpoint only head, array_count and arrays matter elsewhere. REEL_BAD_OUTPUT, the same on every rank; what was there
 * before is untouched and nothing stays aside. */
enum reel_status reel_checkpoint_write(struct reel_comm *comm, const struct reel_checkpoint_directory *folder,
                                       struct reel_checkpoint *checkpoint, struct reel_written *written);

/* Collective over world. Checks every byte of the file, each rank a share. REEL_BAD_INPUT, the same on every rank, with
 * what is damaged; *foreign is 1 when it is the whole checkpoint of another version. */
enum reel_status reel_checkpoint_verify(struct reel_comm *comm, const char *path, int *foreign);

/* Not collective. Reads all but the arrays of a file that was verified; free with reel_checkpoint_free. REEL_BAD_INPUT,
 * REEL_NO_MEMORY. */
enum reel_status reel_checkpoint_read(const char *path, struct reel_checkpoint *checkpoint);

/* Collective over world. Reads the arrays, whose memory, frames and room are set, and checks in memory what it read. */
enum reel_status reel_checkpoint_read_arrays(struct reel_comm *comm, const char *path,
                                             const struct reel_checkpoint *checkpoint);

/* Not collective. Whether what the arrays hold in memory is what the file holds: the share of one of so many ranks.
 * REEL_BAD_INPUT where it is not. */
enum reel_status reel_checkpoint_compare_arrays(const char *path, const struct reel_checkpoint *checkpoint,
                                                int64_t rank, int64_t ranks);

/* Not collective. Frees what was read; zeros are allowed. The memory of arrays is the caller's. */
void reel_checkpoint_free(struct reel_checkpoint *checkpoint);

#endif
