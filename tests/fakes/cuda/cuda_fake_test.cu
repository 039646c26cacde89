/* The fake of CUDA: kernels run as on a device, and errors that a device would punish are found. */
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include "testing.h"

static const uint64_t SEEDS[] = {0, 1, 2, 3, 4, 5};

/* ---- Kernels. */
__global__ void sum_block(int count, const float *x, float *sum)
{
    __shared__ float parts[32];
    int thread = static_cast<int>(threadIdx.x), at = static_cast<int>(blockIdx.x * blockDim.x) + thread;
    float value = at < count ? x[at] : 0.0f;
    for (int lanes = 16; lanes > 0; lanes /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, lanes);
    if (thread % warpSize == 0)
        parts[thread / warpSize] = value;
    __syncthreads();
    if (thread == 0) {
        for (unsigned warp = 1; warp < blockDim.x / 32; warp++)
            value += parts[warp];
        atomicAdd(sum, value);
    }
}

static void a_sum_by_shuffles_and_shared_memory_is_right(void)
{
    std::vector<float> numbers(1000);
    float expected = 0;
    for (size_t i = 0; i < numbers.size(); i++)
        expected += numbers[i] = static_cast<float>(i % 7);
    for (uint64_t seed : SEEDS) {
        reel_fake_seed(seed);
        array<float> x(numbers), sum(std::vector<float>{0.0f});
        REEL_LAUNCH(sum_block, 6, 192, 0, nullptr, 1000, x.at, sum.at);
        CHECK(sum.read()[0] == expected, "seed %d: %g", static_cast<int>(seed), sum.read()[0]);
    }
    reel_fake_seed(0);
}

__global__ void shuffle_all(int *result)
{
    int lane = static_cast<int>(threadIdx.x), *mine = result + lane * 6;
    mine[0] = __shfl_sync(0xffffffffu, lane, lane + 3);
    mine[1] = __shfl_up_sync(0xffffffffu, lane, 2);
    mine[2] = __shfl_down_sync(0xffffffffu, lane, 5, 8);
    mine[3] = __shfl_xor_sync(0xffffffffu, lane, 9);
    mine[4] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
    mine[5] = lane < 16 ? __reduce_add_sync(0x0000ffffu, lane) : __reduce_max_sync(0xffff0000u, lane);
}

static void every_lane_gets_what_it_asks_for(void)
{
    array<int> result(32 * 6);
    REEL_LAUNCH(shuffle_all, 1, 32, 0, nullptr, result.at);
    std::vector<int> got = result.read();
    for (int lane = 0; lane < 32; lane++) {
        const int expected[6] = {
            (lane + 3) % 32, lane < 2 ? lane : lane - 2, lane % 8 < 3 ? lane + 5 : lane, lane ^ 9,
            0x49249249,      lane < 16 ? 120 : 31};
        for (int i = 0; i < 6; i++)
            CHECK(got[static_cast<size_t>(lane * 6 + i)] == expected[i], "lane %d, %d: %d", lane, i,
                  got[static_cast<size_t>(lane * 6 + i)]);
    }
}

__global__ void leave_early(int stay, int *count)
{
    if (static_cast<int>(threadIdx.x) >= stay)
        return;
    int together = __popc(__ballot_sync(0xffffffffu, 1));
    __syncthreads();
    if (threadIdx.x == 0)
        *count = together + 1000 * __syncthreads_count(1);
    else
        __syncthreads_count(1);
}

__global__ void leave_early_in_one_place(int stay, int *count)
{
    if (static_cast<int>(threadIdx.x) >= stay)
        return;
    int together = __popc(__ballot_sync(0xffffffffu, 1)), all = __syncthreads_count(1);
    if (threadIdx.x == 0)
        *count = together + 1000 * all;
}

static void who_has_left_is_not_waited_for(void)
{
    for (uint64_t seed : SEEDS) {
        reel_fake_seed(seed);
        array<int> count(1);
        REEL_LAUNCH(leave_early_in_one_place, 1, 256, 0, nullptr, 77, count.at);
        CHECK(count.read()[0] == 77032, "%d", count.read()[0]);
    }
    reel_fake_seed(0);
}

__global__ void wait_alone(void)
{
    __shared__ int number[1];
    number[0] = 0;
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __shfl_sync(0x00000003u, number[0], 0);
}

__global__ void shuffle_alone(void)
{
    if (threadIdx.x < 7)
        __shfl_xor_sync(0xffffffffu, 1, 1);
    else
        __syncthreads();
}

static void divergent_barriers_and_shuffles_are_found(void)
{
    check_words(words_before(SIGABRT,
                             [] {
                                 array<int> count(1);
                                 REEL_LAUNCH(leave_early, 1, 64, 0, nullptr, 64, count.at);
                                 cudaDeviceSynchronize();
                                 count.read();
                             }),
                {"leave_early", "is at the barrier", "threads wait at another"});
    check_words(words_before(SIGABRT,
                             [] {
                                 REEL_LAUNCH(wait_alone, 1, 34, 0, nullptr);
                                 REEL_LAUNCH(wait_alone, 1, 35, 0, nullptr);
                             }),
                {"wait_alone", "lane 2 is in __shfl_sync", "0x00000003"});
    check_words(words_before(SIGABRT, [] { REEL_LAUNCH(shuffle_alone, 2, 32, 0, nullptr); }),
                {"shuffle_alone, block (0, 0, 0)", "never come", "threads 0 .. 6 wait in __shfl_xor_sync",
                 "threads 7 .. 31 wait at __syncthreads"});
}

/* Each thread reads the value that the thread `distance` ahead wrote, with a barrier between or without. */
__global__ void pass_on(int has_barrier, int distance, int *result)
{
    REEL_SHARED(int, numbers);
    int thread = static_cast<int>(threadIdx.x), count = static_cast<int>(blockDim.x);
    numbers[thread] = thread;
    if (has_barrier)
        __syncthreads();
    result[thread] = numbers[(thread + distance) % count];
}

static int is_passed_on(int has_barrier, int distance)
{
    array<int> result(128);
    REEL_LAUNCH(pass_on, 1, 128, 128 * sizeof(int), nullptr, has_barrier, distance, result.at);
    std::vector<int> got = result.read();
    int right = 1;
    for (int thread = 0; thread < 128; thread++)
        right = right && got[static_cast<size_t>(thread)] == (thread + distance) % 128;
    return right;
}

static void a_forgotten_barrier_shows(void)
{
    for (uint64_t seed : SEEDS) {
        reel_fake_seed(seed);
        CHECK(is_passed_on(1, 1) && is_passed_on(1, 127), "seed %d", static_cast<int>(seed));
        CHECK(!is_passed_on(0, 1) && !is_passed_on(0, 127), "seed %d", static_cast<int>(seed));
    }
    reel_fake_seed(0);
}

__global__ void copy_late(int waits, const float4 *from, float *before, float *after)
{
    __shared__ float4 here[32];
    unsigned thread = threadIdx.x;
    reel_fake_copy_async(&here[thread], &from[thread], 16, thread == 3 ? 0 : 16);
    reel_fake_copy_commit();
    reel_fake_copy_async(&here[thread], &from[31 - thread], 16, 16);
    reel_fake_copy_commit();
    before[thread] = here[thread].w;
    if (waits)
        reel_fake_copy_wait(1);
    after[thread] = here[thread].w;
}

static void an_asynchronous_copy_is_there_when_it_was_waited_for(void)
{
    std::vector<float4> numbers(32);
    for (int i = 0; i < 32; i++)
        numbers[static_cast<size_t>(i)] = make_float4(0, 0, 0, static_cast<float>(i));
    array<float4> from(numbers);
    array<float> before(32), after(32);
    for (int waits = 0; waits < 2; waits++) {
        REEL_LAUNCH(copy_late, 1, 32, 0, nullptr, waits, from.at, before.at, after.at);
        std::vector<float> was = before.read(), is = after.read();
        CHECK(isnan(was[5]), "%g", was[5]);
        CHECK(waits ? is[5] == 5.0f && is[3] == 0.0f : isnan(is[5]), "%d: %g, %g", waits, is[5], is[3]);
    }
}

/* Half of the block produces and continues, the other half waits for it. */
__global__ void produce(int *result)
{
    __shared__ int made[64];
    int thread = static_cast<int>(threadIdx.x);
    if (thread < 64) {
        made[thread] = thread * 3;
        reel_fake_barrier_arrive(1, 128);
    } else {
        reel_fake_barrier_wait(1, 128);
        result[thread - 64] = made[127 - thread];
    }
}

static void rows_of_all(const void *const in[32], void *const out[32])
{
    for (int lane = 0; lane < 32; lane++)
        *static_cast<int *>(out[lane]) = *static_cast<const int *>(in[31 - lane]);
}

__global__ void turn_around(int *result)
{
    int all[32], mine = static_cast<int>(threadIdx.x), other = 0;
    reel_fake_warp_exchange(&mine, sizeof mine, all);
    reel_fake_warp_together("turn", &mine, &other, rows_of_all);
    result[threadIdx.x] = all[(threadIdx.x + 1) % 32] * 100 + other;
}

static void named_barriers_and_exchanges_of_a_warp_work(void)
{
    array<int> result(64), turned(32);
    REEL_LAUNCH(produce, 1, 128, 0, nullptr, result.at);
    REEL_LAUNCH(turn_around, 1, 32, 0, nullptr, turned.at);
    std::vector<int> got = result.read(), exchanged = turned.read();
    for (int i = 0; i < 64; i++)
        CHECK(got[static_cast<size_t>(i)] == (63 - i) * 3, "%d: %d", i, got[static_cast<size_t>(i)]);
    for (int i = 0; i < 32; i++)
        CHECK(exchanged[static_cast<size_t>(i)] == (i + 1) % 32 * 100 + 31 - i, "%d: %d", i,
              exchanged[static_cast<size_t>(i)]);
    check_words(words_before(SIGABRT, [&] { REEL_LAUNCH(turn_around, 1, 31, 0, nullptr, turned.at); }),
                {"turn_around", "needs all 32 lanes"});
}

/* ---- Launches. */
__global__ void fill_shared(int bytes, int beyond, int *first)
{
    REEL_SHARED(unsigned char, memory);
    int unwritten = 0;
    for (int i = 0; i < bytes; i++)
        unwritten += memory[i] == 0xff;
    if (threadIdx.x == 0 && blockIdx.x == 0)
        *first = unwritten;
    __syncthreads();
    for (int i = 0; i < bytes + beyond; i++)
        memory[i] = 7;
}

static cudaError_t launch_of(dim3 grid, dim3 block, size_t shared_bytes)
{
    array<int> first(1);
    REEL_LAUNCH(fill_shared, grid, block, shared_bytes, nullptr, 0, 0, first.at);
    return cudaGetLastError();
}

static void launches_beyond_the_limits_are_refused(void)
{
    CHECK(launch_of(3, 1024, 0) == cudaSuccess, "a plain one");
    const struct {
        dim3 grid, block;
        size_t shared_bytes;
        cudaError_t code;
    } refused[] = {{0, 32, 0, cudaErrorInvalidConfiguration},
                   {{1, 65536}, 32, 0, cudaErrorInvalidConfiguration},
                   {{1, 1, 65536}, 32, 0, cudaErrorInvalidConfiguration},
                   {1, 0, 0, cudaErrorInvalidConfiguration},
                   {1, 1025, 0, cudaErrorInvalidConfiguration},
                   {1, {32, 33}, 0, cudaErrorInvalidConfiguration},
                   {1, {1, 1, 65}, 0, cudaErrorInvalidConfiguration},
                   {1, 32, 48 * 1024 + 1, cudaErrorInvalidValue}};
    for (const auto &each : refused) {
        cudaError_t code = launch_of(each.grid, each.block, each.shared_bytes);
        CHECK(code == each.code, "%s", cudaGetErrorName(code));
    }
    CHECK(cudaGetLastError() == cudaSuccess, "a refusal is told once");
    reel_fake_refuse("cudaLaunchKernel", 1, cudaErrorLaunchFailure);
    CHECK(launch_of(1, 32, 0) == cudaSuccess, "the first is not refused");
    CHECK(launch_of(1, 32, 0) == cudaErrorLaunchFailure, "the second is");
    CHECK(launch_of(1, 32, 0) == cudaSuccess, "the third is not");
}

static void dynamic_shared_memory_is_new_in_each_block_and_ends(void)
{
    array<int> first(1);
    REEL_LAUNCH(fill_shared, 1, 1, 1000, nullptr, 1000, 0, first.at);
    REEL_LAUNCH(fill_shared, 2, 1, 1000, nullptr, 1000, 0, first.at);
    CHECK(first.read()[0] == 1000, "%d", first.read()[0]);
    CHECK(cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 232449) ==
              cudaErrorInvalidValue,
          "more than there is");
    cudaGetLastError();
    CHECK(cudaFuncSetAttribute(fill_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 232448) ==
              cudaSuccess,
          "227 KiB");
    REEL_LAUNCH(fill_shared, 2, 32, 232448, nullptr, 232448, 0, first.at);
    CHECK(cudaGetLastError() == cudaSuccess, "227 KiB");
    CHECK(first.read()[0] == 232448, "%d", first.read()[0]);
    check_words(
        words_before(SIGABRT, [&] { REEL_LAUNCH(fill_shared, 1, 1, 1000, nullptr, 1000, 1, first.at); }),
        {"fill_shared", "beyond its 1000 bytes"});
    CHECK(words_before(SIGSEGV,
                       [&] { REEL_LAUNCH(fill_shared, 1, 1, 1000, nullptr, 1000, 200, first.at); }) != "",
          "far beyond");
}

static void what_the_host_may_not_touch_is_found(void)
{
    array<int> number(3);
    int host[4] = {};
    CHECK(words_before(SIGSEGV, [&] { host[0] = number.at[0]; }) != "", "the host read device memory");
    check_words(words_before(SIGABRT, [&] { REEL_LAUNCH(fill_shared, 1, 1, 0, nullptr, 0, 0, host); }),
                {"fill_shared", "argument 2", "neither device memory nor pinned"});
    check_words(words_before(SIGABRT, [&] { cudaMemcpy(host, number.at, 12, cudaMemcpyHostToDevice); }),
                {"cudaMemcpy", "pageable", "expected device memory"});
    check_words(words_before(SIGABRT, [&] { cudaMemcpy(number.at, host, 12, cudaMemcpyDeviceToHost); }),
                {"cudaMemcpy", "is device memory"});
    check_words(words_before(SIGABRT, [&] { cudaMemcpy(host, number.at, 16, cudaMemcpyDeviceToHost); }),
                {"16 bytes", "an allocation of 12"});
    check_words(words_before(SIGABRT, [&] { cudaMemsetAsync(host, 0, 4, nullptr); }), {"cudaMemsetAsync"});
    check_words(words_before(SIGABRT, [&] { cudaFree(number.at + 1); }), {"not the begin of an allocation"});
}

/* ---- Rounding. */
static float nearest_bfloat16(double x)
{
    int exponent = 0;
    frexp(x, &exponent);
    int place = exponent < -125 ? -133 : exponent - 8; /* of the last bit */
    double rounded = ldexp(rint(ldexp(x, -place)), place);
    return fabs(rounded) > 3.3895313892515355e38 ? static_cast<float>(copysign(INFINITY, x))
                                                 : static_cast<float>(rounded);
}

static void bfloat16_is_rounded_to_nearest_even(void)
{
    int wrong = 0, looked_at = 0;
    for (uint64_t bits = 0; bits < UINT64_C(0x7f800000); bits += 0x3fff, looked_at++) {
        float x = __uint_as_float(static_cast<unsigned>(bits));
        wrong += __bfloat162float(__float2bfloat16_rn(x)) != nearest_bfloat16(static_cast<double>(x));
        float tie = __uint_as_float((static_cast<unsigned>(bits) & 0xffff0000u) | 0x8000u);
        double above = static_cast<double>(tie) * (1 + 0x1p-40);
        wrong += __bfloat162float(__float2bfloat16_rn(-tie)) != -nearest_bfloat16(static_cast<double>(tie));
        wrong += __bfloat162float(__double2bfloat16(above)) != nearest_bfloat16(above);
    }
    CHECK(wrong == 0 && looked_at > 100000, "%d of %d", wrong, looked_at);
    CHECK(__bfloat16_as_ushort(__float2bfloat16(NAN)) == 0x7fff, "NaN");
    __nv_bfloat162 both = __floats2bfloat162_rn(1.0f, -2.0f);
    unsigned bits = reel_fake_bits<unsigned>(both);
    CHECK(bits == 0xc0003f80u, "0x%08x: the first is the lower half", bits);
}

static void fp8_is_rounded_to_nearest_even_and_saturates(void)
{
    for (int code = 0; code < 0x7e; code++) {
        float low = reel_fake_from_fp8(static_cast<unsigned char>(code)),
              high = reel_fake_from_fp8(static_cast<unsigned char>(code + 1)), middle = (low + high) / 2;
        int even = code % 2 == 0 ? code : code + 1;
        CHECK(low < high, "%d", code);
        CHECK(__nv_fp8_e4m3(low).__x == code && __nv_fp8_e4m3(-low).__x == (code | 0x80), "%d", code);
        CHECK(__nv_fp8_e4m3(middle).__x == even, "%d: %g", code, middle);
        CHECK(__nv_fp8_e4m3(nextafterf(middle, 0)).__x == code, "%d: below %g", code, middle);
        CHECK(__nv_fp8_e4m3(nextafterf(middle, 1e9f)).__x == code + 1, "%d: above %g", code, middle);
    }
    CHECK(reel_fake_from_fp8(0x7e) == 448.0f && reel_fake_from_fp8(1) == 0x1p-9f, "the range");
    CHECK(__nv_fp8_e4m3(1e9f).__x == 0x7e && __nv_fp8_e4m3(-INFINITY).__x == 0xfe, "saturation");
    CHECK(__nv_cvt_float_to_fp8(465.0f, __NV_NOSAT, __NV_E4M3) == 0x7f, "no saturation");
    CHECK((__nv_fp8_e4m3(NAN).__x & 0x7f) == 0x7f, "NaN");
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    RUN(a_sum_by_shuffles_and_shared_memory_is_right);
    RUN(every_lane_gets_what_it_asks_for);
    RUN(who_has_left_is_not_waited_for);
    RUN(divergent_barriers_and_shuffles_are_found);
    RUN(a_forgotten_barrier_shows);
    RUN(an_asynchronous_copy_is_there_when_it_was_waited_for);
    RUN(named_barriers_and_exchanges_of_a_warp_work);
    RUN(launches_beyond_the_limits_are_refused);
    RUN(dynamic_shared_memory_is_new_in_each_block_and_ends);
    RUN(what_the_host_may_not_touch_is_found);
    RUN(bfloat16_is_rounded_to_nearest_even);
    RUN(fp8_is_rounded_to_nearest_even_and_saturates);
    return test_end();
}
