/* The digest with one set of instructions: the Makefile compiles this file once for each, since xxhash.h has one in each
 * file. DIGEST is the function's name (digest.h). */

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "probe/digest.h"

uint64_t DIGEST(const struct iovec *parts, size_t length)
{
	if (parts[0].iov_len >= length)
		return XXH3_64bits(parts[0].iov_base, length);
	XXH3_state_t state;
	XXH3_64bits_reset(&state);
	for (; length; parts++) {
		size_t size = parts->iov_len < length ? parts->iov_len : length;
		XXH3_64bits_update(&state, parts->iov_base, size);
		length -= size;
	}
	return XXH3_64bits_digest(&state);
}
