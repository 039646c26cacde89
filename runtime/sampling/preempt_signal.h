/* The preemption notice, by signals.
 *
 * SIGUSR1, SIGTERM, SIGINT and SIGHUP ask the job to save and to exit with REEL_PREEMPTED. mpirun forwards
 * SIGUSR1 to every rank; a node agent may signal a single rank, and all ranks agree to stop (sampler.h). All
 * signals within ten seconds of the first are one notice. A later signal means that there is no time to save:
 * the process exits at once.
 *
 *     reel_preempt_signal_listen();                          first thing, before MPI starts
 *     if (reel_preempt_signal_seconds() >= 0) ...            a notice came
 *
 * One per process. Not collective. */
#ifndef REEL_PREEMPT_SIGNAL_H
#define REEL_PREEMPT_SIGNAL_H

/* Starts a thread that waits for the four signals, and starts the clock of reel_preempt_signal_uptime. To be
 * called before any other thread is started. Returns 0 if the thread cannot be started: then the signals have
 * their default effect. */
int reel_preempt_signal_listen(void);

/* Whether the process listens for notices. */
int reel_preempt_signal_listens(void);

/* Seconds since the first notice; negative: there was none. */
double reel_preempt_signal_seconds(void);

/* Seconds since reel_preempt_signal_listen, on a monotonic clock; 0 if the process does not listen. */
double reel_preempt_signal_uptime(void);

/* Sets the code with which a late signal makes the process exit at once: REEL_PREEMPTED once the job has a
 * valid checkpoint; REEL_BAD_COMM, the default, before. */
void reel_preempt_signal_hurry(int code);

#endif
