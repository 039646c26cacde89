/* What runs on a stack of its own, and goes on where it left off: a few nanoseconds on x86-64, by ucontext elsewhere. */
#ifndef REEL_FAKE_CONTEXT_H
#define REEL_FAKE_CONTEXT_H

#include <stddef.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

struct reel_context {
#ifdef __x86_64__
    void *top; /* of its stack, while it does not run */
#else
    ucontext_t machine;
#endif
    const void *stack; /* what AddressSanitizer wants to know */
    size_t stack_bytes;
    void *fake_stack;
};

/* One that begins with entry(), which never returns. */
void reel_context_make(struct reel_context *context, void *stack, size_t stack_bytes, void (*entry)(void));

/* First in entry(). */
void reel_context_began(void);

/* Leaves `from`, which is what runs, and goes on with `to`; returns when something goes on with `from`. */
void reel_context_switch(struct reel_context *from, struct reel_context *to);

#endif
