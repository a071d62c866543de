/* digest.h: the digest of the bytes that a call moved, XXH3-64, by the widest vectors that this processor has. Pure. */

#ifndef PROBE_DIGEST_H
#define PROBE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Of the first `length` bytes of the parts, which are that long at least. */
uint64_t digest(const struct iovec *parts, size_t length);

/* digest_variant.c, compiled once for each set of instructions. */
uint64_t digest_any(const struct iovec *parts, size_t length);
#ifdef __x86_64__
uint64_t digest_avx2(const struct iovec *parts, size_t length);
uint64_t digest_avx512(const struct iovec *parts, size_t length);
#endif

#endif
