/* Giving events to an observer. */
#include "event.h"

#include "checkpoint_directory.h"

#include <stdarg.h>
#include <stdio.h>

struct reel_observer reel_observer_of(const struct reel_comm *comm, const struct reel_observer *observer)
{
    return comm->world.rank == 0 ? *observer : (struct reel_observer){.see = NULL};
}

void reel_tell(const struct reel_observer *observer, const struct reel_event *event)
{
    if (observer->see)
        observer->see(observer->context, event);
}

void reel_note(const struct reel_observer *observer, const char *format, ...)
{
    char text[REEL_CAUSE_BYTES + REEL_CHECKPOINT_PATH_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reel_tell(observer, &(struct reel_event){.kind = REEL_EVENT_NOTE, .text = text});
}
