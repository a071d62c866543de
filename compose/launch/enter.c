#define _GNU_SOURCE
#include "launch/enter.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/confine.h"
#include "launch/privilege.h"

_Noreturn static void refuse(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(126);
}

static bool in_other_user_namespace(const char *pid)
{
	char path[64];
	struct stat ours, theirs;
	snprintf(path, sizeof path, "/proc/%.20s/ns/user", pid);
	if (stat("/proc/self/ns/user", &ours) || stat(path, &theirs))
		refuse(path);
	return ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev;
}

int enter(char **argv)
{
	bool other_user = in_other_user_namespace(argv[0]);
	int wanted = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
	int status, lab = (int)syscall(SYS_pidfd_open, (pid_t)strtol(argv[0], NULL, 10), 0);
	if (lab < 0 || setns(lab, wanted | (other_user ? CLONE_NEWUSER : 0)))
		refuse("enter the lab");
	close(lab);
	/* The terminal's keys are for the command, which gets a process group of its own, as a shell would give it. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	pid_t child = fork();
	if (child < 0)
		refuse("fork");
	if (child == 0) {
		const char *what = drop_privileges(false, other_user);
		if (!what)
			what = confine();
		if (what)
			refuse(what);
		if (isatty(STDIN_FILENO) && (setpgid(0, 0) || tcsetpgrp(STDIN_FILENO, getpid())))
			refuse("terminal");
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		signal(SIGTTOU, SIG_DFL);
		execvp(argv[1], argv + 1);
		refuse(argv[1]);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			refuse("wait");
	if (isatty(STDIN_FILENO) && tcsetpgrp(STDIN_FILENO, getpgrp()))
		refuse("terminal");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
