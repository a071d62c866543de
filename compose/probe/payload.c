#include "probe/payload.h"

#include <netinet/in.h>
#include <string.h>

#include "probe/format.h"

uint16_t copy_address(unsigned char *to, size_t room, const void *address, socklen_t length)
{
	uint16_t size = (uint16_t)(length < room ? length : room);
	memcpy(to, address, size);
	return size;
}

bool is_local(const struct sockaddr *address, socklen_t length)
{
	if (length < sizeof address->sa_family)
		return false;
	if (address->sa_family == AF_UNIX)
		return true;
	if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *ipv4 = (const void *)address;
		return ntohl(ipv4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	if (address->sa_family != AF_INET6 || length < sizeof(struct sockaddr_in6))
		return false;
	const struct in6_addr *ipv6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(ipv6) || (IN6_IS_ADDR_V4MAPPED(ipv6) && ipv6->s6_addr[12] == IN_LOOPBACKNET);
}

size_t total_length(const struct iovec *parts, size_t count)
{
	size_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += parts[i].iov_len;
	return sum;
}

uint16_t copy_prefix(unsigned char *to, const struct iovec *parts, size_t length)
{
	size_t kept = 0, want = length < PROBE_PREFIX ? length : PROBE_PREFIX;
	for (; kept < want; parts++) {
		size_t size = parts->iov_len < want - kept ? parts->iov_len : want - kept;
		if (size) /* an empty part may have no address */
			memcpy(to + kept, parts->iov_base, size);
		kept += size;
	}
	return (uint16_t)kept;
}
