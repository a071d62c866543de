/* queue.h: NFQUEUE through its netlink socket (linux/netfilter/nfnetlink_queue.h), without a library.
 *
 * One queue for each direction, both on one socket, so that packets come in the order in which they reached the link.
 */

#ifndef LINK_QUEUE_H
#define LINK_QUEUE_H

#include "link/verdicts.h"

struct queue {
	int socket;
	size_t room; /* of one message */
	struct verdicts verdicts;
};

/* Bind both queues. `payload`: packets are read whole, else their headers. */
void open_queue(struct queue *q, bool payload);

#endif
