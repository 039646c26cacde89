/* Libraries that are loaded at their first use: either name is found, and a missing library gives an error
 * that says so. */
#include "dynlib.h"
#include "test.h"

static struct reel_dynlib mathematics = {.names = {"libabsent-of-reel.so.1", "libm.so.6"},
                                         .lock = PTHREAD_MUTEX_INITIALIZER};
static struct reel_dynlib absent = {.names = {"libabsent-of-reel.so.1", "/absent/libabsent-of-reel.so.1"},
                                    .lock = PTHREAD_MUTEX_INITIALIZER};

double lgamma_r(double x, int *sign);
double absent_function(double x, int *sign);
const char *absent_words(int code);

REEL_DYNLIB_FUNCTION(mathematics, double, -1, lgamma_r, (double x, int *sign), (x, sign))
REEL_DYNLIB_FUNCTION(absent, double, -1, absent_function, (double x, int *sign), (x, sign))
REEL_DYNLIB_FUNCTION(absent, const char *, absent.why, absent_words, (int code), (code))

static void a_function_is_that_of_the_library(void)
{
    int sign = 0;
    for (int i = 0; i < 2; i++)
        CHECK(lgamma_r(0.5, &sign) > 0.572 && lgamma_r(0.5, &sign) < 0.573 && sign == 1, "lgamma_r(0.5)");
    CHECK(mathematics.why[0] == '\0', "\"%s\" of a library that is there", mathematics.why);
    CHECK(!reel_dynlib_find(&mathematics, "no_such_function"), "a function that nobody has");
}

static void a_library_that_is_missing_is_named(void)
{
    int sign = 7;
    CHECK(absent_function(0.5, &sign) < 0 && sign == 7, "a function of a library that is missing");
    CHECK(strstr(absent_words(3), "libabsent-of-reel.so.1"), "\"%s\" does not name it", absent_words(3));
}

int main(void)
{
    RUN(a_function_is_that_of_the_library);
    RUN(a_library_that_is_missing_is_named);
    return test_end();
}
