/* faults.h: which exact fault of the plan meets which packet. Pure. */

#ifndef LINK_FAULTS_H
#define LINK_FAULTS_H

#include "link/connections.h"

/* Say whether a fault meets a packet, and count those that it could have met. `c` may be NULL: not tracked. */
bool meets(struct fault *fault, int side, const struct packet *p, const struct connection *c);

/* Both hosts have come to a barrier: open and close the faults that it bounds. */
void pass_barrier(struct plan *plan, const char *name);

#endif
