/* The surroundings of a test of the transformer, on any communicator: a model, its plan, memory, weights and
 * a forward pass. */
#ifndef REEL_TEST_FIXTURE_H
#define REEL_TEST_FIXTURE_H

#include "dit.h"
#include "model_file.h"
#include "reference_file.h"

struct fixture {
    struct reel_comm comm;
    struct reel_model_files files;
    struct reel_plan plan;
    struct reel_arena arena;
    struct reel_stream stream;
    struct reel_weights weights;
    struct reel_timestep_table table;
    struct reel_time_embedding embedding;
    struct reel_dit dit;
    float *input, *velocity; /* [in_channels, F, h, w], [out_channels, F, h, w] */
    int64_t outputs;         /* floats of velocity */
};

/* The inputs of a forward pass. They need not outlive fixture_open_for. */
struct fixture_inputs {
    int64_t F, h, w;
    const float *latent;      /* [out_channels, F, h, w] */
    const float *y;           /* [in_channels - out_channels, F, h, w]; NULL if there are none */
    const int64_t *timesteps; /* [F] */
    const float *prompt;      /* [prompt_rows, text_width] */
    int64_t prompt_rows;
    const float *clip; /* [image_rows, image_width]; NULL if the model has no images */
    int64_t causal_block, fps;
};

/* Collective over world. Opens the model at path for such inputs. branches is 1 or 2; with 2, both have the
 * same prompt. Returns 1; if the plan is refused, returns 0 with the fixture closed. Any other failure ends
 * the program. */
int fixture_open_for(struct fixture *fixture, MPI_Comm world, const char *path,
                     const struct fixture_inputs *inputs, int64_t branches, const struct reel_mesh *mesh,
                     const struct reel_forward_hook *watch);

/* The inputs in a file of a forward case, with the causal block size that the file names. */
struct fixture_inputs fixture_inputs_of(struct reference_file *file);

/* fixture_open_for, with the inputs in a file. */
int fixture_open(struct fixture *fixture, MPI_Comm world, const char *path, struct reference_file *inputs,
                 int64_t branches, const struct reel_mesh *mesh, const struct reel_forward_hook *watch);

/* Collective over the fixture's ranks. One forward pass of every branch that this rank computes; velocity
 * holds the result of the last one. */
void fixture_forward(struct fixture *fixture, struct reference_file *inputs);

/* The same with other timesteps: one per frame, or one per token if per_token is 1. */
void fixture_forward_at(struct fixture *fixture, const int64_t *timesteps, int per_token);

void fixture_close(struct fixture *fixture);

/* 1: fixtures opened from now on hold e and e0 for every token. */
extern int fixture_expanded;

/* The backend of fixtures opened from now on; the CPU backend at first. */
extern const struct reel_ops *fixture_ops;

/* Whether their ranks exchange device memory over NCCL, and the bytes of an element; at first over MPI, and 4
 * for fp32. */
extern int fixture_over_nccl;
extern enum reel_dtype fixture_dtype;

/* The number of blocks of synthetic models opened from now on; 0: as many as the model has. */
extern int64_t fixture_layers;

/* 1: the weights of their blocks' linear layers stay fp8, as they are stored. */
extern int fixture_fp8;

/* One rank, all weights resident. */
extern const struct reel_mesh fixture_alone;

/* All meshes of that many ranks for that many branches, resident and gathered, in a fixed order. Meshes that
 * leave a rank without one of the model's heads are left out. Returns how many; at most MESHES_MAX. */
enum { MESHES_MAX = 64 };
int64_t meshes_of(int64_t ranks, int64_t branches, int64_t heads, struct reel_mesh meshes[MESHES_MAX]);

/* "cfg 1 x ring 2 x ulysses 1 x tensor 2, gathered", valid until the next call. */
const char *mesh_name(const struct reel_mesh *mesh);

/* Whether the results on a mesh equal those of one rank bit for bit: its axes only move data. */
int mesh_only_moves(const struct reel_mesh *mesh);

/* Not collective. Sets this rank's OpenMP threads to its share of the machine's cores among that many ranks,
 * at least one. */
void share_cores(int ranks);

#endif
