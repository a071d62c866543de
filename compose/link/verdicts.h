/* verdicts.h: what the kernel shall do with the packets that wait in its queues.
 *
 * Verdicts are gathered and sent together; those of packets that leave in order become one (NFQNL_MSG_VERDICT_BATCH).
 *
 * The call that hands verdicts to the kernel also carries the packets to the other host, and all that follows from their
 * arrival. Where many come at once each direction has a thread that makes it, while the first thread takes the next ones.
 */

#ifndef LINK_VERDICTS_H
#define LINK_VERDICTS_H

#include <pthread.h>

#include "link/netlink.h"
#include "link/plan.h"

enum {
	OUT = 1 << 17,
	BOXES = 8  /* filled with verdicts for the sending thread */
};

struct box {
	uint8_t bytes[OUT];
	size_t used;
};

/* The way of one direction's verdicts to the kernel. */
struct sender {
	int socket;
	struct box boxes[BOXES];
	uint64_t filled, sent; /* boxes so far; the present one is `filled` */
	size_t decided;        /* packets on which the present one decides */
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

struct verdicts {
	struct sender senders[SIDES];
	bool pending[SIDES]; /* a batch verdict up to `last`, not written yet */
	uint32_t last[SIDES];
};

/* Start the senders on a netlink socket. */
void open_verdicts(struct verdicts *v, int socket);

/* Let a packet go, changed where `changed` is not NULL. `first`: no packet before it is in the kernel's queue still; then
 * it can be part of a batch. */
void accept_packet(struct verdicts *v, int side, uint32_t id, bool first, const struct blob *changed);

void drop_packet(struct verdicts *v, int side, uint32_t id);

/* Send a message with one attribute, after all before it. */
void send_config(struct verdicts *v, int side, uint16_t type, const void *data, size_t size);

/* Send all verdicts that were given. */
void flush_verdicts(struct verdicts *v);

/* The same, and wait until the kernel has them. */
void finish_verdicts(struct verdicts *v);

#endif
