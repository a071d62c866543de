/* arrival.h: a packet as NFQUEUE hands it over (linux/netfilter/nfnetlink_queue.h). Pure. */

#ifndef LINK_ARRIVAL_H
#define LINK_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arrival {
	int side;    /* the number of the queue */
	uint32_t id; /* the kernel's number, one more for each packet */
	const uint8_t *bytes;
	size_t captured, total;
	uint64_t stamp; /* when the kernel received it, ns since the Unix epoch; 0 if it does not say */
};

enum message { OTHER_MESSAGE, REFUSED_VERDICT, PACKET_ARRIVED };

/* Read one netlink message of `size` bytes; the arrival's bytes are the message's own. */
enum message read_arrival(const uint8_t *message, size_t size, struct arrival *a);

#endif
