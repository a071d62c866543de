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
};

struct connections {
	struct connection *bucket[BUCKETS];
};

/* The connection of a TCP packet that `side` sent, brought up to date by it. */
struct connection *track(struct connections *all, const struct packet *p, int side);

void free_connections(struct connections *all);

#endif
