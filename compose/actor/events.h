/* events.h: one line of JSON each on standard output, flushed at once. */

#ifndef ACTOR_EVENTS_H
#define ACTOR_EVENTS_H

#include "actor/step.h"

void emit_listening(const struct step *step, uint16_t port);
void emit_barrier(const struct step *step, const char *name);
void emit_done(void);

/* One `ok`, `error` or `unexpected-success` a step; false when the scenario did not expect it. */
bool emit_ending(const struct step *step, const struct ending *end);

#endif
