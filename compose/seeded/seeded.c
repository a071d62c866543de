/* libseeded.so: preloaded into a kernel of our own (User-Mode Linux), of which it is the only source of chance.
 *
 * The kernel asks the machine for random bytes through getrandom(3). With BOTHENDS_SEED in its environment it gets
 * those of a generator instead: with the same seed the same initial sequence numbers, ports and keys. It is no source for
 * secrets, and what runs in such a kernel has none. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/splitmix.h"

__attribute__((visibility("default"))) ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	static uint64_t state;
	static int begun;
	const char *seed = getenv("BOTHENDS_SEED");

	if (!seed)
		return syscall(SYS_getrandom, buffer, length, flags);
	if (!begun++)
		state = mix(strtoull(seed, NULL, 10));
	for (size_t done = 0; done < length; done += sizeof state) {
		uint64_t word = mix(state += 0x9e3779b97f4a7c15);
		size_t left = length - done;

		memcpy((char *)buffer + done, &word, left < sizeof word ? left : sizeof word);
	}
	return (ssize_t)length;
}
