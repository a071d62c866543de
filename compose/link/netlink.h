/* netlink.h: messages to NFQUEUE, written into memory. Pure. */

#ifndef LINK_NETLINK_H
#define LINK_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h>

/* What an attribute can hold: its length, 16 bits, counts its header too. The kernel copies no more of a packet either
 * (NFQNL_MAX_COPY_RANGE). */
enum { ATTRIBUTE_MOST = UINT16_MAX - NLA_HDRLEN };

/* Begin a message to the queue of a side at `to`; `type` is one of NFQNL_MSG_... */
struct nlmsghdr *begin_message(uint8_t *to, uint16_t type, uint16_t flags, int side);

/* Add an attribute; false if it does not fit into one. The caller sees to the room behind the message. */
bool add_attribute(struct nlmsghdr *header, uint16_t type, const void *data, size_t size);

#endif
