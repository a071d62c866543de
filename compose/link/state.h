/* state.h: all that the link program knows. */

#ifndef LINK_STATE_H
#define LINK_STATE_H

#include "link/decision.h"
#include "link/hold.h"
#include "link/journal.h"
#include "link/queue.h"

struct link {
	struct plan plan;
	struct queue queue;
	struct holding holding;
	struct journal journal;
	struct line line;
	int raw4, raw6; /* raw sockets, for what the link makes itself */
	bool running;
	uint64_t now, epoch;     /* monotonic ns; what to add for ns since the Unix epoch */
	uint32_t last_id[SIDES]; /* the kernel's number of the last packet */
	uint64_t kernel_lost;    /* packets that did not fit into the kernel's queue */
	uint64_t refused;        /* verdicts and packets that the kernel did not take */
};

#endif
