#define _GNU_SOURCE /* struct in6_pktinfo */
#include "common/packet_info.h"

#include <string.h>

bool find_packet_info(struct msghdr *message, bool sends, struct packet_info *found)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct in_pktinfo four;
		struct in6_pktinfo six;
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof four)) {
			memcpy(&four, CMSG_DATA(c), sizeof four);
			/* What came has its header's destination in ipi_addr; what is sent takes its source from ipi_spec_dst. */
			const struct in_addr *address = sends ? &four.ipi_spec_dst : &four.ipi_addr;
			*found = (struct packet_info){.interface = (unsigned)four.ipi_ifindex};
			memset(&found->address.s6_addr[10], 0xff, 2);
			memcpy(&found->address.s6_addr[12], address, sizeof *address);
			return true;
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof six)) {
			memcpy(&six, CMSG_DATA(c), sizeof six);
			*found = (struct packet_info){six.ipi6_addr, six.ipi6_ifindex};
			return true;
		}
	}
	return false;
}
