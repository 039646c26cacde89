/* TeaCache's decisions for a plan. Of the weights, only the time embedding is read. */
#include "plan_forecast.h"

#include "model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads tensors one at a time into one buffer, which grows as needed. */
struct reader {
    struct reel_model_files files;
    float *tensor;
};

static const float *read_tensor(void *context, enum reel_tensor tensor)
{
    struct reader *reader = context;
    int64_t elements = reel_tensor_elements(&reader->files.network, tensor);
    float *grown = realloc(reader->tensor, (size_t)elements * sizeof *grown);
    if (!grown) {
        reel_fail(REEL_NO_MEMORY, "no memory for a tensor of %lld elements", (long long)elements);
        return NULL;
    }
    reader->tensor = grown;
    return reel_model_read(&reader->files, tensor, 0, 0, elements, grown) == REEL_OK ? grown : NULL;
}

enum reel_status reel_forecast_decide(struct reel_forecast *f)
{
    struct reel_teacache_rule off = {.mode = REEL_TEACACHE_OFF};
    struct reader reader = {.tensor = NULL};
    REEL_PASS(reel_teacache_rule_of(f->job, &f->model, &f->teacache));
    reel_teacache_decide(&off, f->job, &f->model, NULL, &f->timeline, &f->range);
    if (f->teacache.mode == REEL_TEACACHE_OFF)
        return REEL_OK;
    enum reel_status status = reel_model_open(f->job->model.path, &reader.files);
    if (status == REEL_BAD_INPUT) { /* a plan needs no weights; it shows what is missing */
        snprintf(f->undecided, sizeof f->undecided, "%s", reel_error_here()->cause);
        reel_error_clear();
        return REEL_OK;
    }
    REEL_PASS(status);
    status =
        reel_teacache_make(&f->teacache, f->job, &f->model, read_tensor, &reader, &f->timeline, &f->range);
    free(reader.tensor);
    reel_model_close(&reader.files);
    for (int64_t c = 0; c < f->timeline.call_count; c++)
        f->skips += !f->timeline.calls[c].computed;
    return status;
}
