/* A call that CUDA refuses fails the stream, whose cause names the operation and CUDA's error; an
 * allocation that CUDA refuses returns NULL. Whatever the fake refuses, the process continues and streams
 * can be closed. */
#include "gpu.h"
#include "ops.h"
#include "fake.h"
#include "test.h"

#include <string.h>

enum { ILLEGAL_ADDRESS = 700, NO_CODE = 209, OUT_OF_MEMORY = 2, OLD_DRIVER = 35, COUNT = 64 };

static const struct reel_scratch max = {.in = 64, .channels = 32, .threads = 1};
static struct reel_stream stream, aside;
static void *scratch;
static float *x;

static void begin(void)
{
    reel_error_clear();
    scratch = reel_ops_cuda.allocate(reel_scratch_bytes(&reel_ops_cuda, &max));
    x = reel_ops_cuda.allocate(COUNT * 4);
    reel_stream_open(&stream, &reel_ops_cuda, &max, scratch);
    reel_stream_open_side(&aside, &reel_ops_cuda);
    reel_clear(&stream, (struct reel_clear){COUNT * 4, x});
    CHECK(stream.status == REEL_OK && aside.status == REEL_OK, "%s", reel_error_here()->cause);
}

static void end(void)
{
    reel_fake_refuse(NULL, 0, 0);
    reel_stream_close(&aside);
    reel_stream_close(&stream);
    reel_ops_cuda.release(x, COUNT * 4);
    reel_ops_cuda.release(scratch, reel_scratch_bytes(&reel_ops_cuda, &max));
}

static void silu(void)
{
    reel_silu(&stream, (struct reel_silu){COUNT, x, x});
}

static void download(void)
{
    float back[COUNT];
    reel_download(&stream, back, x, sizeof back);
}

static void clear(void)
{
    reel_clear(&stream, (struct reel_clear){COUNT, x});
}

static void find(void)
{
    CHECK(reel_first_nonfinite(&stream, x, COUNT) == -1, "found on a stream that failed");
}

static void finish(void)
{
    reel_finish(&stream);
}

static void pace(void)
{
    reel_throttle(&stream);
}

static void order(void)
{
    reel_stream_wait(&stream, &aside);
}

static void what_cuda_refuses_fails_the_stream(void)
{
    static const struct {
        const char *call;
        void (*operation)(void);
        const char *words;
    } cases[] = {{"cudaLaunchKernel", silu, "silu on the GPU"},
                 {"cudaMemcpyAsync", download, "copy on the GPU"},
                 {"cudaStreamQuery", download, "copy on the GPU"},
                 {"cudaMemsetAsync", clear, "clear on the GPU"},
                 {"cudaMemsetAsync", find, "first_nonfinite on the GPU"},
                 {"cudaLaunchKernel", find, "first_nonfinite on the GPU"},
                 {"cudaMemcpyAsync", find, "first_nonfinite on the GPU"},
                 {"cudaStreamQuery", finish, "waiting for a stream on the GPU"},
                 {"cudaEventQuery", pace, "waiting for an earlier iteration on the GPU"},
                 {"cudaEventRecord", pace, "waiting for an earlier iteration on the GPU"},
                 {"cudaEventRecord", order, "ordering two streams on the GPU"},
                 {"cudaStreamWaitEvent", order, "ordering two streams on the GPU"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        reel_fake_refuse(cases[i].call, 0, ILLEGAL_ADDRESS);
        cases[i].operation();
        const char *cause = reel_error_here()->cause;
        CHECK(stream.status == REEL_BAD_DEVICE, "%s was refused: status %d", cases[i].call,
              (int)stream.status);
        CHECK(strncmp(cause, cases[i].words, strlen(cases[i].words)) == 0 &&
                  strstr(cause, "cudaErrorIllegalAddress"),
              "%s was refused: %s", cases[i].call, cause);
        reel_fake_refuse("cudaLaunchKernel", 0, ILLEGAL_ADDRESS);
        silu();
        order();
        pace();
        finish();
        CHECK(stream.status == REEL_BAD_DEVICE, "the first failure stands");
        end();
    }
}

static void a_stream_that_is_not_opened_is_closed(void)
{
    static const struct {
        const char *call;
        int64_t after;
    } cases[] = {{"cudaStreamCreate", 0}, {"cudaEventCreate", 0}, {"cudaEventCreate", 2}};
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reel_stream other;
        reel_error_clear();
        reel_fake_refuse(cases[i].call, cases[i].after, ILLEGAL_ADDRESS);
        reel_stream_open_side(&other, &reel_ops_cuda);
        CHECK(other.status == REEL_BAD_DEVICE, "%s was refused: status %d", cases[i].call, (int)other.status);
        CHECK(strstr(reel_error_here()->cause, "opening a stream on the GPU"), "%s",
              reel_error_here()->cause);
        reel_stream_wait(&other, &stream);
        reel_stream_wait(&stream, &other);
        reel_throttle(&other);
        reel_finish(&other);
        reel_stream_close(&other);
        CHECK(stream.status == REEL_OK, "another stream failed with it");
    }
    end();
}

static void memory_that_is_refused_is_none(void)
{
    reel_fake_refuse("cudaMalloc", 0, OUT_OF_MEMORY);
    CHECK(reel_ops_cuda.allocate(4096) == NULL, "device memory");
    reel_fake_refuse("cudaHostAlloc", 0, OUT_OF_MEMORY);
    CHECK(reel_ops_cuda.allocate_host(4096) == NULL, "host memory");
    begin();
    silu();
    finish();
    CHECK(stream.status == REEL_OK, "the refusal came back: %s", reel_error_here()->cause);
    CHECK((uintptr_t)x % 4096 == 0, "memory at %p", (void *)x);
    end();
}

static void gpus_are_described_or_refused(void)
{
    char why[REEL_CAUSE_BYTES];
    struct reel_gpu gpu;
    reel_error_clear();
    reel_fake_refuse("cudaGetDeviceCount", 0, OLD_DRIVER);
    CHECK(reel_gpu_count(why) == 0 && strstr(why, "cudaErrorInsufficientDriver"), "%s", why);
    reel_fake_refuse(NULL, 0, 0);
    CHECK(reel_gpu_count(why) == 1, "%s", why);
    CHECK(reel_gpu_describe(0, &gpu) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(gpu.major >= 8 && gpu.name[0] && gpu.free_bytes > 0 && gpu.free_bytes <= gpu.memory_bytes &&
              gpu.processors > 0,
          "%s: %lld of %lld bytes", gpu.name, (long long)gpu.free_bytes, (long long)gpu.memory_bytes);
    CHECK(reel_gpu_describe(1, &gpu) == REEL_BAD_DEVICE, "a GPU that there is not");
    reel_error_clear();
    CHECK(reel_gpu_use(1) == REEL_BAD_DEVICE, "a GPU that there is not");
    reel_error_clear();
    reel_fake_refuse("cudaMemGetInfo", 0, ILLEGAL_ADDRESS);
    CHECK(reel_gpu_describe(0, &gpu) == REEL_BAD_DEVICE, "free memory that nobody knows");
    reel_error_clear();
    reel_fake_refuse("cudaFuncGetAttributes", 0, NO_CODE);
    CHECK(reel_gpu_use(0) == REEL_BAD_DEVICE && strstr(reel_error_here()->cause, "holds no code for sm_"),
          "%s", reel_error_here()->cause);
    reel_fake_refuse(NULL, 0, 0);
    CHECK(reel_gpu_use(0) == REEL_OK, "%s", reel_error_here()->cause);
}

int main(void)
{
    RUN(gpus_are_described_or_refused);
    RUN(what_cuda_refuses_fails_the_stream);
    RUN(a_stream_that_is_not_opened_is_closed);
    RUN(memory_that_is_refused_is_none);
    return test_end();
}
