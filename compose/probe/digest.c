#include "probe/digest.h"

#ifdef __x86_64__

/* Every x86-64 has SSE2, nearly all have AVX2, which takes about half the time: 128 KiB in the second cache take 3.5, 1.8
 * and 1.2 us by SSE2, AVX2 and AVX-512. */
uint64_t digest(const struct iovec *parts, size_t length)
{
	if (__builtin_cpu_supports("avx512f"))
		return digest_avx512(parts, length);
	return __builtin_cpu_supports("avx2") ? digest_avx2(parts, length) : digest_any(parts, length);
}

#else

uint64_t digest(const struct iovec *parts, size_t length)
{
	return digest_any(parts, length);
}

#endif
