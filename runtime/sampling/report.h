/* A run's results: its output so far; and at its end the memory held and the bytes sent, beside the planned
 * ones. */
#ifndef REEL_REPORT_H
#define REEL_REPORT_H

#include "engine.h"
#include "run.h"

/* Collective over world. Rank 0 writes output.latents with the frames finished so far. The errors of
 * reel_output_write, the same on every rank. */
enum reel_status reel_report_output(const struct reel_engine *engine, const struct reel_run *run);

/* Collective over world. Gathers on rank 0 how much memory every rank held and how many bytes it sent; rank 0
 * reports it to the observer in REEL_EVENT_DONE. REEL_NO_MEMORY, REEL_BAD_COMM. */
enum reel_status reel_report_done(const struct reel_engine *engine, const struct reel_run *run);

/* Not collective. The bytes that this rank sends, by the plan, from the attempt's first iteration to the end
 * of the job: iterations, prompts, image; and those that it has sent since the run began. */
void reel_report_traffic(const struct reel_engine *engine, const struct reel_run *run,
                         int64_t bytes[REEL_TRAFFIC_CLASSES]);
void reel_report_sent(const struct reel_engine *engine, const struct reel_run *run,
                      int64_t bytes[REEL_TRAFFIC_CLASSES]);

#endif
