/* packet_info.h: the control messages IP_PKTINFO (ip(7)) and IPV6_PKTINFO (RFC 3542, section 6): to which address of the
 * host a datagram came, or from which one it is to leave. */

#ifndef COMMON_PACKET_INFO_H
#define COMMON_PACKET_INFO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* `address` is IPv4-mapped for IPv4. `interface` is an index, 0: none is named. */
struct packet_info {
	struct in6_addr address;
	unsigned interface;
};

/* What a message says of itself; `sends`: one that is given to the kernel. */
bool find_packet_info(struct msghdr *message, bool sends, struct packet_info *found);

#endif
