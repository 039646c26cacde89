/* The preemption notice: from whom it comes, however often, it is one.
 *
 * SIGUSR1, SIGTERM, SIGINT and SIGHUP ask the job to save and to leave with REEL_PREEMPTED. mpirun forwards SIGUSR1 to
 * every rank; a node agent may tell a single one: the ranks agree (sampler.h). Who is told again more than ten seconds
 * later is in a hurry: then the process leaves at once.
 *
 *     reel_preempt_signal_listen();                          first thing, before MPI starts
 *     if (reel_preempt_signal_seconds() >= 0) ...            somebody asked
 *
 * One per process. Not collective. */
#ifndef REEL_PREEMPT_SIGNAL_H
#define REEL_PREEMPT_SIGNAL_H

/* Takes the four signals, and notes when the process began; before any other thread is started. 0 when no thread can be had
 * for it: then they do what they do by default. */
int reel_preempt_signal_listen(void);

/* Whether a notice would be heard. */
int reel_preempt_signal_listens(void);

/* Seconds since the first notice; negative: there was none. */
double reel_preempt_signal_seconds(void);

/* Seconds since reel_preempt_signal_listen, on a clock that only goes forward; 0 where nobody listens. */
double reel_preempt_signal_uptime(void);

/* With which code a process leaves that is told again: REEL_PREEMPTED once the job has a valid checkpoint,
 * REEL_BAD_COMM before. */
void reel_preempt_signal_hurry(int code);

#endif
