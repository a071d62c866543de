/* traffic.h: packets come from the kernel and leave when their time has come. */

#ifndef LINK_TRAFFIC_H
#define LINK_TRAFFIC_H

#include "link/state.h"

void look_at_clock(struct link *link);

/* Read the packets that have arrived and decide on each. */
void take_packets(struct link *link);

/* Let go all packets that are due at `until`. */
void release(struct link *link, uint64_t until);

#endif
