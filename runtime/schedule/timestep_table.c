/* A sorted table of timesteps. */
#include "timestep_table.h"

#include <string.h>

void reel_timestep_table_clear(struct reel_timestep_table *table)
{
    memset(table, 0, sizeof *table);
    for (int64_t t = 0; t <= REEL_TIMESTEP_MAX; t++)
        table->row_of[t] = -1;
}

void reel_timestep_table_add(struct reel_timestep_table *table, const int64_t *timesteps, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        table->row_of[timesteps[i]] = 0;
    table->rows = 0;
    for (int64_t t = 0; t <= REEL_TIMESTEP_MAX; t++)
        if (table->row_of[t] >= 0) {
            table->row_of[t] = (int32_t)table->rows;
            table->timestep[table->rows++] = t;
        }
}
