/* Chooses a mesh: lists every mesh that the job allows, estimates its memory and time, and picks one.
 *
 *     struct reel_mesh asked = {.cfg = REEL_AUTO_WAYS, .ring = 1, .ulysses = REEL_AUTO_WAYS, .tensor = 2};
 *     REEL_PASS(reel_plan_choose(&model, &work, &asked, 8, &machine, &plan, NULL));
 *
 * Of the meshes that fit in memory, the one with the least estimated seconds (estimate.h) is chosen, with
 * two allowances. First, a mesh of cfg and ulysses alone gives the results of one rank bit for bit, so it
 * is preferred to a mesh with ring or tensor that is up to a tenth faster. Second, estimates are no better
 * than a few percent, so among the meshes within 2% of the fastest, the choice is, in this order: the
 * fewest tensor ways, the fewest ring ways, resident weights, both branches at once (cfg 2). If the job
 * does not say whether weights are gathered, they are resident wherever a resident mesh fits. Every rank
 * makes the same choice from the same counts.
 *
 * Not collective; all functions are pure. */
#ifndef REEL_CHOOSE_H
#define REEL_CHOOSE_H

#include "device_rates.h"
#include "plan.h"

/* The value of an axis' ways, or of gathered, that reel chooses. */
enum { REEL_AUTO_WAYS = -1 };

/* No number of ranks up to REEL_PARTS_MAX has more meshes than this. The worst is 720 ranks, with 900
 * meshes. */
enum { REEL_CANDIDATES_MAX = 1024, REEL_WHY_BYTES = 384 };

/* One possible mesh. */
struct reel_candidate {
    struct reel_mesh mesh;
    int64_t bytes;      /* of rank 0, which needs the most; libraries included */
    int64_t sent_bytes; /* by rank 0 in one iteration over the longest window */
    double seconds;     /* of that iteration */
    int fits;
};

/* The candidates that fit come first. Both groups are sorted by seconds. */
struct reel_candidates {
    int64_t count;
    int64_t fitting;
    int64_t chosen; /* -1: none fits */
    struct reel_candidate at[REEL_CANDIDATES_MAX];
};

/* Lists and estimates every mesh of `ranks` ranks that agrees with `asked`. REEL_BAD_PLAN when there is
 * none. */
enum reel_status reel_candidates_make(const struct reel_model *model, const struct reel_workload *work,
                                      const struct reel_mesh *asked, int64_t ranks,
                                      const struct reel_machine *machine, struct reel_candidates *candidates);

/* The candidate that takes the least memory. */
const struct reel_candidate *reel_candidates_smallest(const struct reel_candidates *candidates);

/* Writes, in one line, why the chosen candidate was chosen. */
void reel_candidates_why(const struct reel_candidates *candidates, char why[REEL_WHY_BYTES]);

/* REEL_BAD_PLAN when no candidate fits; the message says how much memory the smallest needs. */
enum reel_status reel_candidates_check(const struct reel_candidates *candidates, int64_t ranks,
                                       const struct reel_machine *machine);

/* Does all of the above: lists, chooses and makes the plan of the chosen mesh. Also writes why, unless why
 * is NULL. The errors of reel_candidates_make and reel_candidates_check. */
enum reel_status reel_plan_choose(const struct reel_model *model, const struct reel_workload *work,
                                  const struct reel_mesh *asked, int64_t ranks,
                                  const struct reel_machine *machine, struct reel_plan *plan,
                                  char why[REEL_WHY_BYTES]);

/* The smallest number of ranks in first .. last with a mesh that fits; 0 when there is none. */
int64_t reel_ranks_that_fit(const struct reel_model *model, const struct reel_workload *work,
                            const struct reel_mesh *asked, int64_t first, int64_t last,
                            const struct reel_machine *machine);

/* The bytes of the rank that needs the most, libraries included. */
int64_t reel_plan_fullest(const struct reel_plan *plan, const struct reel_machine *machine);

/* Writes a mesh in short, as "cfg 2 x ulysses 4, gathered". Axes of one way are left out. */
enum { REEL_MESH_TEXT_BYTES = 96 };
void reel_mesh_text(const struct reel_mesh *mesh, char text[REEL_MESH_TEXT_BYTES]);

#endif
