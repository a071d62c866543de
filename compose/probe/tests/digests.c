/* digests: the digest of standard input by every set of instructions that this processor has, one a line; in one
 * part and in two. */
#include <stdio.h>
#include <stdlib.h>

#include "probe/digest.h"

static unsigned char data[1 << 20];

static void show(const char *name, uint64_t (*one)(const struct iovec *, size_t), size_t length)
{
	size_t half = length / 2;
	struct iovec whole[] = {{data, length}}, two[] = {{data, half}, {data + half, length - half}};
	printf("%s %016llx %016llx\n", name, (unsigned long long)one(whole, length), (unsigned long long)one(two, length));
}

int main(void)
{
	size_t length = fread(data, 1, sizeof data, stdin);
	show("any", digest_any, length);
	show("chosen", digest, length);
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		show("avx2", digest_avx2, length);
	if (__builtin_cpu_supports("avx512f"))
		show("avx512", digest_avx512, length);
#endif
	return 0;
}
