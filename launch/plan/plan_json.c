/* A forecast as one JSON object. */
#include "plan_forecast.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static const char *memory_name(int m)
{
    return reel_memory_name((enum reel_memory)m);
}

static const char *class_name(int p)
{
    return reel_traffic_class_name((enum reel_traffic_class)p);
}

/* An object with one integer per name, and their total. */
static json_t *integers_json(int count, const char *(*name)(int), const int64_t *values, int64_t total)
{
    json_t *object = json_object();
    for (int i = 0; i < count; i++)
        json_object_set_new(object, name(i), json_integer(values[i]));
    json_object_set_new(object, "total", json_integer(total));
    return object;
}

static json_t *flops_json(const struct reel_flops *flops)
{
    return json_pack("{s:f, s:f}", "gemm", flops->gemm, "attention", flops->attention);
}

static json_t *mesh_json(const struct reel_mesh *mesh)
{
    char text[REEL_MESH_TEXT_BYTES];
    reel_mesh_text(mesh, text);
    return json_pack("{s:I, s:I, s:I, s:I, s:s, s:s}", "cfg", (json_int_t)mesh->cfg, "ring",
                     (json_int_t)mesh->ring, "ulysses", (json_int_t)mesh->ulysses, "tensor",
                     (json_int_t)mesh->tensor, "weights", mesh->gathered ? "gathered" : "resident", "text",
                     text);
}

static json_t *candidate_json(int64_t ranks, const struct reel_candidate *candidate)
{
    return json_pack("{s:I, s:o, s:I, s:I, s:f, s:b}", "ranks", (json_int_t)ranks, "mesh",
                     mesh_json(&candidate->mesh), "bytes", (json_int_t)candidate->bytes, "sent_bytes",
                     (json_int_t)candidate->sent_bytes, "seconds", candidate->seconds, "fits",
                     candidate->fits);
}

static json_t *machine_json(const struct reel_machine *machine)
{
    const struct reel_device_rates *d = &machine->device;
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "name", d->name, "gemm_flops_per_s",
                     d->gemm_rate, "attention_flops_per_s", d->attention_rate, "memory_bytes_per_s",
                     d->memory_rate, "near_bytes_per_s", d->near_rate, "far_bytes_per_s", d->far_rate,
                     "libraries_bytes", (json_int_t)d->libraries_bytes, "ranks_per_node",
                     (json_int_t)machine->ranks_per_node, "room_bytes", (json_int_t)machine->room_bytes);
}

static json_t *rank_json(const struct reel_forecast_rank *of)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o}", "memory",
        integers_json(REEL_MEMORIES, memory_name, of->held.bytes, of->held.total), "sent_by_iteration",
        integers_json(REEL_TRAFFIC_CLASSES, class_name, of->sent.bytes, of->sent.total), "sent",
        integers_json(REEL_TRAFFIC_CLASSES, class_name, of->sent_by_job.bytes, of->sent_by_job.total),
        "flops", flops_json(&of->flops));
}

/* Adds the plan of the chosen mesh. */
static void add_plan(const struct reel_forecast *f, json_t *all)
{
    const struct reel_estimate *e = &f->iteration;
    json_t *ranks = json_array();
    for (int64_t rank = 0; rank < f->ranks; rank++)
        json_array_append_new(ranks, rank_json(&f->of[rank]));
    json_object_set_new(all, "mesh", mesh_json(&f->plan.mesh));
    json_object_set_new(all, "why", json_string(f->why));
    json_object_set_new(all, "seconds",
                        json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "iteration", e->seconds, "gemm", e->gemm,
                                  "attention", e->attention, "passes", e->passes, "waiting", e->waiting,
                                  "job", f->seconds));
    json_object_set_new(all, "ranks", ranks);
}

static void add_alternatives(const struct reel_forecast *f, json_t *all)
{
    struct reel_alternative alternatives[REEL_ALTERNATIVES_MAX];
    int64_t count = reel_forecast_alternatives(f, alternatives);
    json_t *list = json_array();
    for (int64_t a = 0; a < count; a++) {
        json_t *one = candidate_json(alternatives[a].ranks, &alternatives[a].candidate);
        json_object_set_new(one, "change", json_string(alternatives[a].change));
        json_array_append_new(list, one);
    }
    json_object_set_new(all, "alternatives", list);
}

/* JSON has no infinity and no NaN. */
static json_t *finite_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *teacache_json(const struct reel_forecast *f)
{
    json_t *calls = json_array(), *coefficients = json_array();
    if (f->teacache.mode == REEL_TEACACHE_OFF) {
        json_decref(calls);
        json_decref(coefficients);
        return json_null();
    }
    for (int64_t c = 0; c < f->teacache.coefficient_count; c++)
        json_array_append_new(coefficients, json_real(f->teacache.coefficients[c]));
    for (int64_t c = 0; !f->undecided[0] && c < f->timeline.call_count; c++) {
        const struct reel_call *call = &f->timeline.calls[c];
        json_array_append_new(
            calls, json_pack("{s:I, s:I, s:I, s:b, s:o, s:o}", "chunk", (json_int_t)call->chunk, "iteration",
                             (json_int_t)call->iteration, "branch", (json_int_t)call->branch, "computed",
                             (int)call->computed, "distance", finite_json(call->distance), "accumulated",
                             finite_json(call->accumulated)));
    }
    return json_pack("{s:s, s:f, s:s, s:o, s:o, s:f, s:o}", "mode",
                     f->teacache.mode == REEL_TEACACHE_E ? "e" : "e0", "threshold", f->teacache.threshold,
                     "set", f->teacache.set, "coefficients", coefficients, "undecided",
                     f->undecided[0] ? json_string(f->undecided) : json_null(), "seconds_saved",
                     f->saved_seconds, "calls", calls);
}

void reel_forecast_json(const struct reel_forecast *f, int every_mesh)
{
    json_t *all =
        json_pack("{s:b, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "fits", f->of != NULL, "device",
                  machine_json(&f->machine), "compute", f->work.dtype == REEL_F32 ? "fp32" : "bf16", "chunks",
                  (json_int_t)f->timeline.chunk_count, "iterations", (json_int_t)f->timeline.iterations,
                  "branches", (json_int_t)f->work.branches, "skips", (json_int_t)f->skips, "latent_frames",
                  (json_int_t)f->work.video_frames, "tokens",
                  (json_int_t)(f->work.window_frames * f->work.H * f->work.W), "embedding_rows",
                  (json_int_t)f->timeline.table.rows);
    json_object_set_new(all, "teacache", teacache_json(f));
    if (f->of)
        add_plan(f, all);
    else
        add_alternatives(f, all);
    if (every_mesh) {
        json_t *meshes = json_array();
        for (int64_t c = 0; c < f->candidates.count; c++)
            json_array_append_new(meshes, candidate_json(f->ranks, &f->candidates.at[c]));
        json_object_set_new(all, "meshes", meshes);
    }
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}
