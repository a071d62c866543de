/* XXH3-64 of the bytes that a call moved, with the vector instructions that are switched on where this is included. */
#ifndef PROBE_DIGEST_ANY_H
#define PROBE_DIGEST_ANY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Long transfers cost what the hash costs. */
#pragma GCC push_options
#pragma GCC optimize("O3")

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Of the first `length` bytes of the parts, which are that long at least. */
static uint64_t digest_any(const struct iovec *parts, size_t length)
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

#pragma GCC pop_options

#endif
