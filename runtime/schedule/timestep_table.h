/* The distinct timesteps of a job, in ascending order, and the row of each.
 *
 *     reel_timestep_table_clear(&table);
 *     reel_timestep_table_add(&table, matrix->timestep, matrix->rows * matrix->frames);
 *     row = table.row_of[timestep];
 *
 * The embedding of a timestep depends on the timestep (and on fps) alone, so one row of e and e0 serves
 * every frame, step and chunk that has this timestep. time_embedding.h computes the rows for the
 * transformer, teacache.h for its distances.
 *
 * Not collective: every rank makes the same table. */
#ifndef REEL_TIMESTEP_TABLE_H
#define REEL_TIMESTEP_TABLE_H

#include <stdint.h>

enum { REEL_TIMESTEP_MAX = 1000 };

struct reel_timestep_table {
    int64_t rows;                            /* R */
    int64_t timestep[REEL_TIMESTEP_MAX + 1]; /* [R], ascending */
    int32_t row_of[REEL_TIMESTEP_MAX + 1];   /* by timestep; -1 where the job has none */
};

/* Makes an empty table. */
void reel_timestep_table_clear(struct reel_timestep_table *table);

/* Adds the timesteps, each in 0 .. REEL_TIMESTEP_MAX, that the table does not have yet, and renumbers the
 * rows. */
void reel_timestep_table_add(struct reel_timestep_table *table, const int64_t *timesteps, int64_t count);

#endif
