#include "probe/payload.h"

#include <string.h>

#include "probe/format.h"

uint16_t copy_address(unsigned char *to, size_t room, const void *address, socklen_t length)
{
	uint16_t size = (uint16_t)(length < room ? length : room);
	memcpy(to, address, size);
	return size;
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
