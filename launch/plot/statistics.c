/* Statistics, summed in double precision. */
#include "statistics.h"

#include <math.h>

static void add_value(struct reel_statistics *s, double value)
{
    if (!isfinite(value)) {
        s->not_finite++;
        return;
    }
    if (s->count++ == 0)
        s->min = s->max = s->first = value;
    s->min = value < s->min ? value : s->min;
    s->max = value > s->max ? value : s->max;
    s->sum += value - s->first;
    s->squares += (value - s->first) * (value - s->first);
}

void reel_statistics_add(struct reel_statistics *statistics, const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        add_value(statistics, (double)values[i]);
}

void reel_statistics_add_integers(struct reel_statistics *statistics, const int64_t *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        add_value(statistics, (double)values[i]);
}

double reel_statistics_mean(const struct reel_statistics *statistics)
{
    return statistics->count > 0 ? statistics->first + statistics->sum / (double)statistics->count : 0;
}

double reel_statistics_deviation(const struct reel_statistics *statistics)
{
    if (statistics->count == 0)
        return 0;
    double count = (double)statistics->count, shift = statistics->sum / count;
    double variance = statistics->squares / count - shift * shift;
    return variance > 0 ? sqrt(variance) : 0;
}
