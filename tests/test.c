/* The test harness without MPI's part. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

int64_t test_checks, test_failures, test_functions;

void test_run(const char *name, void (*function)(void))
{
    int64_t before = test_checks, failed = test_failures;
    test_functions++;
    function();
    if (test_checks == before) {
        test_failures++;
        fprintf(stderr, "%s checked nothing\n", name);
    }
    if (test_failures != failed)
        fprintf(stderr, "FAILED: %s\n", name);
}

const char *test_reference(void)
{
    return REEL_TEST_REFERENCE;
}

double test_relative_error(const float *a, const float *b, int64_t count)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];
        difference += d * d;
        norm += (double)b[i] * (double)b[i];
    }
    return isfinite(difference) && isfinite(norm) ? sqrt(difference / norm) : (double)NAN;
}
