/* connections.h: the sequence numbers of TCP connections, where a fault looks at them. Pure. */

#ifndef LINK_CONNECTIONS_H
#define LINK_CONNECTIONS_H

#include "link/packet.h"
#include "link/plan.h"

enum { BUCKETS = 4096 };

struct connection {
	struct connection *next;
	uint8_t address[SIDES][16];
	uint16_t port[SIDES];
	uint32_t first[SIDES]; /* sequence number of the first payload byte */
	uint32_t following[SIDES];
	bool known[SIDES];
	uint32_t stamp[SIDES];   /* the last time stamp of each */
	uint64_t seen;           /* when the last packet came, 0 before */
	uint64_t silence[SIDES]; /* the longest time without a packet since there was a reason to let this host's pass */
	uint8_t protocol;
};

struct connections {
	struct connection *bucket[BUCKETS];
};

/* The connection of a TCP or UDP packet that `side` sent and that came at a time (ns), brought up to date by it. */
struct connection *track(struct connections *all, const struct packet *p, int side, uint64_t came);

void free_connections(struct connections *all);

#endif
