/* The digest by AVX-512: a file of its own, since xxhash.h has one set of instructions in each. */
#ifdef __x86_64__

#pragma GCC target("avx512f")
#include "probe_digest_any.h"

uint64_t digest_avx512(const struct iovec *parts, size_t length) __attribute__((visibility("hidden")));

uint64_t digest_avx512(const struct iovec *parts, size_t length)
{
	return digest_any(parts, length);
}

#endif
