/* The filter of system calls: every jump lands inside, and the kernel refuses what it shall. */

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/tests/check.h"
#include "launch/confine.h"

static void every_jump_lands_inside(void)
{
	struct sock_filter code[CONFINE_MAX];
	size_t n = confine_filter(code);
	CHECK(n < CONFINE_MAX);
	for (size_t i = 0; i < n; i++) {
		if (BPF_CLASS(code[i].code) == BPF_JMP)
			CHECK(i + 1 + code[i].jt < n && i + 1 + code[i].jf < n);
	}
	CHECK(!n || BPF_CLASS(code[n - 1].code) == BPF_RET);
}

static int refused(long result, int error)
{
	return result == -1 && errno == error;
}

static void a_confined_process_gets_no_more(void)
{
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		int status;
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || confine())
			_exit(2);
		if (!refused(syscall(SYS_unshare, CLONE_NEWUSER), EPERM) || !refused(syscall(SYS_unshare, CLONE_NEWNET), EPERM) ||
		    !refused(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL), EPERM) ||
		    !refused(syscall(SYS_clone3, NULL, 0), ENOSYS) || !refused(syscall(SYS_mount, "a", "/", "tmpfs", 0, NULL), EPERM) ||
		    !refused(syscall(SYS_bpf, 0, NULL, 0), EPERM) || !refused(syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM) ||
		    !refused(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0), EPERM))
			_exit(3);
		pid_t own = fork(); /* what every program does still works */
		if (own == 0)
			_exit(7);
		if (own < 0 || waitpid(own, &status, 0) != own || WEXITSTATUS(status) != 7 || syscall(SYS_unshare, CLONE_FILES))
			_exit(4);
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	RUN(every_jump_lands_inside);
	RUN(a_confined_process_gets_no_more);
	return end_tests();
}
