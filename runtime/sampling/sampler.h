/* A job in the making: everything that a run holds, and the steps that it takes.
 *
 *     struct reel_sampler sampler;
 *     REEL_PASS(reel_sampler_open(&sampler, &job, &start, &comm, &observer));    plan, memory, weights, embedding
 *     status = reel_sample_run(&sampler);                                  every chunk, every iteration
 *     reel_sampler_close(&sampler);
 *
 * Latents are small (13 MB for 97 frames at 544x960): every rank holds them whole and steps them alike. */
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

/* What the chunk at hand looks like while it is made. */
struct reel_chunk_state {
    const struct reel_chunk *chunk;
    const struct reel_timesteps *matrix;
    int64_t frames;                   /* end frames included */
    struct reel_solver_state *solver; /* [frames] */
    int64_t *timesteps;               /* [frames] what the model hears in an iteration */
    float *addnoise;                  /* [iterations, C, prefix frames, h, w] of a noise file, or NULL */
    float *measured; /* [branches, C, frames, h, w] what an observer sees of a device's velocities */
    double seconds;  /* since it began */
    int64_t skipped_iterations;
    double skipped_seconds;            /* of them */
    struct reel_noise addnoise_before; /* the stream as the iteration found it */
    int signal_is_lost; /* the previous signal was that of another process: it cannot be compared with */
};

/* How a run begins. */
struct reel_start {
    const char *profile;   /* the file of a profile (profile.c), the same on every rank; NULL: none */
    int64_t profile_spans; /* that a rank records at most; 0: 131,072 */
    const char *job_text;  /* the effective job, YAML */
    int fresh;             /* do not go on from a checkpoint */
    const struct reel_device *device; /* where the ranks compute; NULL: on the CPU, in fp32 */
    int device_from_job;              /* it is chosen by the job instead */
};

/* From where a run goes on. */
struct reel_resume {
    struct reel_checkpoint_directory folder; /* rank 0's, locked */
    int found;                               /* a checkpoint of this job, in `saved`, from `file` */
    char file[REEL_CHECKPOINT_PATH_BYTES];
    /* Generations in (first, last] are damaged, or of a job that was started over: they count no more once another is saved. */
    int64_t obsolete_first, obsolete_last;
    struct reel_checkpoint saved; /* texts on rank 0 only */
    int grown;                    /* the video is longer than the checkpoint's */
    char *fingerprint;            /* of this job; on rank 0 */
};

/* When a run saves, and when it stops. */
struct reel_preempt {
    int64_t since_save;       /* iterations */
    int64_t chunk, iteration; /* of the last checkpoint; -1: none */
    double iteration_seconds; /* of the last iteration that computed; 0: not known */
    double save_seconds;      /* of the last checkpoint; an estimate before */
    double began;             /* seconds from the process\' start to its first iteration */
    int cancelled;            /* the iteration at hand was, on every rank */
    double iteration_began;
    double excess, max_excess; /* seconds by which the iteration would end too late; of this rank, of all */
    MPI_Request asked;
};

/* Which iteration is profiled, and how far that is. */
struct reel_profile {
    const char *file;           /* "": none. The same on every rank; written by rank 0 */
    int64_t max_spans;          /* of a rank */
    int64_t call;               /* the first of the iteration's calls; -1: not yet chosen */
    int on_device;              /* the device marks when it comes by */
    int64_t ahead_ns, trip_ns;  /* rank 0's clock is so much ahead of this one's; how long it took to ask */
    int64_t began_ns, ended_ns; /* by rank 0's clock, and by this one's */
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
    int64_t libraries_bytes; /* that libraries may take beside the plan */
    struct reel_device device;
    int device_from_job;        /* as in reel_start */
    const struct reel_ops *ops; /* the place's */
    struct reel_arena arena;
    struct reel_stream stream;
    float *views
        [REEL_CHECKPOINT_ARRAYS]; /* of the chunk's latents in the host's memory, where it cannot read the device's */
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
    char algorithms[REEL_GEMM_ALGORITHMS_BYTES]; /* of the GEMMs so far */
    uint64_t weights_hash;
    int fresh;                   /* the job was told to start over */
    int nothing_to_do;           /* the job is complete, and so is its output */
    int loaded;                  /* the weights are here: a complete job needs none */
    int prompted;                /* this process has embedded the prompts in force */
    int64_t attempts;            /* how often the job was started, this time included */
    int64_t call_count;          /* of the outline's calls: made so far */
    int64_t done;                /* iterations run so far */
    int64_t timed;               /* of them, by this process */
    double earlier_seconds;      /* of the iterations before */
    struct reel_saving *savings; /* of every chunk and branch, in order */
    int64_t saving_count;        /* finished */
    int64_t finished_frames;
    double began, step_seconds; /* the sum of the seconds of this process' iterations */
};

/* Collective over world. Reads and checks everything that a job names, the checkpoints that it may go on from included,
 * before any weight is read; then plans, allocates, loads the weights, makes the embedding table and restores what was
 * saved. On failure nothing stays open, and every rank has the same error. What it is given must outlive the sampler. */
enum reel_status reel_sampler_open(struct reel_sampler *sampler, const struct reel_job *job,
                                   const struct reel_start *start, struct reel_comm *comm,
                                   const struct reel_observer *observer);

/* Not collective, but for the communicators that come with comm. A sampler of zeros is allowed. */
void reel_sampler_close(struct reel_sampler *sampler);

/* Collective over world. Runs the job to its end, or to a notice or the job's time limit: REEL_PREEMPTED once it is
 * saved. */
enum reel_status reel_sample_run(struct reel_sampler *sampler);

/* The steps that reel_sample_run is made of, for those who look between them. All collective over world.
 * begin: noise, prefix, end frames and prompts of chunk k, or what was saved in its midst. iterate: one row of the
 * timestep matrix; *ran is 0 where its mask is empty and nothing was done, and where it was abandoned. end: finished frames
 * go to the video and the output is written. */
enum reel_status reel_chunk_begin(struct reel_sampler *sampler, int64_t k);
enum reel_status reel_chunk_iterate(struct reel_sampler *sampler, int64_t row, int *ran);
enum reel_status reel_chunk_end(struct reel_sampler *sampler);

/* Not collective. Frees the memory of the chunk at hand; zeros are allowed. */
void reel_chunk_free(struct reel_sampler *sampler);

/* Not collective; on rank 0. Whether the job file and the model are those of the checkpoint, before inputs are read; and
 * whether the video grows. */
enum reel_status reel_resume_compare_job(struct reel_sampler *sampler);

/* resume.c, resume_compare.c. All collective over world. find: locks the checkpoints' folder, looks for the newest
 * whole checkpoint of this job, and says from which frames on the outline is open; compare: once the outline is made,
 * whether the checkpoint is of this job; decide: the calls of chunks that have begun are those that were saved;
 * restore: into the arena, once weights are read. Without a checkpoint all but the first do nothing. */
enum reel_status reel_resume_find(struct reel_sampler *sampler, int fresh);
enum reel_status reel_resume_compare(struct reel_sampler *sampler);
enum reel_status reel_resume_decide(struct reel_sampler *sampler);
enum reel_status reel_resume_restore(struct reel_sampler *sampler);
void reel_resume_close(struct reel_resume *resume);

/* Not collective; on rank 0. Says once, after the first iteration, where GEMMs are computed otherwise than before. */
void reel_resume_compare_algorithms(struct reel_sampler *sampler);

/* Not collective; on rank 0. Whether model.path is another than the checkpoint's. */
int reel_resume_is_elsewhere(const struct reel_sampler *sampler);

/* Not collective. Chunk k goes on where it was saved, in its midst. */
int reel_resume_is_within(const struct reel_sampler *sampler, int64_t k);

/* preempt.c. All collective over world. before: saves before that row where it is due, and says REEL_PREEMPTED once it is
 * saved after a notice or the time limit; save_chunk: saves a chunk that is finished; after: leaves behind it likewise.
 * begin and end stand around an iteration, whose inputs carry what begin returns: the transformer then asks before every
 * block whether to go on. */
enum reel_status reel_preempt_before(struct reel_sampler *sampler, int64_t row);
enum reel_status reel_preempt_save_chunk(struct reel_sampler *sampler);
enum reel_status reel_preempt_after(struct reel_sampler *sampler);
struct reel_cancel reel_preempt_begin(struct reel_sampler *sampler);
void reel_preempt_end(struct reel_sampler *sampler);

/* profile.c. Not collective: what is asked. Before and after, collective over world, stand around an iteration: where
 * it is the one that a profile was asked of, it is recorded, and written afterwards. That is the second of this process
 * that computes, or the first where there is only one. What goes wrong with a profile is noted, and costs the run
 * nothing, unless the ranks cannot speak. */
struct reel_profile reel_profile_of(const struct reel_start *start);
enum reel_status reel_profile_before(struct reel_sampler *sampler, int64_t row);
enum reel_status reel_profile_after(struct reel_sampler *sampler, int64_t row, int ran);

/* Not collective. Says where a profile was asked for and no iteration was left that computes. */
void reel_profile_end(const struct reel_sampler *sampler);

/* Not collective. The arrays that a checkpoint has in the state of its head, in memory that the host can read: the arena,
 * or views of it. REEL_NO_MEMORY. fetch brings what the device holds into the views, store takes it back: the
 * stream's errors. */
enum reel_status reel_sampler_arrays(struct reel_sampler *sampler, struct reel_checkpoint *checkpoint);
enum reel_status reel_sampler_fetch(struct reel_sampler *sampler, const struct reel_checkpoint *checkpoint);
enum reel_status reel_sampler_store(struct reel_sampler *sampler, const struct reel_checkpoint *checkpoint);

/* Not collective. Frees one of the views, if there is one. */
void reel_sampler_free_view(struct reel_sampler *sampler, int64_t array);

/* Collective over world. Writes output.latents as it stands, on rank 0. */
enum reel_status reel_sampler_output(struct reel_sampler *sampler);

/* Not collective. This rank computes the branches [first, first + reel_plan_branches). */
int64_t reel_sampler_first_branch(const struct reel_sampler *sampler);

/* Collective over world. What every rank has held and sent, gathered on rank 0 and told with the end of the job. */
enum reel_status reel_sampler_report(struct reel_sampler *sampler);

/* Not collective. The bytes that this rank sends over the whole job, as planned: iterations, prompts, image. */
void reel_sampler_traffic(const struct reel_sampler *sampler, int64_t bytes[REEL_TRAFFIC_CLASSES]);

/* Collective over world. One verdict on this rank's status and on what the stream was given, once that has
 * ended; also after a failure, for peers wait for the exchanges that were issued nevertheless. */
enum reel_status reel_sampler_agree(struct reel_sampler *sampler, enum reel_status status);

/* Not collective. Tells the observer, on rank 0. */
void reel_sampler_tell(const struct reel_sampler *sampler, const struct reel_event *event);

/* Not collective. Tells a line, on rank 0. */
void reel_sampler_note(const struct reel_sampler *sampler, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Not collective. Seconds of a clock that only goes forward. */
double reel_seconds(void);

#endif
