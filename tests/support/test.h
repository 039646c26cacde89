/* The test harness: a test is a function whose name states a fact; CHECK counts and reports.
 *
 *     static void a_cut_covers_everything(void)
 *     {
 *         CHECK(reel_cut_total(&cut) == 10, "total %lld", ...);
 *     }
 *     int main(void)
 *     {
 *         RUN(a_cut_covers_everything);
 *         return test_end();
 *     }
 *
 * A test function without a single CHECK fails, and so does a program that runs none. Programs for mpirun
 * link test_mpi.c instead of test_serial.c; their test_end then gives one verdict for all ranks. */
#ifndef REEL_TEST_TEST_H
#define REEL_TEST_TEST_H

#include <stdint.h>
#include <stdio.h>

extern int64_t test_checks, test_failures, test_functions;

#define CHECK(condition, ...)                                                                                \
    do {                                                                                                     \
        test_checks++;                                                                                       \
        if (!(condition)) {                                                                                  \
            test_failures++;                                                                                 \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                  \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fputc('\n', stderr);                                                                             \
        }                                                                                                    \
    } while (0)

/* CHECKs that an error lies below its bound. name is one word. test_end prints the largest error of each name
 * over all ranks:
 *
 *     result: official error 3.1e-07 bound 1e-05 */
void test_measured(const char *name, double error, double bound);

struct test_measure {
    char name[48];
    double error, bound;
};
enum { TEST_MEASURES = 16 };
extern struct test_measure test_measures[TEST_MEASURES]; /* up to the first without a name */

/* Prints one measure. */
void test_measure_print(const struct test_measure *measure);

#define RUN(function) test_run(#function, function)

void test_run(const char *name, void (*function)(void));

/* Prints the counts and returns the exit code; 1 when anything failed or nothing ran. */
int test_end(void);

/* The folder of the reference cases, tests/reference/. */
const char *test_reference(void);

/* A fresh folder for this test program's files, removed by test_end; the same on every rank. */
const char *test_folder(void);

/* ||a - b|| / ||b|| over count elements; NaN if any element is not finite. */
double test_relative_error(const float *a, const float *b, int64_t count);

#endif
