/* What a test of the transformer needs around it: a model, its plan, memory, weights and a forward pass, on any
 * communicator. */
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

/* What a forward is given; it need not outlive rig_open. */
struct fixture_inputs {
    int64_t F, h, w;
    const float *latent;      /* [out_channels, F, h, w] */
    const float *y;           /* [in_channels - out_channels, F, h, w]; NULL where there are none */
    const int64_t *timesteps; /* [F] */
    const float *prompt;      /* [prompt_rows, text_width] */
    int64_t prompt_rows;
    const float *clip; /* [image_rows, image_width]; NULL where the model has no images */
    int64_t causal_block, fps;
};

/* Collective over world. Opens the model at path for such inputs. branches is 1 or 2: with 2, both have the same prompt.
 * Ends the program when anything fails, but for a plan that is refused: then it returns 0 and the rig is closed. */
int fixture_open_for(struct fixture *fixture, MPI_Comm world, const char *path,
                     const struct fixture_inputs *inputs, int64_t branches, const struct reel_mesh *mesh,
                     const struct reel_forward_hook *watch);

/* The inputs that a file has: those of a forward case, with the causal blocks that it names. */
struct fixture_inputs fixture_inputs_of(struct reference_file *file);

/* rig_open_for the inputs of a file. */
int fixture_open(struct fixture *fixture, MPI_Comm world, const char *path, struct reference_file *inputs,
                 int64_t branches, const struct reel_mesh *mesh, const struct reel_forward_hook *watch);

/* Collective over the rig's ranks. One forward of every branch that this rank computes; velocity is the last one's. */
void fixture_forward(struct fixture *fixture, struct reference_file *inputs);

/* The same with other timesteps: one a frame, or one a token. */
void fixture_forward_at(struct fixture *fixture, const int64_t *timesteps, int per_token);

void fixture_close(struct fixture *fixture);

/* 1: rigs that are opened hold e and e0 for every token. */
extern int fixture_expanded;

/* The backend of rigs that are opened; the CPU's at first. */
extern const struct reel_ops *fixture_ops;

/* How what a device has moves between their ranks, and what numbers are held as; MPI and float at first. */
extern int fixture_over_nccl;
extern int64_t fixture_number_bytes;

/* Blocks of synthetic models that are opened; 0: as many as they have. */
extern int64_t fixture_layers;

/* 1: the weights of their blocks' linear layers stay fp8, as they are stored. */
extern int fixture_fp8;

/* One rank: everything resident. */
extern const struct reel_mesh fixture_alone;

/* All meshes of that many ranks for that many branches, resident and gathered, in a fixed order; those that leave a rank
 * of a model with so many heads without one are left out. Returns how many; at most MESHES_MAX. */
enum { MESHES_MAX = 64 };
int64_t meshes_of(int64_t ranks, int64_t branches, int64_t heads, struct reel_mesh meshes[MESHES_MAX]);

/* "cfg 1 x ring 2 x ulysses 1 x tensor 2, gathered", valid until the next call. */
const char *mesh_name(const struct reel_mesh *mesh);

/* Whether the numbers of a mesh are those of one rank bit for bit. */
int mesh_only_moves(const struct reel_mesh *mesh);

/* Not collective. Leaves each of that many ranks on this machine its share of the cores, at least one. */
void share_cores(int ranks);

#endif
