/* Interfaces in a namespace that has others already. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include <net/if.h>
#include <sys/wait.h>

#include "common/tests/check.h"
#include "launch/net.h"

enum { NO_NAMESPACES = 2 };

static int status_of(pid_t child)
{
	int status = 0;
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Its exit status is 0 if interfaces that took the first indexes are not in the way. */
static _Noreturn void join_beside_others(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		_exit(NO_NAMESPACES);
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	pid_t other = fork(); /* begins with the same index as we */
	if (!other) {
		make_veth("sit0", here, "ip6tnl0");
		_exit(0);
	}
	if (status_of(other))
		_exit(1);
	make_veth("one", here, "two");
	make_veth("three", here, "four");
	unsigned one = if_nametoindex("one"), two = if_nametoindex("two"), three = if_nametoindex("three");
	_exit(!(one && two && three && one != two && if_nametoindex("sit0") < one && two < three));
}

static void indexes_that_are_taken_are_passed_over(void)
{
	pid_t child = fork();
	if (!child)
		join_beside_others();
	int status = status_of(child);
	CHECK(status == 0 || status == NO_NAMESPACES);
}

static void an_index_is_none_that_a_new_namespace_has(void)
{
	pid_t child = fork();
	if (!child) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(NO_NAMESPACES);
		make_veth("one", open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "two");
		_exit(if_nametoindex("one") < 100 || if_nametoindex("two") < 100);
	}
	int status = status_of(child);
	CHECK(status == 0 || status == NO_NAMESPACES);
}

int main(void)
{
	RUN(indexes_that_are_taken_are_passed_over);
	RUN(an_index_is_none_that_a_new_namespace_has);
	return end_tests();
}
