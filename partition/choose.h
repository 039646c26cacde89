/* Which mesh: every one that a job leaves open, what each takes and about how long, and the one to use.
 *
 *     struct reel_mesh asked = {.cfg = REEL_AUTO_WAYS, .ring = 1, .ulysses = REEL_AUTO_WAYS, .tensor = 2};
 *     REEL_PASS(reel_plan_choose(&model, &work, &asked, 8, &machine, &plan, NULL));
 *
 * Of the meshes that fit, the least estimated seconds (estimate.h) decide, but with two allowances. A mesh of cfg and
 * ulysses alone, whose numbers are those of one rank bit for bit, may be a tenth slower than one with ring or tensor.
 * And estimates are no better than a few percent: among those within 2% of the least it is, in this order, the one with
 * the least tensor ways, the least ring ways, resident weights, and both branches at once (cfg 2). Weights that are left
 * open are resident wherever a resident mesh fits. Every rank makes the same choice from the same counts.
 *
 * Not collective; all functions are pure. */
#ifndef REEL_CHOOSE_H
#define REEL_CHOOSE_H

#include "device_rates.h"
#include "plan.h"

/* Ways, or gathered, that are left to reel. */
enum { REEL_AUTO_WAYS = -1 };

/* No number of ranks up to REEL_PARTS_MAX has more meshes: 720 has 900. */
enum { REEL_CANDIDATES_MAX = 1024, REEL_WHY_BYTES = 384 };

/* A mesh that is possible. */
struct reel_candidate {
    struct reel_mesh mesh;
    int64_t bytes;      /* of rank 0, which is the fullest; libraries included */
    int64_t sent_bytes; /* by rank 0 in an iteration of the longest window */
    double seconds;     /* of that iteration */
    int fits;
};

/* Those that fit first, each part by seconds. */
struct reel_candidates {
    int64_t count;
    int64_t fitting;
    int64_t chosen; /* -1: none fits */
    struct reel_candidate at[REEL_CANDIDATES_MAX];
};

/* Every mesh of so many ranks with the ways that are given: REEL_BAD_PLAN when there is none. */
enum reel_status reel_candidates_make(const struct reel_model *model, const struct reel_workload *work,
                                      const struct reel_mesh *asked, int64_t ranks,
                                      const struct reel_machine *machine, struct reel_candidates *candidates);

/* The one of a job that takes the least memory. */
const struct reel_candidate *reel_candidates_smallest(const struct reel_candidates *candidates);

/* Why the chosen one was chosen, in one line. */
void reel_candidates_why(const struct reel_candidates *candidates, char why[REEL_WHY_BYTES]);

/* REEL_BAD_PLAN when none fits, with what the smallest needs. */
enum reel_status reel_candidates_check(const struct reel_candidates *candidates, int64_t ranks,
                                       const struct reel_machine *machine);

/* All of it: the plan of the mesh to use, and why unless that is NULL. The errors of make and check. */
enum reel_status reel_plan_choose(const struct reel_model *model, const struct reel_workload *work,
                                  const struct reel_mesh *asked, int64_t ranks,
                                  const struct reel_machine *machine, struct reel_plan *plan,
                                  char why[REEL_WHY_BYTES]);

/* The fewest ranks from first to last on which a mesh fits; 0: none does. */
int64_t reel_ranks_that_fit(const struct reel_model *model, const struct reel_workload *work,
                            const struct reel_mesh *asked, int64_t first, int64_t last,
                            const struct reel_machine *machine);

/* The bytes of the fullest rank, libraries included. */
int64_t reel_plan_fullest(const struct reel_plan *plan, const struct reel_machine *machine);

/* A mesh in a few letters, as "cfg 2 x ulysses 4, gathered": axes of one way are left out. */
enum { REEL_MESH_TEXT_BYTES = 96 };
void reel_mesh_text(const struct reel_mesh *mesh, char text[REEL_MESH_TEXT_BYTES]);

#endif
