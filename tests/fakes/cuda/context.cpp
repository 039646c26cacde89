/* The switch between two stacks. */
#include "context.h"

#include <stdint.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

/* The context that was left last. At the next switch AddressSanitizer reports its stack. */
static struct reel_context *left;

static void arrive(struct reel_context *context)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(context ? context->fake_stack : nullptr, &left->stack,
                                    &left->stack_bytes);
#else
    (void)context;
#endif
}

static void depart(struct reel_context *from, struct reel_context *to)
{
    left = from;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#else
    (void)to;
#endif
}

void reel_context_began(void)
{
    arrive(nullptr);
}

#ifdef __x86_64__
/* Saves on the stack the registers that a call preserves. The control words of floating point are not saved,
 * because nothing here changes them. */
asm(".text\n"
    ".p2align 4\n"
    ".type reel_context_exchange, @function\n"
    "reel_context_exchange:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size reel_context_exchange, . - reel_context_exchange\n");
extern "C" void reel_context_exchange(void **from_top, void *to_top);

void reel_context_make(struct reel_context *context, void *stack, size_t stack_bytes, void (*entry)(void))
{
    void **top = reinterpret_cast<void **>(static_cast<char *>(stack) + stack_bytes) - 1;
    *top =
        nullptr; /* the address to which entry would return; with it the stack is aligned as after a call */
    *--top = reinterpret_cast<void *>(entry);
    for (int preserved = 0; preserved < 6; preserved++)
        *--top = nullptr;
    context->top = top;
    context->stack = stack;
    context->stack_bytes = stack_bytes;
}

void reel_context_switch(struct reel_context *from, struct reel_context *to)
{
    depart(from, to);
    reel_context_exchange(&from->top, to->top);
    arrive(from);
}
#else
void reel_context_make(struct reel_context *context, void *stack, size_t stack_bytes, void (*entry)(void))
{
    getcontext(&context->machine);
    context->machine.uc_stack.ss_sp = stack;
    context->machine.uc_stack.ss_size = stack_bytes;
    context->machine.uc_link = nullptr;
    makecontext(&context->machine, entry, 0);
    context->stack = stack;
    context->stack_bytes = stack_bytes;
}

void reel_context_switch(struct reel_context *from, struct reel_context *to)
{
    depart(from, to);
    swapcontext(&from->machine, &to->machine);
    arrive(from);
}
#endif
