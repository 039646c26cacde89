/* Lists, estimates and chooses meshes. */
#include "choose.h"

#include "buffers.h"
#include "estimate.h"
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Estimates within this factor of each other count as equal. A mesh that gives the bits of one rank may be
 * slower by the factor `worth`. */
static const double within = 1.02, worth = 1.10;

int64_t reel_plan_fullest(const struct reel_plan *plan, const struct reel_machine *machine)
{
    int64_t held[REEL_MEMORIES], sum = machine->device.libraries_bytes;
    reel_memory_held(&reel_buffers, plan, 0, held);
    for (int m = 0; m < REEL_MEMORIES; m++)
        sum += held[m];
    return sum;
}

void reel_mesh_text(const struct reel_mesh *mesh, char text[REEL_MESH_TEXT_BYTES])
{
    const char *const names[] = {"cfg", "ring", "ulysses", "tensor"};
    const int64_t ways[] = {mesh->cfg, mesh->ring, mesh->ulysses, mesh->tensor};
    int at = 0;
    text[0] = '\0';
    for (int a = 0; a < 4; a++)
        if (ways[a] > 1)
            at += snprintf(text + at, (size_t)(REEL_MESH_TEXT_BYTES - at), "%s%s %lld", at ? " x " : "",
                           names[a], (long long)ways[a]);
    if (at == 0)
        at = snprintf(text, REEL_MESH_TEXT_BYTES, "one rank");
    if (mesh->gathered)
        snprintf(text + at, (size_t)(REEL_MESH_TEXT_BYTES - at), ", gathered");
}

/* Whether the job allows an axis to have this many ways. */
static int allows_ways(int64_t asked, int64_t ways)
{
    return asked == REEL_AUTO_WAYS || asked == ways;
}

static void add_candidate(const struct reel_plan *plan, const struct reel_machine *machine,
                          struct reel_candidates *candidates)
{
    struct reel_candidate *candidate = &candidates->at[candidates->count++];
    *candidate = (struct reel_candidate){.mesh = plan->mesh, .bytes = reel_plan_fullest(plan, machine)};
    candidate->fits = machine->room_bytes == 0 || candidate->bytes <= machine->room_bytes;
    candidates->fitting += candidate->fits;
}

/* Lists every mesh of `ranks` ranks that agrees with `asked`. Weights gathered over one rank are simply
 * resident, so such a mesh is not listed again. */
static void list_ways(const struct reel_model *model, const struct reel_workload *work,
                      const struct reel_mesh *asked, int64_t ranks, const struct reel_machine *machine,
                      struct reel_candidates *candidates)
{
    int64_t heads = model->heads;
    for (int64_t cfg = 1; cfg <= work->branches; cfg++)
        for (int64_t tensor = 1; tensor <= heads && cfg * tensor <= ranks; tensor++)
            for (int64_t ulysses = 1; ulysses * tensor <= heads && cfg * tensor * ulysses <= ranks; ulysses++)
                for (int64_t gathered = 0; gathered <= 1; gathered++) {
                    struct reel_plan plan;
                    struct reel_mesh mesh = {cfg, ranks / (cfg * tensor * ulysses), ulysses, tensor,
                                             gathered};
                    if (allows_ways(asked->cfg, cfg) && allows_ways(asked->ring, mesh.ring) &&
                        allows_ways(asked->ulysses, ulysses) && allows_ways(asked->tensor, tensor) &&
                        allows_ways(asked->gathered, gathered) && !(gathered && mesh.ring * ulysses == 1) &&
                        cfg * mesh.ring * ulysses * tensor == ranks &&
                        reel_plan_make(model, work, &mesh, ranks, &plan) == REEL_OK)
                        add_candidate(&plan, machine, candidates);
                }
}

/* As list_ways. When the job asks for gathered weights but no mesh can gather, the meshes with resident
 * weights are listed instead. */
static void list_meshes(const struct reel_model *model, const struct reel_workload *work,
                        const struct reel_mesh *asked, int64_t ranks, const struct reel_machine *machine,
                        struct reel_candidates *candidates)
{
    struct reel_mesh held = *asked;
    held.gathered = 0;
    candidates->count = candidates->fitting = 0;
    if (ranks > REEL_PARTS_MAX)
        return;
    list_ways(model, work, asked, ranks, machine, candidates);
    if (candidates->count == 0 && asked->gathered == 1)
        list_ways(model, work, &held, ranks, machine, candidates);
}

/* Fills in what a listed mesh sends and how long an iteration takes. */
static void estimate_candidate(const struct reel_model *model, const struct reel_workload *work,
                               int64_t ranks, const struct reel_machine *machine,
                               struct reel_candidate *candidate)
{
    struct reel_plan plan;
    int64_t sent[REEL_TRAFFIC_CLASSES] = {0};
    if (reel_plan_make(model, work, &candidate->mesh, ranks, &plan) != REEL_OK)
        return;
    reel_traffic_iteration(&plan, 0, (struct reel_iteration){work->window_frames, 1}, sent);
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
        candidate->sent_bytes += sent[p];
    candidate->seconds = reel_estimate_iteration(&plan, machine, work->window_frames).seconds;
}

/* Candidates that fit come first, then the faster, then the smaller. No two have the same mesh. */
static int compare_candidates(const void *left, const void *right)
{
    const struct reel_candidate *a = left, *b = right;
    if (a->fits != b->fits)
        return a->fits ? -1 : 1;
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return memcmp(&a->mesh, &b->mesh, sizeof a->mesh);
}

/* Whether a is preferred to b when both are equally fast. */
static int is_preferred(const struct reel_mesh *a, const struct reel_mesh *b)
{
    if (a->tensor != b->tensor)
        return a->tensor < b->tensor;
    if (a->ring != b->ring)
        return a->ring < b->ring;
    if (a->gathered != b->gathered)
        return a->gathered < b->gathered;
    return a->cfg > b->cfg;
}

/* Whether a mesh gives the results of one rank bit for bit, because it only moves data. */
static int only_moves_data(const struct reel_mesh *mesh)
{
    return mesh->ring == 1 && mesh->tensor == 1;
}

/* The fastest candidate that fits. moving: only meshes that only move data; resident: only resident
 * weights. -1: none. */
static int64_t fastest_candidate(const struct reel_candidates *candidates, int moving, int resident)
{
    for (int64_t c = 0; c < candidates->fitting; c++)
        if (!(resident && candidates->at[c].mesh.gathered) &&
            (!moving || only_moves_data(&candidates->at[c].mesh)))
            return c;
    return -1;
}

/* The index of the chosen candidate; -1: none fits. Weights are gathered only where no resident mesh fits. */
static int64_t choose_candidate(const struct reel_candidates *candidates)
{
    const struct reel_candidate *at = candidates->at;
    int resident = fastest_candidate(candidates, 0, 1) >= 0;
    int64_t first = fastest_candidate(candidates, 0, resident),
            moving = fastest_candidate(candidates, 1, resident);
    if (first < 0)
        return -1;
    int moves = moving >= 0 && at[moving].seconds <= worth * at[first].seconds;
    int64_t chosen = first = moves ? moving : first;
    for (int64_t c = first; c < candidates->fitting && at[c].seconds <= within * at[first].seconds; c++)
        if (!(resident && at[c].mesh.gathered) && (!moves || only_moves_data(&at[c].mesh)) &&
            is_preferred(&at[c].mesh, &at[chosen].mesh))
            chosen = c;
    return chosen;
}

static void write_ways(int64_t ways, char text[24])
{
    snprintf(text, 24, ways == REEL_AUTO_WAYS ? "auto" : "%lld", (long long)ways);
}

/* Fails with the reason why no mesh agrees with `asked`. */
static enum reel_status fail_without_mesh(const struct reel_model *model, const struct reel_workload *work,
                                          const struct reel_mesh *asked, int64_t ranks)
{
    struct reel_plan plan;
    char cfg[24], ring[24], ulysses[24], tensor[24];
    struct reel_mesh min = {asked->cfg < 1 ? 1 : asked->cfg, asked->ring < 1 ? 1 : asked->ring,
                            asked->ulysses < 1 ? 1 : asked->ulysses, asked->tensor < 1 ? 1 : asked->tensor,
                            0};
    int open = asked->cfg < 1 || asked->ring < 1 || asked->ulysses < 1 || asked->tensor < 1;
    if (!open || min.cfg > work->branches || ranks < 1 || ranks > REEL_PARTS_MAX)
        return reel_plan_make(model, work, &min, ranks, &plan);
    write_ways(asked->cfg, cfg);
    write_ways(asked->ring, ring);
    write_ways(asked->ulysses, ulysses);
    write_ways(asked->tensor, tensor);
    return reel_fail(
        REEL_BAD_PLAN,
        "no mesh of partition.cfg %s x ring %s x ulysses %s x tensor %s has %lld ranks and %lld branches, "
        "expected ways whose product is the number of ranks, with ulysses x tensor at most %lld, the number "
        "of heads",
        cfg, ring, ulysses, tensor, (long long)ranks, (long long)work->branches, (long long)model->heads);
}

enum reel_status reel_candidates_make(const struct reel_model *model, const struct reel_workload *work,
                                      const struct reel_mesh *asked, int64_t ranks,
                                      const struct reel_machine *machine, struct reel_candidates *candidates)
{
    list_meshes(model, work, asked, ranks, machine, candidates);
    if (candidates->count == 0)
        return fail_without_mesh(model, work, asked, ranks);
    for (int64_t c = 0; c < candidates->count; c++)
        estimate_candidate(model, work, ranks, machine, &candidates->at[c]);
    qsort(candidates->at, (size_t)candidates->count, sizeof candidates->at[0], compare_candidates);
    candidates->chosen = choose_candidate(candidates);
    return REEL_OK;
}

const struct reel_candidate *reel_candidates_smallest(const struct reel_candidates *candidates)
{
    const struct reel_candidate *smallest = candidates->at;
    for (int64_t c = 1; c < candidates->count; c++)
        if (candidates->at[c].bytes < smallest->bytes)
            smallest = &candidates->at[c];
    return smallest;
}

void reel_candidates_why(const struct reel_candidates *candidates, char why[REEL_WHY_BYTES])
{
    const struct reel_candidate *chosen = &candidates->at[candidates->chosen], *best = candidates->at;
    char mesh[REEL_MESH_TEXT_BYTES], fitting[64] = "", than[REEL_MESH_TEXT_BYTES + 96] = "";
    int64_t gathered = 0;
    for (int64_t c = 0; c < candidates->count; c++)
        gathered += candidates->at[c].mesh.gathered;
    int held = fastest_candidate(candidates, 0, 1) >= 0;
    while (best->mesh.gathered && held)
        best++;
    reel_mesh_text(&best->mesh, mesh);
    if (candidates->fitting < candidates->count)
        snprintf(fitting, sizeof fitting, " (%lld fit)", (long long)candidates->fitting);
    if (best != chosen)
        snprintf(than, sizeof than, "%.0f%% behind %s, ", 100 * (chosen->seconds / best->seconds - 1), mesh);
    if (candidates->count == 1)
        snprintf(why, REEL_WHY_BYTES, "the only mesh that is possible");
    else
        snprintf(why, REEL_WHY_BYTES, "%sthe fastest of %lld meshes%s by estimate%s%s", than,
                 (long long)candidates->count, fitting,
                 gathered == 0 || gathered == candidates->count ? ""
                 : !held                                        ? ", no mesh with resident weights fits"
                                                                : ", resident weights preferred",
                 best == chosen ? ""
                 : only_moves_data(&chosen->mesh) && !only_moves_data(&best->mesh)
                     ? ", but bit-identical to one rank"
                     : ", but simpler");
}

enum reel_status reel_candidates_check(const struct reel_candidates *candidates, int64_t ranks,
                                       const struct reel_machine *machine)
{
    char mesh[REEL_MESH_TEXT_BYTES];
    if (candidates->chosen >= 0)
        return REEL_OK;
    const struct reel_candidate *smallest = reel_candidates_smallest(candidates);
    reel_mesh_text(&smallest->mesh, mesh);
    return reel_fail(
        REEL_BAD_PLAN,
        "rank 0 of %lld needs %.3f GB with the smallest mesh (%s) but may take %.3f GB, expected more "
        "memory, more ranks or smaller diffusion_forcing.base_frames",
        (long long)ranks, (double)smallest->bytes * 1e-9, mesh, (double)machine->room_bytes * 1e-9);
}

int64_t reel_ranks_that_fit(const struct reel_model *model, const struct reel_workload *work,
                            const struct reel_mesh *asked, int64_t first, int64_t last,
                            const struct reel_machine *machine)
{
    struct reel_candidates candidates;
    for (int64_t ranks = first; ranks <= last; ranks++) {
        list_meshes(model, work, asked, ranks, machine, &candidates);
        if (candidates.fitting > 0)
            return ranks;
    }
    return 0;
}

enum reel_status reel_plan_choose(const struct reel_model *model, const struct reel_workload *work,
                                  const struct reel_mesh *asked, int64_t ranks,
                                  const struct reel_machine *machine, struct reel_plan *plan,
                                  char why[REEL_WHY_BYTES])
{
    struct reel_candidates candidates; /* 90 KB on the stack, because nothing here allocates */
    REEL_PASS(reel_candidates_make(model, work, asked, ranks, machine, &candidates));
    REEL_PASS(reel_candidates_check(&candidates, ranks, machine));
    if (why)
        reel_candidates_why(&candidates, why);
    return reel_plan_make(model, work, &candidates.at[candidates.chosen].mesh, ranks, plan);
}
