/* Every rank holds what the plan says, cut from the whole tensors, and each host reads the weights from
 * storage once. */
#include "buffers.h"
#include "dtype.h"
#include "load_units.h"
#include "test.h"
#include "weights.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, UNTOUCHED = 0xa5 }; /* bytes around the loaded weights, and their value */

/* The device and the element type of the weights. */
static struct variant {
    const struct reel_ops *ops;
    enum reel_dtype dtype, matrix_dtype;
} now = {&reel_ops_cpu, REEL_F32, REEL_F32};

static struct reel_comm comm;
static struct reel_stream stream;
static MPI_Comm halves; /* the ranks of this one of two simulated hosts */

static const char *const models[] = {"synthetic:tiny",
                                     "tiny-df/native",
                                     "tiny-df/native-sharded",
                                     "tiny-df/diffusers",
                                     "tiny-df/comfy.safetensors",
                                     "tiny-i2v/native"};

static void open_model(const char *name, struct reel_model_files *files)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", test_reference(), name);
    CHECK(reel_model_open(strncmp(name, "synthetic:", 10) == 0 ? name : path, files) == REEL_OK, "%s",
          reel_error_here()->cause);
}

static struct reel_plan plan_of(const struct reel_model *model, const struct reel_mesh *mesh)
{
    struct reel_workload work = {.H = 2,
                                 .W = 2,
                                 .video_frames = 3,
                                 .chunk_frames = 3,
                                 .window_frames = 3,
                                 .branches = 2,
                                 .embedding_rows = 4,
                                 .dtype = now.dtype,
                                 .matrix_dtype = now.matrix_dtype};
    struct reel_plan plan;
    CHECK(reel_plan_make(model, &work, mesh, comm.world.size, &plan) == REEL_OK, "%s",
          reel_error_here()->cause);
    return plan;
}

/* Whether a value is held correctly: rounded to the number of bytes that it has there. */
static int is_held(float whole, const void *held, int64_t bytes)
{
    uint16_t half = reel_bf16_from_float(whole);
    uint8_t quarter = reel_f8_e4m3_from_float(whole);
    return memcmp(held,
                  bytes == 4   ? (const void *)&whole
                  : bytes == 2 ? (const void *)&half
                               : &quarter,
                  (size_t)bytes) == 0;
}

/* Counts the values of this rank's slice of a tensor that differ from the whole tensor's. Only values within
 * clip are held: held[0] is byte clip.first of the memory that the slice lies in. */
static int64_t wrong_in_slice(const struct reel_model_files *files, const struct reel_slice *slice,
                              struct reel_tensor_rows of, int64_t bytes, struct reel_range clip,
                              const char *held)
{
    int64_t wrong = 0, elements = slice->rows * slice->columns;
    float *whole = malloc((size_t)elements * sizeof *whole);
    CHECK(reel_model_read(files, of.tensor, of.layer, 0, elements, whole) == REEL_OK, "%s",
          reel_error_here()->cause);
    for (int64_t i = 0; i < slice->row_count; i++)
        for (int64_t j = 0; j < slice->column_count; j++) {
            int64_t at = of.at + (i * slice->column_count + j) * bytes - clip.first;
            float value = whole[(slice->first_row + i) * slice->columns + slice->first_column + j];
            if (at >= 0 && at < clip.count)
                wrong += !is_held(value, held + at, bytes);
        }
    free(whole);
    return wrong;
}

/* Compares every tensor of the phase with whole tensors. Returns the bytes that they have in storage. */
static int64_t check_values(const struct reel_model_files *files, const struct reel_plan *plan, int phase,
                            const struct reel_weights *weights, const char *words)
{
    const struct reel_network *network = &files->network;
    int64_t wrong = 0, stored = 0, part = reel_plan_coords(plan, comm.world.rank).tensor;
    for (int t = 0; t < network->tensor_count; t++) {
        int is_global = !network->tensors[t].in_block, held = reel_tensor_is_held(network, t, phase);
        CHECK(!is_global || !held == !reel_weight(weights, t), "%s: tensor %d", words, t);
        for (int64_t layer = 0; held && layer < reel_tensor_copies(network, t); layer++) {
            struct reel_slice slice = reel_slice_of(network, plan->mesh.tensor, part, t);
            stored += slice.rows * slice.columns * reel_model_stored_bytes(files, t, layer);
            struct reel_tensor_rows of = {
                .tensor = t, .layer = layer, .at = is_global ? 0 : weights->layout.offset[t]};
            wrong += wrong_in_slice(files, &slice, of, reel_layout_width(&weights->layout, network, t),
                                    is_global ? (struct reel_range){0, INT64_MAX} : weights->held,
                                    is_global ? reel_weight(weights, t) : reel_weights_block(weights, layer));
        }
    }
    CHECK(wrong == 0, "%s: %lld numbers are wrong", words, (long long)wrong);
    return stored;
}

struct progress {
    int64_t calls, done, all;
};

static void count_progress(void *context, int64_t done, int64_t all)
{
    struct progress *progress = context;
    progress->calls += done > progress->done && done <= all;
    progress->done = done;
    progress->all = all;
}

static void check_loading(const struct reel_model_files *files, const struct reel_plan *plan, int phase,
                          const char *words)
{
    struct progress progress = {0};
    struct reel_loading loading = {.progress = count_progress, .context = &progress};
    struct reel_weights weights;
    int64_t bytes = reel_weights_bytes(plan, &files->network, comm.world.rank, phase), touched = 0,
            read = 0, all = bytes + 2 * GUARD;
    char *device = now.ops->allocate(all), *memory = malloc((size_t)all);
    memset(memory, UNTOUCHED, (size_t)all);
    reel_upload(&stream, device, memory, all);
    enum reel_status status =
        reel_weights_load(&comm, files, plan, phase, device + GUARD, &loading, &stream, &weights);
    CHECK(status == REEL_OK, "%s: %d, %s", words, (int)status, reel_error_here()->cause);
    reel_error_clear();
    reel_download(&stream, memory, device, all);
    now.ops->release(device, all);
    if (status != REEL_OK) {
        free(memory);
        return;
    }
    weights.base = memory + GUARD;
    for (int64_t i = 0; i < GUARD; i++)
        touched += memory[i] != (char)UNTOUCHED || memory[GUARD + bytes + i] != (char)UNTOUCHED;
    CHECK(touched == 0, "%s: memory beside what is held was written", words);
    CHECK(phase != REEL_PHASE_SAMPLING || bytes == reel_plan_bytes(plan, comm.world.rank, REEL_WEIGHTS),
          "%s: %lld", words, (long long)bytes);
    CHECK(loading.loaded.kept_bytes == bytes && loading.loaded.seconds > 0, "%s: %lld bytes", words,
          (long long)bytes);
    CHECK(progress.calls > 1 && progress.done == progress.all, "%s: %lld of %lld pieces", words,
          (long long)progress.done, (long long)progress.all);
    int64_t stored = check_values(files, plan, phase, &weights, words);
    MPI_Allreduce(&loading.loaded.read_bytes, &read, 1, MPI_INT64_T, MPI_SUM, comm.host.mpi);
    CHECK(read == stored, "%s: the host read %lld bytes of %lld", words, (long long)read, (long long)stored);
    CHECK(loading.loaded.read_bytes > 0, "%s: a rank has read nothing", words);
    free(memory);
}

/* Loads a model on every mesh of these ranks, resident and gathered. */
static void check_meshes(const char *name)
{
    struct reel_model_files files;
    open_model(name, &files);
    if (now.matrix_dtype == REEL_F8_E4M3)
        CHECK(reel_model_keep_fp8(&files) == REEL_OK, "%s", reel_error_here()->cause);
    reel_stream_open_side(&stream, now.ops);
    int64_t size = comm.world.size, heads = files.model.heads;
    for (int64_t cfg = 1; cfg <= 2; cfg++)
        for (int64_t ring = 1; ring <= size; ring++)
            for (int64_t ulysses = 1; ulysses <= size; ulysses++)
                for (int64_t tensor = 1; tensor <= size; tensor++)
                    for (int64_t gathered = 0; gathered <= 1; gathered++) {
                        char words[200];
                        if (cfg * ring * ulysses * tensor != size || ulysses * tensor > heads)
                            continue;
                        struct reel_mesh mesh = {cfg, ring, ulysses, tensor, gathered};
                        struct reel_plan plan = plan_of(&files.model, &mesh);
                        snprintf(words, sizeof words,
                                 "%s, cfg %lld ring %lld ulysses %lld tensor %lld gathered %lld", name,
                                 (long long)cfg, (long long)ring, (long long)ulysses, (long long)tensor,
                                 (long long)gathered);
                        check_loading(&files, &plan, REEL_PHASE_SAMPLING, words);
                    }
    struct reel_plan plan = plan_of(&files.model, &(struct reel_mesh){1, size, 1, 1, 1});
    check_loading(&files, &plan, REEL_PHASE_EMBEDDING, name);
    reel_stream_close(&stream);
    reel_model_close(&files);
}

static void every_rank_holds_the_slices_of_the_whole_on_every_mesh(void)
{
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++)
        check_meshes(models[m]);
}

/* As float in memory that the host cannot read, and as element types smaller than float. */
static void every_rank_holds_them_as_the_plan_says(void)
{
    static const struct variant variants[] = {{&reel_ops_shadow, REEL_F32, REEL_F32},
                                              {&reel_ops_cpu, REEL_BF16, REEL_BF16},
                                              {&reel_ops_shadow, REEL_BF16, REEL_BF16},
                                              {&reel_ops_cpu, REEL_BF16, REEL_F8_E4M3},
                                              {&reel_ops_shadow, REEL_BF16, REEL_F8_E4M3}};
    struct variant usual = now;
    for (size_t v = comm.world.size > 3 ? 4 : 0; v < sizeof variants / sizeof variants[0]; v++) {
        now = variants[v];
        check_meshes("synthetic:tiny");
        if (now.matrix_dtype != REEL_F8_E4M3)
            check_meshes("tiny-i2v/native");
    }
    now = usual;
}

/* A model that is not stored as fp8 is not silently rounded to fp8. */
static void only_fp8_weights_are_kept_as_fp8(void)
{
    struct reel_model_files files;
    open_model("tiny-df/native", &files);
    CHECK(reel_model_keep_fp8(&files) == REEL_BAD_INPUT, "no error");
    CHECK(strstr(reel_error_here()->cause, "expected F8_E4M3, or model.compute bf16"), "%s",
          reel_error_here()->cause);
    reel_error_clear();
    reel_model_close(&files);
}

/* Makes even and odd ranks appear as two hosts. Returns the real host axis. */
static struct reel_axis split_host(void)
{
    struct reel_axis host = comm.host;
    int rank, size;
    MPI_Comm_rank(halves, &rank);
    MPI_Comm_size(halves, &size);
    comm.host = (struct reel_axis){.mpi = halves, .rank = rank, .size = size};
    return host;
}

static void every_host_reads_the_checkpoint_once(void)
{
    struct reel_axis host = split_host();
    check_meshes("tiny-df/native");
    check_meshes("tiny-i2v/native");
    comm.host = host;
}

/* A copy of the tiny model's file in which the last value of the data is NaN. */
static const char *poisoned_file(void)
{
    static char path[300];
    char from[512];
    snprintf(path, sizeof path, "%s/poisoned.safetensors", test_folder());
    snprintf(from, sizeof from, "%s/tiny-df/comfy.safetensors", test_reference());
    if (comm.world.rank == 0) {
        FILE *in = fopen(from, "rb"), *out = fopen(path, "wb");
        fseek(in, 0, SEEK_END);
        size_t bytes = (size_t)ftell(in);
        char *all = malloc(bytes);
        rewind(in);
        CHECK(fread(all, 1, bytes, in) == bytes, "%s", from);
        all[bytes - 1] = '\x7f'; /* NaN in BF16, F16 and F32 */
        all[bytes - 2] = '\xff';
        CHECK(fwrite(all, 1, bytes, out) == bytes && fclose(out) == 0, "%s", path);
        free(all);
        fclose(in);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return path;
}

/* Loads from path on the ranks that pass one, and from a good file on the others: all ranks fail with the
 * same words. */
static void check_failure(const char *path, const char *words)
{
    struct reel_model_files files;
    struct reel_weights weights;
    struct reel_loading loading = {.progress = NULL};
    char good[512];
    snprintf(good, sizeof good, "%s/tiny-df/comfy.safetensors", test_reference());
    CHECK(reel_model_open(path ? path : good, &files) == REEL_OK, "%s", reel_error_here()->cause);
    struct reel_plan plan = plan_of(&files.model, &(struct reel_mesh){1, comm.world.size, 1, 1, 1});
    void *memory = aligned_alloc(
        64, (size_t)reel_weights_bytes(&plan, &files.network, comm.world.rank, REEL_PHASE_SAMPLING));
    reel_stream_open_side(&stream, now.ops);
    enum reel_status status =
        reel_weights_load(&comm, &files, &plan, REEL_PHASE_SAMPLING, memory, &loading, &stream, &weights);
    reel_stream_close(&stream);
    CHECK(status == REEL_BAD_INPUT, "status %d", (int)status);
    CHECK(strstr(reel_error_here()->cause, words), "%s", reel_error_here()->cause);
    reel_error_clear();
    free(memory);
    reel_model_close(&files);
}

static void a_number_that_one_rank_cannot_take_ends_all(void)
{
    check_failure(poisoned_file(), "holds nan at index");
}

static void a_host_that_cannot_read_ends_the_others(void)
{
    const char *path = poisoned_file();
    struct reel_axis host = split_host();
    check_failure(comm.world.rank % 2 == (comm.world.size > 1) ? path : NULL, "holds nan at index");
    comm.host = host;
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    CHECK(reel_comm_open(MPI_COMM_WORLD, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    MPI_Comm_split(MPI_COMM_WORLD, (int)comm.world.rank % 2, 0, &halves);
    RUN(every_rank_holds_the_slices_of_the_whole_on_every_mesh);
    RUN(every_rank_holds_them_as_the_plan_says);
    RUN(only_fp8_weights_are_kept_as_fp8);
    RUN(every_host_reads_the_checkpoint_once);
    RUN(a_number_that_one_rank_cannot_take_ends_all);
    RUN(a_host_that_cannot_read_ends_the_others);
    MPI_Comm_free(&halves);
    reel_comm_close(&comm);
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
