/* Signals that become a notice. */
#include "notice.h"

#include "status.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Nanoseconds of the steady clock; 0: not yet. Lock-free, so that a handler may touch them. */
static atomic_llong began_ns, told_ns;
static atomic_int hurry_code = REEL_BAD_COMM;
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a signal handler may only touch what has no lock");

static const long long patience_ns = 10 * 1000000000LL;

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* whatever happens to the date */
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void hear(int signal)
{
    int before = errno;
    long long now = now_ns(), first = 0;
    (void)signal;
    if (!atomic_compare_exchange_strong(&told_ns, &first, now) && now - first > patience_ns)
        _exit(atomic_load(&hurry_code));
    errno = before;
}

void reel_notice_listen(void)
{
    static const int signals[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = hear, .sa_flags = SA_RESTART};
    atomic_store(&began_ns, now_ns());
    sigfillset(&action.sa_mask);
    for (size_t s = 0; s < sizeof signals / sizeof signals[0]; s++)
        sigaction(signals[s], &action, NULL);
}

int reel_notice_listens(void)
{
    return atomic_load(&began_ns) != 0;
}

static double seconds_since(long long ns)
{
    return 1e-9 * (double)(now_ns() - ns);
}

double reel_notice_seconds(void)
{
    long long told = atomic_load(&told_ns);
    return told ? seconds_since(told) : -1;
}

double reel_notice_uptime(void)
{
    long long began = atomic_load(&began_ns);
    return began ? seconds_since(began) : 0;
}

void reel_notice_hurry(int code)
{
    atomic_store(&hurry_code, code);
}
