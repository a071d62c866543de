/* hold: become another program, once told to (SIGUSR1).
 *
 * usage: hold [--name NAME] PROGRAM ARGUMENT...
 *
 * An observer attaches meanwhile. So the program is the agent's own child, with its own streams, exit status and
 * signals, and the observer beside it needs no privilege. Without --name it is a tracer, which is let in by prctl (for
 * Yama's ptrace_scope 1). With --name it is the kernel's trace: the process bears NAME, by which the recorder finds it
 * among all of the machine (compose/witness/calls.c). */
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
	const char *name = "held";
	char **program = argv + 1;

	if (argc > 2 && !strcmp(argv[1], "--name")) {
		name = argv[2];
		program = argv + 3;
	}
	if (!argc || !*program) {
		fprintf(stderr, "usage: hold [--name NAME] PROGRAM ARGUMENT...\n");
		return 2;
	}
	/* Fails with EINVAL where there is no Yama; then it is not needed. */
	if (program == argv + 1 && prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0) && errno != EINVAL) {
		fprintf(stderr, "hold: prctl: %s\n", strerror(errno));
		return 126;
	}
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	/* Its name says that the signal may come; execve gives it another one. */
	if (sigprocmask(SIG_BLOCK, &go, NULL) || prctl(PR_SET_NAME, name, 0, 0, 0) || sigwait(&go, &number) ||
	    sigprocmask(SIG_UNBLOCK, &go, NULL)) {
		fprintf(stderr, "hold: waiting for SIGUSR1 failed\n");
		return 126;
	}
	execvp(*program, program);
	fprintf(stderr, "hold: cannot execute `%s`: %s\n", *program, strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
