/* A job: all values of a job file, present and in range.
 *
 * launch/ fills it from YAML (launch/job_file.h); the runtime only reads it. A job is a value without
 * pointers, so that rank 0 can read the file and send the bytes to the other ranks. Paths are absolute or
 * relative to the working directory: paths of the job file are relative to its folder, and launch/
 * resolves them. An absent optional path is the empty string. "frames" are pixel frames, 4k+1;
 * reel_latent_frames() converts them to latent frames, k+1. */
#ifndef REEL_JOB_H
#define REEL_JOB_H

#include <stdint.h>

enum { REEL_PATH_BYTES = 1024, REEL_COEFFICIENTS_MAX = 16 };

enum reel_compute { REEL_COMPUTE_AUTO, REEL_COMPUTE_FP32, REEL_COMPUTE_BF16, REEL_COMPUTE_FP8 };
enum reel_scheduler { REEL_UNIPC, REEL_EULER };
enum reel_teacache_mode { REEL_TEACACHE_OFF, REEL_TEACACHE_E, REEL_TEACACHE_E0 };
enum reel_teacache_rescale { REEL_RESCALE_ABS, REEL_RESCALE_SIGNED };
enum reel_teacache_metric { REEL_METRIC_ACTIVE, REEL_METRIC_ALL };
enum reel_embedding { REEL_EMBEDDING_ROWS, REEL_EMBEDDING_EXPANDED };
enum reel_residual { REEL_RESIDUAL_BF16, REEL_RESIDUAL_FP32 };
enum reel_placement { REEL_WEIGHTS_AUTO, REEL_WEIGHTS_RESIDENT, REEL_WEIGHTS_GATHERED };
enum reel_device_kind { REEL_DEVICE_AUTO, REEL_DEVICE_CPU, REEL_DEVICE_CUDA };
enum reel_transport_kind { REEL_TRANSPORT_AUTO, REEL_TRANSPORT_MPI, REEL_TRANSPORT_NCCL };
enum reel_on_error { REEL_ON_ERROR_CONTINUE, REEL_ON_ERROR_STOP };

/* The value of a number that reel chooses. */
enum { REEL_AUTO = -1 };

struct reel_job {
    struct {
        char path[REEL_PATH_BYTES]; /* DIR, FILE, or synthetic:PRESET */
        enum reel_compute compute;
    } model;
    struct {
        int64_t width, height; /* pixels, multiples of 16 */
        int64_t frames;        /* pixel frames, 4k+1 */
        int64_t fps;
    } video;
    struct {
        char embeds[REEL_PATH_BYTES];
    } prompt;
    struct {
        enum reel_scheduler scheduler;
        int64_t steps;
        double shift;
        double guidance_scale; /* 1 turns guidance off */
        int64_t seed;
        char noise[REEL_PATH_BYTES];
    } sampler;
    struct {
        int64_t base_frames;       /* pixel frames, 4k+1 */
        int64_t overlap_frames;    /* pixel frames, 4k+1; 0: one chunk with a sliding window of base_frames */
        int64_t ar_step;           /* iterations by which a block lags behind its left neighbour */
        int64_t causal_block_size; /* latent frames */
        int64_t causal_attention;  /* 0 or 1 */
        int64_t addnoise_condition;
        char prefix_latents[REEL_PATH_BYTES];
        char end_latents[REEL_PATH_BYTES];
    } diffusion_forcing;
    struct {
        enum reel_teacache_mode mode;
        double threshold;
        int64_t coefficient_count;                  /* 0: auto or a file */
        double coefficients[REEL_COEFFICIENTS_MAX]; /* highest power first */
        char coefficient_file[REEL_PATH_BYTES];     /* empty: auto or a list */
        enum reel_teacache_rescale rescale;
        int64_t start_step; /* or REEL_AUTO */
        int64_t end_step;   /* -1: never skip the chunk's last iteration */
        enum reel_teacache_metric metric;
        enum reel_embedding embedding;
        enum reel_residual residual;
    } teacache;
    struct {
        int64_t cfg, tensor, ulysses, ring; /* ways, or REEL_AUTO */
        enum reel_placement weights;
    } partition;
    enum reel_device_kind device;
    struct {
        enum reel_transport_kind transport;
        double timeout_s;
    } communication;
    struct {
        char directory[REEL_PATH_BYTES]; /* empty: off */
        int64_t every_iterations;
        int64_t keep;
        double grace_s;
        enum reel_on_error on_error;
        double time_limit_s; /* 0: none */
    } checkpoint;
    struct {
        char latents[REEL_PATH_BYTES]; /* required in a job file; empty: not written */
        char log[REEL_PATH_BYTES];
        char preview[REEL_PATH_BYTES];
    } output;
};

/* The latent frames of a number of pixel frames; 0 for 0. */
int64_t reel_latent_frames(int64_t frames);

#endif
