/* Signals that become a notice. */
#include "preempt_signal.h"

#include "status.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/* Nanoseconds of the steady clock; 0: not yet. */
static atomic_llong began_ns, told_ns;
static atomic_int hurry_code = REEL_BAD_COMM;

static const long long patience_ns = 10 * 1000000000LL;

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* whatever happens to the date */
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void hear(void)
{
    long long now = now_ns(), first = 0;
    if (!atomic_compare_exchange_strong(&told_ns, &first, now) && now - first > patience_ns)
        _exit(atomic_load(&hurry_code)); /* nothing else: whatever would be tidied up may hang */
}

static void *listen(void *signals)
{
    int signal;
    for (;;)
        if (sigwait(signals, &signal) == 0)
            hear();
    return NULL;
}

/* By a thread that waits for them, not by a handler, which could do nothing but set a flag: and generated kernels of
 * libraries may use the stack pointer for data (oneDNN's GEMM does), over which its frame would be written. Threads
 * that are started later have them blocked as this one has. */
int reel_preempt_signal_listen(void)
{
    static const int of_notice[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    static sigset_t signals;
    sigset_t before, all;
    pthread_t thread;
    sigemptyset(&signals);
    for (size_t s = 0; s < sizeof of_notice / sizeof of_notice[0]; s++) {
        sigaddset(&signals, of_notice[s]);
        signal(of_notice[s], SIG_DFL); /* shells start what is in the background with some of them ignored */
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* for the thread, which takes no other signal either */
    int failed = pthread_create(&thread, NULL, listen, &signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return 0;
    pthread_detach(thread);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    atomic_store(&began_ns, now_ns());
    return 1;
}

int reel_preempt_signal_listens(void)
{
    return atomic_load(&began_ns) != 0;
}

static double seconds_since(long long ns)
{
    return 1e-9 * (double)(now_ns() - ns);
}

double reel_preempt_signal_seconds(void)
{
    long long told = atomic_load(&told_ns);
    return told ? seconds_since(told) : -1;
}

double reel_preempt_signal_uptime(void)
{
    long long began = atomic_load(&began_ns);
    return began ? seconds_since(began) : 0;
}

void reel_preempt_signal_hurry(int code)
{
    atomic_store(&hurry_code, code);
}
