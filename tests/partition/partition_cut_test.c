/* Cuts cover everything once, for every number of parts. */
#include "cut.h"
#include "test.h"

static void parts_follow_each_other_and_differ_by_at_most_one(void)
{
    for (int64_t total = 0; total < 40; total++)
        for (int64_t parts = 1; parts < 12; parts++) {
            struct reel_cut cut = reel_cut_even(total, parts);
            CHECK(cut.first[0] == 0 && reel_cut_total(&cut) == total, "%lld over %lld", (long long)total,
                  (long long)parts);
            for (int64_t p = 0; p < parts; p++) {
                int64_t count = reel_cut_count(&cut, p);
                CHECK(count == total / parts || count == total / parts + 1, "part %lld has %lld",
                      (long long)p, (long long)count);
                CHECK(count <= reel_cut_largest(&cut), "largest is %lld", (long long)reel_cut_largest(&cut));
            }
        }
}

static void a_14b_sequence_is_cut_over_72_ranks(void)
{
    struct reel_cut cut = reel_cut_even(111600, 72);
    CHECK(cut.first[72] == 111600 && reel_cut_largest(&cut) == 1550, "largest %lld",
          (long long)reel_cut_largest(&cut));
}

int main(void)
{
    RUN(parts_follow_each_other_and_differ_by_at_most_one);
    RUN(a_14b_sequence_is_cut_over_72_ranks);
    return test_end();
}
