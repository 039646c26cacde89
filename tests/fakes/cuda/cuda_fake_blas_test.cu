/* The fake of cuBLASLt: products of every kind against sums in double, and the refusals of the real
 * cuBLASLt. */
#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include "testing.h"

static const size_t WORKSPACE_BYTES = 8 << 20;

/* y [n][m] = epilogue(alpha weight x + beta y), a column-major product as reel computes it: weight [m][k], x
 * [n][k]. */
struct problem {
    cudaDataType_t inputs, result, bias_type;
    uint32_t epilogue;
    int64_t m, n, k;
    float alpha, beta;
    int32_t transpose_a;
    int64_t stride; /* of x, k or more */
};

static size_t bytes_of(cudaDataType_t type)
{
    return type == CUDA_R_32F ? 4 : type == CUDA_R_16BF ? 2 : 1;
}

/* Small values that every type represents. */
static float number(int64_t i)
{
    return static_cast<float>((i * 7919 % 31) - 15) / 8.0f;
}

static std::vector<char> encode(const std::vector<float> &numbers, cudaDataType_t type)
{
    std::vector<char> bytes(numbers.size() * bytes_of(type));
    for (size_t i = 0; i < numbers.size(); i++) {
        char *at = &bytes[i * bytes_of(type)];
        __nv_bfloat16 short_one(numbers[i]);
        __nv_fp8_e4m3 shortest(numbers[i]);
        memcpy(at,
               type == CUDA_R_32F    ? static_cast<const void *>(&numbers[i])
               : type == CUDA_R_16BF ? static_cast<const void *>(&short_one)
                                     : static_cast<const void *>(&shortest),
               bytes_of(type));
    }
    return bytes;
}

static float decode(const std::vector<char> &bytes, size_t i, cudaDataType_t type)
{
    float number;
    __nv_bfloat16 short_one;
    const char *at = &bytes[i * bytes_of(type)];
    memcpy(&number, at, type == CUDA_R_32F ? 4 : 0);
    memcpy(static_cast<void *>(&short_one), at, type == CUDA_R_16BF ? 2 : 0);
    return type == CUDA_R_32F    ? number
           : type == CUDA_R_16BF ? __bfloat162float(short_one)
                                 : reel_fake_from_fp8(static_cast<unsigned char>(*at));
}

static std::vector<float> numbers_of(int64_t count, int64_t first)
{
    std::vector<float> numbers(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; i++)
        numbers[static_cast<size_t>(i)] = number(first + i);
    return numbers;
}

/* The product on the device. */
struct run {
    problem p;
    std::vector<float> weight_numbers, x_numbers, bias_numbers, y_numbers;
    array<char> weight, x, bias, y, workspace;
    array<float> scales;
    cublasLtHandle_t handle = nullptr;
    cublasLtMatmulDescOpaque_t operation;
    cublasLtMatrixLayoutOpaque_t a, b, d;
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulHeuristicResult_t candidates[8];
    int count = 0;

    explicit run(const problem &problem)
        : p(problem), weight_numbers(numbers_of(p.m * p.k, 0)), x_numbers(numbers_of(p.n * p.stride, 5)),
          bias_numbers(numbers_of(p.m, 11)), y_numbers(numbers_of(p.m * p.n, 3)),
          weight(encode(weight_numbers, p.inputs)), x(encode(x_numbers, p.inputs)),
          bias(encode(bias_numbers, p.bias_type)), y(encode(y_numbers, p.result)), workspace(WORKSPACE_BYTES),
          scales(std::vector<float>{0.5f, 4.0f})
    {
        const void *bias_at = bias.at;
        int32_t bias_type = p.bias_type;
        uint64_t workspace_bytes = WORKSPACE_BYTES;
        cublasLtCreate(&handle);
        cublasLtMatmulDescInit(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
        set(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_a);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, p.epilogue);
        set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias_at);
        set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, bias_type);
        uint64_t k = static_cast<uint64_t>(p.k), m = static_cast<uint64_t>(p.m),
                 n = static_cast<uint64_t>(p.n);
        cublasLtMatrixLayoutInit(&a, p.inputs, p.transpose_a ? k : m, p.transpose_a ? m : k,
                                 p.transpose_a ? p.k : p.m);
        cublasLtMatrixLayoutInit(&b, p.inputs, k, n, p.stride);
        cublasLtMatrixLayoutInit(&d, p.result, m, n, p.m);
        cublasLtMatmulPreferenceInit(&preference);
        cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &workspace_bytes, sizeof workspace_bytes);
    }
    ~run()
    {
        cublasLtDestroy(handle);
    }
    template <typename T> void set(cublasLtMatmulDescAttributes_t attribute, const T &value)
    {
        cublasLtMatmulDescSetAttribute(&operation, attribute, &value, sizeof value);
    }
    void prefer(cublasLtMatmulPreferenceAttributes_t attribute, uint32_t value)
    {
        cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value);
    }
    cublasStatus_t ask()
    {
        return cublasLtMatmulAlgoGetHeuristic(handle, &operation, &a, &b, &d, &d, &preference, 8, candidates,
                                              &count);
    }
    cublasStatus_t multiply(const cublasLtMatmulAlgo_t *algorithm, size_t shift = 0)
    {
        return cublasLtMatmul(handle, &operation, &p.alpha, weight.at, &a, x.at + shift, &b, &p.beta, y.at,
                              &d, y.at, &d, algorithm, workspace.at, WORKSPACE_BYTES, nullptr);
    }
    /* The expected element. */
    double expected(int64_t row, int64_t column) const
    {
        double sum = 0, u;
        for (int64_t i = 0; i < p.k; i++)
            sum += static_cast<double>(
                       weight_numbers[static_cast<size_t>(p.transpose_a ? row * p.k + i : i * p.m + row)]) *
                   static_cast<double>(x_numbers[static_cast<size_t>(column * p.stride + i)]);
        sum *= static_cast<double>(p.alpha);
        if (p.beta != 0.0f)
            sum += static_cast<double>(p.beta) *
                   static_cast<double>(y_numbers[static_cast<size_t>(column * p.m + row)]);
        if (p.epilogue & CUBLASLT_EPILOGUE_BIAS)
            sum += static_cast<double>(bias_numbers[static_cast<size_t>(row)]);
        u = sqrt(2 / M_PI) * (sum + 0.044715 * sum * sum * sum);
        return p.epilogue & CUBLASLT_EPILOGUE_GELU ? 0.5 * sum * (1 + tanh(u)) : sum;
    }
};

static int attribute_of(const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute)
{
    int32_t value = -1;
    size_t written = 0;
    cublasLtMatmulAlgoConfigGetAttribute(algorithm, attribute, &value, sizeof value, &written);
    return value;
}

static const problem PROBLEMS[] = {
    {CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLASLT_EPILOGUE_DEFAULT, 7, 5, 33, 1.0f, 0.0f, 1, 33},
    {CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLASLT_EPILOGUE_BIAS, 8, 6, 20, 0.5f, 2.0f, 0, 24},
    {CUDA_R_16BF, CUDA_R_16BF, CUDA_R_16BF, CUBLASLT_EPILOGUE_GELU_BIAS, 16, 9, 40, 0.25f, 0.0f, 1, 40},
    {CUDA_R_16BF, CUDA_R_32F, CUDA_R_32F, CUBLASLT_EPILOGUE_GELU, 16, 1030, 64, 0.125f, 0.0f, 1, 64},
    {CUDA_R_8F_E4M3, CUDA_R_16BF, CUDA_R_16BF, CUBLASLT_EPILOGUE_BIAS, 32, 5, 48, 1.0f, 0.0f, 1, 64},
    {CUDA_R_8F_E4M3, CUDA_R_32F, CUDA_R_16BF, CUBLASLT_EPILOGUE_BIAS, 16, 5, 48, 1.0f, 0.0f, 1, 48},
};

static void products_of_every_kind_are_right(void)
{
    for (const problem &problem : PROBLEMS) {
        for (int which = 0; which < 3; which++) {
            run run(problem);
            CHECK(run.ask() == CUBLAS_STATUS_SUCCESS && run.count == 3, "%d", run.count);
            CHECK(run.multiply(&run.candidates[which].algo) == CUBLAS_STATUS_SUCCESS, "%d", which);
            std::vector<char> y = run.y.read();
            double worst = 0, bound = problem.result == CUDA_R_32F ? 1e-5 : 0x1p-8;
            for (int64_t i = 0; i < problem.m * problem.n; i++) {
                double expected = run.expected(i % problem.m, i / problem.m);
                double error =
                    fabs(static_cast<double>(decode(y, static_cast<size_t>(i), problem.result)) - expected) /
                    (1 + fabs(expected));
                worst = error > worst ? error : worst;
            }
            CHECK(worst < bound, "%d: %g", which, worst);
        }
    }
}

static void scales_of_fp8_multiply(void)
{
    run run({CUDA_R_8F_E4M3, CUDA_R_8F_E4M3, CUDA_R_16BF, CUBLASLT_EPILOGUE_DEFAULT, 16, 2, 16, 1, 0, 1, 16});
    const float *half = run.scales.at, *four = run.scales.at + 1;
    cublasLtMatrixLayoutOpaque_t c;
    cublasLtMatrixLayoutInit(&c, CUDA_R_16BF, 16, 2, 16);
    array<char> c_numbers(64);
    run.set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, half);
    run.set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, half);
    run.set(CUBLASLT_MATMUL_DESC_D_SCALE_POINTER, four);
    cublasStatus_t status =
        cublasLtMatmul(run.handle, &run.operation, &run.p.alpha, run.weight.at, &run.a, run.x.at, &run.b,
                       &run.p.beta, c_numbers.at, &c, run.y.at, &run.d, nullptr, nullptr, 0, nullptr);
    CHECK(status == CUBLAS_STATUS_SUCCESS, "%s", cublasLtGetStatusString(status));
    std::vector<char> y = run.y.read();
    for (int64_t i = 0; i < 32; i++) { /* 0.5 * 0.5 * 4 */
        float rounded = static_cast<float>(__nv_fp8_e4m3(static_cast<float>(run.expected(i % 16, i / 16))));
        CHECK(decode(y, static_cast<size_t>(i), CUDA_R_8F_E4M3) == rounded, "%d: %g", static_cast<int>(i),
              rounded);
    }
}

/* Values of many magnitudes, so that the order of a sum shows. */
static void algorithms_sum_in_orders_of_their_own(void)
{
    std::vector<std::vector<char>> results;
    for (int which = 0; which < 3; which++) {
        run run({CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, CUBLASLT_EPILOGUE_DEFAULT, 16, 4, 512, 1, 0, 1, 512});
        std::vector<float> numbers(512 * 16);
        for (size_t i = 0; i < numbers.size(); i++)
            numbers[i] = 1.0f / static_cast<float>(1 + i * 7919 % 1013);
        cudaMemcpy(run.weight.at, numbers.data(), numbers.size() * 4, cudaMemcpyHostToDevice);
        CHECK(run.ask() == CUBLAS_STATUS_SUCCESS, "asked");
        run.multiply(&run.candidates[which].algo);
        results.push_back(run.y.read());
        run.multiply(&run.candidates[which].algo);
        CHECK(run.y.read() == results.back(), "the same again");
    }
    CHECK(results[0] != results[1] && results[1] != results[2] && results[0] != results[2], "three results");
}

static void the_heuristic_depends_on_the_columns_and_obeys_wishes(void)
{
    problem many = PROBLEMS[3], few = PROBLEMS[3];
    few.n = 8;
    run of_many(many), of_few(few);
    of_many.ask();
    of_few.ask();
    CHECK(attribute_of(&of_many.candidates[0].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) == 1, "many columns");
    CHECK(attribute_of(&of_few.candidates[0].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) == 4, "few columns");
    CHECK(attribute_of(&of_few.candidates[0].algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) ==
              CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE,
          "which are reduced");
    of_few.prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_NONE);
    of_few.ask();
    CHECK(of_few.count == 2 && attribute_of(&of_few.candidates[0].algo, CUBLASLT_ALGO_CONFIG_TILE_ID) == 20,
          "%d", of_few.count);
    uint64_t nothing = 0;
    cublasLtMatmulPreferenceSetAttribute(&of_few.preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &nothing, sizeof nothing);
    of_few.ask();
    CHECK(of_few.count == 1 && of_few.candidates[0].workspaceSize == 0, "%d", of_few.count);
    uint32_t wide = 0;
    size_t written = 0;
    CHECK(cublasLtMatmulAlgoConfigGetAttribute(&of_few.candidates[0].algo,
                                               CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, &wide, sizeof wide,
                                               &written) == CUBLAS_STATUS_INVALID_VALUE,
          "an attribute of two bytes");
}

static cublasStatus_t asked(const problem &problem)
{
    run run(problem);
    return run.ask();
}

static void what_cublaslt_refuses_is_refused(void)
{
    const struct {
        problem p;
        cublasStatus_t status;
    } cases[] = {
        {{CUDA_R_8F_E4M3, CUDA_R_16BF, CUDA_R_16BF, 1, 32, 5, 48, 1, 0, 0, 48}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_8F_E4M3, CUDA_R_16BF, CUDA_R_16BF, 1, 32, 5, 40, 1, 0, 1, 48}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_8F_E4M3, CUDA_R_16BF, CUDA_R_16BF, 1, 32, 5, 48, 1, 0, 1, 56}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_8F_E4M3, CUDA_R_16BF, CUDA_R_16BF, 1, 36, 5, 48, 1, 0, 1, 48}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_8F_E4M3, CUDA_R_32F, CUDA_R_32F, 4, 32, 5, 48, 1, 0, 1, 48}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_16BF, CUDA_R_16BF, CUDA_R_32F, 4, 32, 5, 48, 1, 0, 1, 48}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_16BF, CUDA_R_32F, CUDA_R_16BF, 4, 32, 5, 48, 1, 0, 1, 48}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_32F, CUDA_R_16BF, CUDA_R_16BF, 1, 32, 5, 48, 1, 0, 1, 48}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, 2, 32, 5, 48, 1, 0, 1, 48}, CUBLAS_STATUS_NOT_SUPPORTED},
        {{CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, 1, 32, 5, 48, 1, 0, 1, 47}, CUBLAS_STATUS_INVALID_VALUE},
        {{CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, 1, 32, 5, 48, 1, 0, 1, 48}, CUBLAS_STATUS_SUCCESS},
    };
    for (const auto &each : cases) {
        cublasStatus_t status = asked(each.p);
        CHECK(status == each.status, "%d: %s", static_cast<int>(&each - cases),
              cublasLtGetStatusString(status));
    }
    setenv("REEL_FAKE_CAPABILITY", "8.0", 1);
    CHECK(asked(PROBLEMS[4]) == CUBLAS_STATUS_NOT_SUPPORTED, "fp8 before sm_89");
    unsetenv("REEL_FAKE_CAPABILITY");
}

static void arrays_and_algorithms_have_to_fit(void)
{
    run run(PROBLEMS[2]), other(PROBLEMS[0]);
    run.prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 16);
    run.ask();
    other.ask();
    cublasLtMatmulHeuristicResult_t checked;
    CHECK(cublasLtMatmulAlgoCheck(run.handle, &run.operation, &run.a, &run.b, &run.d, &run.d,
                                  &run.candidates[0].algo, &checked) == CUBLAS_STATUS_SUCCESS,
          "its own");
    CHECK(cublasLtMatmulAlgoCheck(run.handle, &run.operation, &run.a, &run.b, &run.d, &run.d,
                                  &other.candidates[0].algo, &checked) == CUBLAS_STATUS_INVALID_VALUE,
          "that of other types");
    CHECK(run.multiply(&run.candidates[0].algo, 8) == CUBLAS_STATUS_INVALID_VALUE, "8 bytes off");
    check_words(words_before(SIGABRT, [&] { run.multiply(&run.candidates[0].algo, 16); }),
                {"cublasLtMatmul, B", "an allocation of 720"});
    reel_fake_refuse("cublasLtMatmul", 0, CUBLAS_STATUS_EXECUTION_FAILED);
    CHECK(run.multiply(&run.candidates[0].algo) == CUBLAS_STATUS_EXECUTION_FAILED, "refused");
    CHECK(run.multiply(&run.candidates[0].algo) == CUBLAS_STATUS_SUCCESS, "once");
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    RUN(products_of_every_kind_are_right);
    RUN(scales_of_fp8_multiply);
    RUN(algorithms_sum_in_orders_of_their_own);
    RUN(the_heuristic_depends_on_the_columns_and_obeys_wishes);
    RUN(what_cublaslt_refuses_is_refused);
    RUN(arrays_and_algorithms_have_to_fit);
    return test_end();
}
