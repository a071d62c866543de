/* decision.h: what becomes of a packet, by the plan, the seed and what came before it. Pure: time is passed in. */

#ifndef LINK_DECISION_H
#define LINK_DECISION_H

#include "link/connections.h"
#include "link/record.h"

/* One direction of the line. Times are monotonic, ns. */
struct lane {
	uint64_t count;      /* packets so far */
	uint64_t free_at;    /* when the line can take the next packet (rate) */
	uint64_t in_order;   /* when the last packet that kept its place leaves */
	uint64_t down_until;
};

struct line {
	struct plan *plan;
	struct connections connections;
	struct lane lanes[SIDES];
	uint64_t origin; /* when the first packet came, 0 before */
};

/* When a packet came, and how many of its direction wait. */
struct circumstances {
	uint64_t came, epoch; /* monotonic ns; what to add for ns since the Unix epoch */
	uint64_t waiting;
};

struct decision {
	int lost;            /* why it is dropped, A_...; -1: it passes */
	struct blob changed; /* what passes instead; no bytes: the packet as it is */
	uint64_t due, behind;
	bool copied;
	struct record record;
	const struct connection *connection;
	size_t forging; /* faults that forge a packet after this one */
	const struct fault *forgers[MAX_FAULTS];
};

/* Decide on a packet that `side` sent. */
void decide(struct line *line, const struct packet *p, int side, const struct circumstances *at, struct decision *d);

#endif
