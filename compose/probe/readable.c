#define _GNU_SOURCE
#include "probe/readable.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* rt_sigprocmask copies 8 bytes in before it refuses its first argument. */
bool readable_beside(const void *memory, size_t size, uintptr_t *page)
{
	int saved = errno;
	uintptr_t from = (uintptr_t)memory & ~(uintptr_t)7, last = (uintptr_t)memory + (size ? size - 1 : 0);
	bool fault = !from || last < (uintptr_t)memory;
	for (uintptr_t at = from; !fault && at <= last; at = (at | 4095) + 1) {
		if (at >> 12 == *page)
			continue;
		fault = syscall(SYS_rt_sigprocmask, ~0, at, NULL, 8) && errno == EFAULT;
		*page = fault ? NO_PAGE : at >> 12;
	}
	errno = saved;
	return !fault;
}

bool readable(const void *memory, size_t size)
{
	uintptr_t none = NO_PAGE;
	return readable_beside(memory, size, &none);
}
