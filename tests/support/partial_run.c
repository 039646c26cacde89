/* Opening, running and leaving a job. */
#include "partial_run.h"

#include "job_file.h"
#include "sampler.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static void see(void *context, const struct reel_event *event)
{
    struct partial_end *end = context;
    size_t used = strlen(end->notes);
    end->checkpoints += event->kind == REEL_EVENT_CHECKPOINT && event->bytes > 0;
    if (event->kind == REEL_EVENT_NOTE)
        snprintf(end->notes + used, sizeof end->notes - used, "%s\n", event->text);
    if (event->kind == REEL_EVENT_CHECKPOINT && event->bytes == 0)
        snprintf(end->notes + used, sizeof end->notes - used, "not saved: %s\n", event->text);
}

static void spoil(struct reel_engine *engine, enum reel_buffer buffer, int64_t bytes)
{
    char *numbers = malloc((size_t)bytes + 1);
    memset(numbers, 0xff, (size_t)bytes);
    if (reel_buffers.specs[buffer].on_host)
        memcpy(engine->arena.at[buffer], numbers, (size_t)bytes);
    else
        reel_upload(&engine->stream, engine->arena.at[buffer], numbers, bytes);
    free(numbers);
}

/* Fills with NaN every buffer that the checkpoint does not restore, so that reading one shows in the
 * latents. */
static void poison(struct reel_sampler *s, int64_t rank)
{
    static const enum reel_buffer history[] = {REEL_LATENTS_M0, REEL_LATENTS_M1, REEL_LATENTS_LAST};
    static const enum reel_buffer fresh[] = {
        REEL_TEACACHE_PREVIOUS, REEL_TEACACHE_RESIDUAL, REEL_LATENTS_CONDITION, REEL_LATENTS_NOISE,
        REEL_LATENTS_INPUT,     REEL_LATENTS_VELOCITY,  REEL_TOKENS_X,          REEL_TOKENS_NORMED};
    int64_t table[REEL_BUFFERS];
    reel_plan_table(&s->engine->plan, rank, table);
    for (size_t b = 0; b < sizeof fresh / sizeof fresh[0]; b++)
        if (table[fresh[b]] > 0)
            spoil(s->engine, fresh[b], table[fresh[b]]);
    if (s->resume.saved.metadata.chunk_frames > 0 &&
        reel_solver_of(s->run.job->sampler.scheduler)->keeps_history)
        return;
    for (size_t b = 0; b < sizeof history / sizeof history[0]; b++)
        spoil(s->engine, history[b], table[history[b]]);
    if (s->resume.saved.metadata.chunk_frames == 0)
        spoil(s->engine, REEL_LATENTS_X, table[REEL_LATENTS_X]);
}

/* Whether the run is to be left here. */
static int is_over(const struct piece *piece, const struct partial_end *end, const struct reel_sampler *s)
{
    int moved = s->saves.chunk != end->from_chunk || s->saves.iteration != end->from_row;
    if (piece->stop > 0)
        return end->iterations >= piece->stop - 1;
    return piece->max >= 0 && end->iterations >= piece->max && moved;
}

/* A chunk as reel_sample_run computes it, without the report. *over: the run was left. */
static enum reel_status run_chunk(const struct piece *piece, struct reel_sampler *s, int64_t k, int *over,
                                  struct partial_end *end)
{
    int64_t row;
    REEL_PASS(reel_sample_begin(s, k, &row));
    for (int ran; row < s->run.timeline.matrices[k].rows; row++) {
        REEL_PASS(reel_preempt_check(&s->preempt, row));
        *over = is_over(piece, end, s);
        if (*over)
            return REEL_OK;
        REEL_PASS(reel_sample_iterate(s, row, &ran));
        end->iterations += ran;
    }
    REEL_PASS(reel_sample_end(s));
    REEL_PASS(reel_preempt_leave(&s->preempt));
    *over = k + 1 < s->run.timeline.chunk_count && is_over(piece, end, s);
    return REEL_OK;
}

static enum reel_status run(const struct piece *piece, struct reel_sampler *s, struct partial_end *end)
{
    int over = 0;
    const struct reel_engine *engine = s->engine;
    end->nothing_to_do = s->resume.nothing_to_do;
    end->loaded = engine->is_loaded;
    if (s->resume.nothing_to_do)
        return REEL_OK;
    int64_t rank = engine->comm->world.rank, first = s->run.position.first_chunk;
    end->from_chunk = s->saves.chunk;
    end->from_row = s->saves.iteration;
    if (engine->is_loaded)
        poison(s, rank);
    for (int64_t k = first; k < s->run.timeline.chunk_count && !over; k++)
        REEL_PASS(run_chunk(piece, s, k, &over, end));
    end->chunk = s->saves.chunk;
    end->row = s->saves.iteration;
    end->complete = !over;
    if (over)
        return REEL_OK;
    end->count = reel_plan_bytes(&engine->plan, rank, REEL_LATENTS_VIDEO) / (int64_t)sizeof *end->latents;
    end->latents = malloc((size_t)end->count * sizeof *end->latents);
    memcpy(end->latents, engine->arena.at[REEL_LATENTS_VIDEO], (size_t)end->count * sizeof *end->latents);
    return REEL_OK;
}

static enum reel_status load(const struct piece *piece, struct reel_job *job, char **text)
{
    int64_t sets = 0;
    while (sets < PARTIAL_SETS && piece->sets[sets])
        sets++;
    *text = NULL;
    REEL_PASS(reel_job_load(piece->job, piece->sets, sets, job));
    *text = reel_job_echo(job);
    return *text ? REEL_OK : reel_fail(REEL_NO_MEMORY, "no memory for the text of the job");
}

void partial_run(const struct piece *piece, struct partial_end *end)
{
    struct reel_comm comm;
    struct reel_job *job = calloc(1, sizeof *job);
    struct reel_observer observer = {.see = see, .context = end};
    struct reel_engine engine;
    struct reel_sampler sampler;
    char *text = NULL;
    memset(end, 0, sizeof *end);
    reel_error_clear();
    CHECK(reel_comm_open(piece->world, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    end->status = reel_agree(&comm, load(piece, job, &text));
    if (end->status == REEL_OK) {
        struct reel_start start = {.job_text = text, .fresh = piece->fresh};
        reel_engine_open(&engine, &comm, piece->device ? piece->device : &reel_device_cpu);
        end->status = reel_sampler_open(&sampler, &engine, job, &start, &observer);
        if (end->status == REEL_OK)
            end->status = run(piece, &sampler, end);
        reel_sampler_close(&sampler);
        reel_engine_close(&engine);
    }
    if (end->status != REEL_OK)
        snprintf(end->cause, sizeof end->cause, "%s", reel_error_here()->cause);
    reel_error_clear();
    reel_comm_close(&comm);
    free(text);
    free(job);
}

void partial_free(struct partial_end *end)
{
    free(end->latents);
    end->latents = NULL;
}
