/* hold: become another program, once told to (SIGUSR1).
 *
 * usage: hold [--name NAME] [--preload LIBRARY] PROGRAM ARGUMENT...
 *
 * An observer attaches meanwhile. So the program is the agent's own child, with its own streams, exit status and
 * signals, and the observer beside it needs no privilege. Without --name it is a tracer, which is let in by prctl (for
 * Yama's ptrace_scope 1). With --name it is the kernel's trace: the process bears NAME, by which the recorder finds it
 * among all of the machine (compose/witness/calls.c). A program that is not there is said before anyone waits for it:
 * exit status 127, 126 for one that may not be executed. --preload: LD_PRELOAD of the program, and not of this one. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Say as execvp(3) would whether there is a program of this name: 0, or the error. */
static int look_for(const char *name)
{
	const char *rest = getenv("PATH");
	int error = ENOENT;
	if (strchr(name, '/'))
		return access(name, X_OK) ? errno : 0;
	for (rest = rest ? rest : "/bin:/usr/bin"; rest; rest = *rest ? rest + 1 : NULL) {
		char path[PATH_MAX];
		int length = (int)strcspn(rest, ":");
		snprintf(path, sizeof path, "%.*s%s%s", length, rest, length ? "/" : "", name);
		rest += length;
		if (!access(path, X_OK))
			return 0;
		if (errno != ENOENT && errno != ENOTDIR)
			error = errno;
	}
	return error;
}

static int cannot_execute(const char *name, int error)
{
	fprintf(stderr, "hold: cannot execute `%s`: %s\n", name, strerror(error));
	return error == ENOENT ? 127 : 126;
}

int main(int argc, char **argv)
{
	sigset_t go;
	int number;
	const char *name = NULL, *library = NULL;
	char **program = argv + (argc > 0);

	for (; *program && program[1] && !strncmp(*program, "--", 2); program += 2)
		if (!strcmp(*program, "--name"))
			name = program[1];
		else if (!strcmp(*program, "--preload"))
			library = program[1];
		else
			break;
	if (!*program) {
		fprintf(stderr, "usage: hold [--name NAME] [--preload LIBRARY] PROGRAM ARGUMENT...\n");
		return 2;
	}
	int missing = look_for(*program);
	if (missing)
		return cannot_execute(*program, missing);
	/* Fails with EINVAL where there is no Yama; then it is not needed. */
	if (!name && prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0) && errno != EINVAL) {
		fprintf(stderr, "hold: prctl: %s\n", strerror(errno));
		return 126;
	}
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	/* Its name says that the signal may come; execve gives it another one. */
	if (sigprocmask(SIG_BLOCK, &go, NULL) || prctl(PR_SET_NAME, name ? name : "held", 0, 0, 0) || sigwait(&go, &number) ||
	    sigprocmask(SIG_UNBLOCK, &go, NULL)) {
		fprintf(stderr, "hold: waiting for SIGUSR1 failed\n");
		return 126;
	}
	if (library)
		setenv("LD_PRELOAD", library, 1);
	execvp(*program, program);
	return cannot_execute(*program, errno);
}
