/* hold: become another program, once told to (SIGUSR1).
 *
 * usage: hold PROGRAM ARGUMENT...
 *
 * An observer attaches meanwhile. So the program is the agent's own child, with its own streams, exit status and
 * signals, and the observer beside it needs no privilege: it is let in by name (prctl, for Yama's ptrace_scope 1). */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	sigset_t go;
	int number;

	if (argc < 2) {
		fprintf(stderr, "usage: hold PROGRAM ARGUMENT...\n");
		return 2;
	}
	/* Fails with EINVAL where there is no Yama; then it is not needed. */
	if (prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0) && errno != EINVAL) {
		fprintf(stderr, "hold: prctl: %s\n", strerror(errno));
		return 126;
	}
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	/* Its name says that the signal may come; execve gives it another one. */
	if (sigprocmask(SIG_BLOCK, &go, NULL) || prctl(PR_SET_NAME, "held", 0, 0, 0) || sigwait(&go, &number) ||
	    sigprocmask(SIG_UNBLOCK, &go, NULL)) {
		fprintf(stderr, "hold: waiting for SIGUSR1 failed\n");
		return 126;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "hold: cannot execute `%s`: %s\n", argv[1], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
