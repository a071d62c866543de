/* A program that limits its address space (vsftpd does) must not meet the room that our log could grow into: what it does
 * next would fail for want of memory that it did not take. Nothing is logged here. */

#define _GNU_SOURCE
#include "probe/interpose.h"
#include "probe/log.h"
#include "probe/next.h"

static void before(int resource, bool limited)
{
	if (resource == RLIMIT_AS && limited)
		log_give_space();
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	before((int)resource, limit->rlim_cur != RLIM_INFINITY);
	return NEXT(setrlimit)(resource, limit);
}

EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	before((int)resource, limit->rlim_cur != RLIM64_INFINITY);
	return NEXT(setrlimit64)(resource, limit);
}

EXPORT int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *limit, struct rlimit *old)
{
	before((int)resource, (!pid || pid == getpid()) && limit && limit->rlim_cur != RLIM_INFINITY);
	return NEXT(prlimit)(pid, resource, limit, old);
}

EXPORT int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *limit, struct rlimit64 *old)
{
	before((int)resource, (!pid || pid == getpid()) && limit && limit->rlim_cur != RLIM64_INFINITY);
	return NEXT(prlimit64)(pid, resource, limit, old);
}
