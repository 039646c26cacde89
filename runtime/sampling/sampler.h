/* The sampler: everything that a running job holds, and the steps that make its video.
 *
 *     struct reel_sampler sampler;
 *     REEL_PASS(reel_sampler_open(&sampler, &job, &start, &comm, &observer));   plan, memory, weights
 *     status = reel_sample_run(&sampler);                                       every chunk, every iteration
 *     reel_sampler_close(&sampler);
 *
 * Latents are small (13 MB for 97 frames at 544x960): every rank holds them whole and makes the same solver
 * steps on them.
 *
 * An attempt is one start of the job, on all its ranks. A job that is preempted takes several attempts; each
 * resumes from the checkpoint of the one before.
 *
 * The functions are in sampler.c, unless their comment begins with another file. */
#ifndef REEL_SAMPLER_H
#define REEL_SAMPLER_H

#include "arena.h"
#include "checkpoint.h"
#include "choose.h"
#include "chunk.h"
#include "comm.h"
#include "dit.h"
#include "event.h"
#include "inputs.h"
#include "job.h"
#include "model_file.h"
#include "timeline.h"
#include "output.h"
#include "device.h"
#include "noise.h"
#include "solver.h"
#include "teacache.h"
#include "time_embedding.h"
#include "timesteps.h"
#include "weights.h"

/* The chunk that is being sampled. */
struct reel_chunk_state {
    const struct reel_chunk *chunk;
    const struct reel_timesteps *matrix;
    int64_t frames;                   /* end frames included */
    struct reel_solver_state *solver; /* [frames] */
    int64_t *timesteps;               /* [frames] the current iteration's timesteps, for the model */
    float *addnoise;                  /* [iterations, C, prefix frames, h, w] from a noise file, or NULL */
    float *measured; /* [branches, C, frames, h, w] the observer's host copy of a device's velocities */
    double seconds;  /* of its iterations so far */
    int64_t skipped_iterations;
    double skipped_seconds;            /* of the skipped iterations */
    struct reel_noise addnoise_before; /* at the start of the iteration; restored if it is cancelled */
    /* An earlier attempt had the previous TeaCache signal, so that no distance to it can be measured. */
    int signal_is_lost;
};

/* How an attempt starts. */
struct reel_start {
    const char *profile;   /* the file for the profile (profile.c), the same on every rank; NULL: none */
    int64_t profile_spans; /* max spans that a rank records; 0: 131,072 */
    const char *job_text;  /* the effective job, YAML */
    int fresh;             /* start over: do not resume from a checkpoint */
    const struct reel_device *device; /* where the ranks compute; NULL: on the CPU, in fp32 */
    int device_from_job;              /* 1: the job's settings choose the device instead */
};

/* The checkpoint that a run resumes from. */
struct reel_resume {
    struct reel_checkpoint_directory folder; /* on rank 0, locked */
    int found;                               /* 1: `saved` is a checkpoint of this job, read from `file` */
    char file[REEL_CHECKPOINT_PATH_BYTES];
    /* Generations in (first, last] are damaged, or belong to a job that was started over. They are removed
     * once another checkpoint is saved. */
    int64_t obsolete_first, obsolete_last;
    struct reel_checkpoint saved; /* its texts are on rank 0 only */
    int grown;                    /* the job's video is longer than the checkpoint's */
    char *fingerprint;            /* of this job; on rank 0 */
};

/* What decides when a run saves and when it stops. */
struct reel_preempt {
    int64_t since_save;       /* iterations since the last checkpoint */
    int64_t chunk, iteration; /* of the last checkpoint; -1: none */
    double iteration_seconds; /* of the last computed iteration; 0: not known */
    double save_seconds;      /* of the last checkpoint; 0: none was saved */
    double began;             /* seconds from the start of the attempt to its first iteration */
    int cancelled;            /* 1: the current iteration was cancelled, on every rank */
    double iteration_began;
    /* Seconds by which the iteration would end too late, on this rank and over all; asked is the
     * allreduce. */
    double excess, max_excess;
    MPI_Request asked;
};

/* Which iteration is profiled, and its clocks. */
struct reel_profile {
    const char *file;           /* "": none. The same on every rank; rank 0 writes it */
    int64_t max_spans;          /* of a rank */
    int64_t call;               /* index of the iteration's first call; -1: not chosen yet */
    int on_device;              /* 1: the device records events, so that its work is timed */
    int64_t ahead_ns, trip_ns;  /* rank 0's clock minus this rank's; the round trip that measured it */
    int64_t began_ns, ended_ns; /* began by rank 0's clock, ended by this rank's */
};

struct reel_sampler {
    const struct reel_job *job;
    const char *job_text;
    struct reel_comm *comm;
    struct reel_observer observer;

    struct reel_model_files model_files;
    struct reel_inputs inputs;
    struct reel_timeline timeline;

    struct reel_plan plan;
    int64_t libraries_bytes; /* memory that libraries may take in addition to the plan */
    struct reel_device device;
    int device_from_job;        /* as in reel_start */
    const struct reel_ops *ops; /* the device's */
    struct reel_arena arena;
    struct reel_stream stream;
    /* Host copies of the chunk's latents, where the host cannot read the device's memory. */
    float *views[REEL_CHECKPOINT_ARRAYS];
    struct reel_weights weights;
    struct reel_time_embedding embedding;
    struct reel_dit dit;

    struct reel_noise noise, addnoise;
    struct reel_chunk_state now;
    struct reel_teacache_rule teacache;
    struct reel_teacache_range range;
    struct reel_resume resume;
    struct reel_preempt preempt;
    struct reel_profile profile;
    char algorithms[REEL_GEMM_ALGORITHMS_BYTES]; /* used by the GEMMs so far, as text */
    uint64_t weights_hash;
    int fresh;                   /* --fresh: the job starts over */
    int nothing_to_do;           /* the job and its output are complete already */
    int loaded;                  /* the weights are loaded; a complete job needs none */
    int prompted;                /* this attempt has embedded the current prompts */
    int64_t attempts;            /* the number of attempts so far, this one included */
    int64_t call_count;          /* how many of the timeline's calls were made so far */
    int64_t done;                /* iterations run so far, in all attempts */
    int64_t timed;               /* iterations run in this attempt */
    double earlier_seconds;      /* of the iterations of earlier attempts */
    struct reel_saving *savings; /* TeaCache's savings, for every chunk and branch, in order */
    int64_t saving_count;        /* of the finished chunks */
    int64_t finished_frames;
    double began, step_seconds; /* when the sampler was opened; the sum of this attempt's iterations */
};

/* Collective over world. Reads and checks everything that a job names, including the checkpoints that it may
 * resume from, before any weight is read. Then plans, allocates, loads the weights, makes the table of time
 * embeddings and restores the checkpoint. On failure nothing stays open, and every rank has the same error.
 * All arguments but `start` must outlive the sampler, and so must the texts that `start` points to. */
enum reel_status reel_sampler_open(struct reel_sampler *sampler, const struct reel_job *job,
                                   const struct reel_start *start, struct reel_comm *comm,
                                   const struct reel_observer *observer);

/* Not collective, except for comm's communicators. A sampler of zeros is allowed. */
void reel_sampler_close(struct reel_sampler *sampler);

/* sample.c. Collective over world. Runs the job to its end, or until a preemption notice or the job's time
 * limit stops it: then it saves a checkpoint and returns REEL_PREEMPTED. */
enum reel_status reel_sample_run(struct reel_sampler *sampler);

/* sample.c; begin is in chunk_latents.c. The steps of reel_sample_run, for callers that do something between
 * them. All collective over world.
 *
 *     begin     sets chunk k's noise, prefix, end frames and prompts, or the state of a checkpoint that was
 *               saved inside chunk k
 *     iterate   samples one row of the timestep matrix; *ran is 0 if the row's mask is empty, so that nothing
 *               was done, or if the iteration was cancelled
 *     end       copies the finished frames to the video, saves a checkpoint and writes the output
 */
enum reel_status reel_chunk_begin(struct reel_sampler *sampler, int64_t k);
enum reel_status reel_chunk_iterate(struct reel_sampler *sampler, int64_t row, int *ran);
enum reel_status reel_chunk_end(struct reel_sampler *sampler);

/* chunk_latents.c. Not collective. Frees the memory of the current chunk; zeros are allowed. */
void reel_chunk_free(struct reel_sampler *sampler);

/* resume_compare.c. Not collective; on rank 0. Compares the job file and the model's sizes with the
 * checkpoint's, before inputs are read, and sets resume.grown. REEL_BAD_INPUT where they differ. */
enum reel_status reel_resume_compare_job(struct reel_sampler *sampler);

/* resume.c, resume_compare.c. All collective over world, in this order:
 *
 *     find      locks the checkpoint directory and reads the metadata of the newest whole checkpoint; the
 *               timeline is then made after the chunks that this checkpoint has begun
 *     compare   once the timeline is made: makes the job's fingerprint, checks that the checkpoint is of this
 *               job, and sets the timeline's first call
 *     decide    replaces the decided calls of the chunks that have begun by the saved ones
 *     restore   once the weights are read: reads the saved arrays into the arena and restores the counters
 *
 * Without a checkpoint compare only makes the fingerprint, and decide and restore do nothing. */
enum reel_status reel_resume_find(struct reel_sampler *sampler, int fresh);
enum reel_status reel_resume_compare(struct reel_sampler *sampler);
enum reel_status reel_resume_decide(struct reel_sampler *sampler);
enum reel_status reel_resume_restore(struct reel_sampler *sampler);
void reel_resume_close(struct reel_resume *resume);

/* resume_compare.c. Not collective. Called after the attempt's first iteration: rank 0 logs a warning if a
 * GEMM uses another algorithm than before the resume; other ranks return at once. */
void reel_resume_compare_algorithms(struct reel_sampler *sampler);

/* resume.c. Not collective; on rank 0. Whether model.path differs from the checkpoint's. */
int reel_resume_is_elsewhere(const struct reel_sampler *sampler);

/* resume.c. Not collective. Whether the checkpoint was saved inside chunk k, so that chunk k resumes
 * there. */
int reel_resume_is_within(const struct reel_sampler *sampler, int64_t k);

/* preempt.c. All collective over world.
 *
 *     before       called before a row: saves a checkpoint if one is due; after a notice, or if the time
 *                  limit leaves no time for the row, saves one and returns REEL_PREEMPTED
 *     save_chunk   saves a finished chunk
 *     after        called after a chunk: stops the run for the same reasons as before
 *     begin, end   enclose an iteration, whose inputs carry the value that begin returns: the transformer
 *                  then asks before every block whether to cancel the iteration
 */
enum reel_status reel_preempt_before(struct reel_sampler *sampler, int64_t row);
enum reel_status reel_preempt_save_chunk(struct reel_sampler *sampler);
enum reel_status reel_preempt_after(struct reel_sampler *sampler);
struct reel_cancel reel_preempt_begin(struct reel_sampler *sampler);
void reel_preempt_end(struct reel_sampler *sampler);

/* profile.c. profile_of: not collective; the profile that `start` asks for. before and after, collective over
 * world, enclose an iteration. If it is the one to profile, before starts the recording and after writes the
 * file. That is the second iteration that this attempt computes, or the first where there is only one. If a
 * profile fails, rank 0 logs it and the run continues, unless the ranks cannot communicate. */
struct reel_profile reel_profile_of(const struct reel_start *start);
enum reel_status reel_profile_before(struct reel_sampler *sampler, int64_t row);
enum reel_status reel_profile_after(struct reel_sampler *sampler, int64_t row, int ran);

/* profile.c. Not collective. Logs that no profile was written, if one was asked for and no iteration was left
 * to compute. */
void reel_profile_end(const struct reel_sampler *sampler);

/* preempt.c. Not collective. Sets the checkpoint's arrays to those that its metadata implies, in memory that
 * the host can read: the arena, or host copies of it (views). REEL_NO_MEMORY. fetch copies from the device to
 * the views, store from the views to the device; both return the stream's status. */
enum reel_status reel_sampler_arrays(struct reel_sampler *sampler, struct reel_checkpoint *checkpoint);
enum reel_status reel_sampler_fetch(struct reel_sampler *sampler, const struct reel_checkpoint *checkpoint);
enum reel_status reel_sampler_store(struct reel_sampler *sampler, const struct reel_checkpoint *checkpoint);

/* preempt.c. Not collective. Frees view `array`, if it exists. */
void reel_sampler_free_view(struct reel_sampler *sampler, int64_t array);

/* report.c. Collective over world. Rank 0 writes output.latents with the frames finished so far. */
enum reel_status reel_sampler_output(struct reel_sampler *sampler);

/* report.c. Not collective. The first of this rank's branches: it computes
 * [first, first + reel_plan_branches). */
int64_t reel_sampler_first_branch(const struct reel_sampler *sampler);

/* report.c. Collective over world. Gathers on rank 0 how much memory every rank held and how many bytes it
 * sent; rank 0 reports it to the observer in REEL_EVENT_DONE. */
enum reel_status reel_sampler_report(struct reel_sampler *sampler);

/* report.c. Not collective. The bytes that this rank sends, by the plan, from the attempt's first iteration
 * to the end of the job: iterations, prompts, image. */
void reel_sampler_traffic(const struct reel_sampler *sampler, int64_t bytes[REEL_TRAFFIC_CLASSES]);

/* Collective over world. Waits for the stream, then agrees on one status for all ranks, from this rank's
 * status and the stream's. It waits after a failure, too, because peers wait for the exchanges that were
 * issued before it. */
enum reel_status reel_sampler_agree(struct reel_sampler *sampler, enum reel_status status);

/* Not collective. Gives the event to the observer, on rank 0 only. */
void reel_sampler_tell(const struct reel_sampler *sampler, const struct reel_event *event);

/* Not collective. Gives the observer a REEL_EVENT_NOTE with that text, on rank 0 only. */
void reel_sampler_note(const struct reel_sampler *sampler, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Not collective. Seconds of a clock that only goes forward. */
double reel_seconds(void);

#endif
