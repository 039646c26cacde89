/* A network as a table: its tensors, and for each of them everything that generic code must know: names,
 * shape, how the tensor axis cuts it, in which dtype and in which phases it is held.
 *
 * Planning, reading, loading, gathering and random weights take a network and the index of a tensor. They
 * know no network by name. A network is made once, from the sizes of a model:
 *
 *     struct reel_network network;
 *     reel_wan_network(&model, &network);                                         wan.h
 *     reel_tensor_name(&network, REEL_NAMING_NATIVE, REEL_SELF_Q_WEIGHT, 7, name);
 *
 * writes blocks.7.self_attn.q.weight. A network is a value; its strings are constants of the program.
 *
 * The weights of linear layers are stored [out, in]: y = W x + b. Not collective; all functions are pure. */
#ifndef REEL_NETWORK_H
#define REEL_NETWORK_H

#include <stdint.h>

enum { REEL_DIMS_MAX = 5, REEL_TENSORS_MAX = 64, REEL_TENSOR_NAME_BYTES = 128 };

/* The phases of a run, in the order in which they happen: the table of timestep embeddings is made, then the
 * video is sampled. Tensors and buffers say from which phase to which they are held. Generic code knows only
 * their numbers: 0, 1, ... */
enum reel_phase { REEL_PHASE_EMBEDDING, REEL_PHASE_SAMPLING, REEL_PHASES };

/* The layouts of files in which a tensor has a name. */
enum reel_naming { REEL_NAMING_NATIVE, REEL_NAMING_DIFFUSERS, REEL_NAMINGS };

/* What the tensor axis cuts. Rows are the first dimension, columns are all others together. */
enum reel_cutting { REEL_CUT_NOTHING, REEL_CUT_ROWS, REEL_CUT_COLUMNS };

/* The dtype in which a rank holds a tensor: the plan's dtype, that of the weights of a block's linear layers,
 * or always float. */
enum reel_held_as { REEL_HELD_AS_DTYPE, REEL_HELD_AS_MATRIX, REEL_HELD_AS_FLOAT };

/* The tensors that make keys and values of a context are gathered alone when the context changes. */
enum reel_context { REEL_CONTEXT_NONE, REEL_CONTEXT_OF_TEXT, REEL_CONTEXT_OF_IMAGE, REEL_CONTEXTS };

/* How random weights are distributed (synthetic.h). */
enum reel_random {
    REEL_RANDOM_LINEAR,     /* standard deviation 1 / sqrt(columns) */
    REEL_RANDOM_BIAS,       /* 0.02 */
    REEL_RANDOM_NORM,       /* 1 + 0.05 */
    REEL_RANDOM_MODULATION, /* 0.2 */
    REEL_RANDOM_ROWS        /* 1 */
};

struct reel_tensor_spec {
    const char *names[REEL_NAMINGS]; /* without a file's prefix; of a block's tensor without "blocks.N." */
    int dims;                        /* 0: this network does not have the tensor; else 1 .. REEL_DIMS_MAX */
    int in_block;                    /* 1: every block has one; 0: it exists once */
    int64_t shape[REEL_DIMS_MAX];
    enum reel_cutting cut;
    int64_t units; /* whole units that the cut rows or columns consist of, such as heads */
    int bias;      /* index of the tensor that is the bias of this weight; -1: it has none */
    enum reel_held_as held_as;
    int first_phase, last_phase; /* a rank holds it from one to the other */
    enum reel_context context;
    enum reel_random random;
    int number; /* in the hash of weights, which checkpoints hold: it never changes */
};

struct reel_network {
    const char *name;
    int64_t layers; /* blocks */
    int tensor_count;
    const char *block;     /* "blocks.": a block's tensors are named "blocks.N." and their own name */
    const char *diffusers; /* how only names of the diffusers layout begin; NULL: there is no such layout */
    struct reel_tensor_spec tensors[REEL_TENSORS_MAX]; /* [tensor_count] */
};

/* Whether the network has this tensor; some tensors are optional. */
int reel_tensor_exists(const struct reel_network *network, int tensor);

/* How many of it there are: 0 when the network does not have it, one for each block, or one. */
int64_t reel_tensor_copies(const struct reel_network *network, int tensor);

/* The number of elements; 0 when the network does not have the tensor. */
int64_t reel_tensor_elements(const struct reel_network *network, int tensor);

/* Whether a rank holds the tensor in a phase. 0 when the network does not have it. */
int reel_tensor_is_held(const struct reel_network *network, int tensor, int phase);

/* Whether the tensor is the weight of one of a block's linear layers, which may be held in another dtype. */
int reel_tensor_is_matrix(const struct reel_network *network, int tensor);

/* Writes the tensor's name in a file, without the file's prefix. layer is ignored for tensors outside the
 * blocks. Tensors that the network does not have are named too. */
void reel_tensor_name(const struct reel_network *network, enum reel_naming naming, int tensor, int64_t layer,
                      char name[REEL_TENSOR_NAME_BYTES]);

/* The number of tensors, and of parameters, of the whole network. */
int64_t reel_network_tensors(const struct reel_network *network);
int64_t reel_network_parameters(const struct reel_network *network);

#endif
