/* A context runs on a stack of its own, and resumes at the point at which it was left. A switch takes a few
 * nanoseconds on x86-64; elsewhere ucontext does it. */
#ifndef REEL_FAKE_CONTEXT_H
#define REEL_FAKE_CONTEXT_H

#include <stddef.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

struct reel_context {
#ifdef __x86_64__
    void *top; /* of its stack, while it is suspended */
#else
    ucontext_t machine;
#endif
    const void *stack; /* for AddressSanitizer */
    size_t stack_bytes;
    void *fake_stack;
};

/* Makes a context that begins with entry(), which never returns. */
void reel_context_make(struct reel_context *context, void *stack, size_t stack_bytes, void (*entry)(void));

/* entry() calls this first. */
void reel_context_began(void);

/* Suspends `from`, the running context, and resumes `to`. Returns when a context resumes `from`. */
void reel_context_switch(struct reel_context *from, struct reel_context *to);

#endif
