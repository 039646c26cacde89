/* The test harness, except for the part that is different under MPI. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t test_checks, test_failures, test_functions;
struct test_measure test_measures[TEST_MEASURES];

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

void test_measured(const char *name, double error, double bound)
{
    int m = 0;
    while (m < TEST_MEASURES - 1 && test_measures[m].name[0] && strcmp(test_measures[m].name, name) != 0)
        m++;
    struct test_measure *measure = &test_measures[m];
    if (!measure->name[0])
        snprintf(measure->name, sizeof measure->name, "%s", name);
    CHECK(strcmp(measure->name, name) == 0, "more than %d names, or one that is too long", TEST_MEASURES);
    CHECK(error < bound, "%s: error %g, expected less than %g", name, error, bound);
    if (!(error <= measure->error)) /* NaN is the worst */
        measure->error = isnan(error) ? (double)INFINITY : error;
    measure->bound = bound;
}

void test_measure_print(const struct test_measure *measure)
{
    printf("result: %s error %.2g bound %.2g\n", measure->name, measure->error, measure->bound);
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
