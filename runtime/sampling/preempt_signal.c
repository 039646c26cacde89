/* Taking signals as a preemption notice. */
#include "preempt_signal.h"

#include "status.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/* Nanoseconds of the monotonic clock; 0: not yet. */
static atomic_llong began_ns, notice_ns;
static atomic_int hurry_code = REEL_BAD_COMM;

static const long long patience_ns = 10 * 1000000000LL;

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* it does not jump when the date is set */
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void take_notice(void)
{
    long long now = now_ns(), first = 0;
    if (!atomic_compare_exchange_strong(&notice_ns, &first, now) && now - first > patience_ns)
        _exit(atomic_load(&hurry_code)); /* without any cleanup, which may hang */
}

static void *wait_for_signals(void *signals)
{
    int signal;
    for (;;)
        if (sigwait(signals, &signal) == 0)
            take_notice();
    return NULL;
}

/* A thread waits for the signals. A handler would not do: it could only set a flag, and its frame would
 * overwrite the data of generated kernels that use the stack pointer for data (oneDNN's GEMM does). Threads
 * that are started later inherit the mask that blocks these signals. */
int reel_preempt_signal_listen(void)
{
    static const int of_notice[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    static sigset_t signals;
    sigset_t before, all;
    pthread_t thread;
    sigemptyset(&signals);
    for (size_t s = 0; s < sizeof of_notice / sizeof of_notice[0]; s++) {
        sigaddset(&signals, of_notice[s]);
        signal(of_notice[s], SIG_DFL); /* shells start background processes with some of them ignored */
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* so that the thread handles no other signal */
    int failed = pthread_create(&thread, NULL, wait_for_signals, &signals);
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
    long long notice = atomic_load(&notice_ns);
    return notice ? seconds_since(notice) : -1;
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
