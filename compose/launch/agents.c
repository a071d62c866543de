#define _GNU_SOURCE
#include "launch/agents.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/confine.h"
#include "launch/privilege.h"
#include "launch/report.h"
#include "launch/root.h"

enum { MAX_AGENTS = 16 };

static struct {
	pid_t pid;
	int report; /* its errno and what failed, or end of file once it runs */
} agents[MAX_AGENTS];

static int agent_count;

/* In the new process: its own mounts, no privilege, and the agent. */
_Noreturn static void be_agent(const char *name, bool tap, int channel, bool in_user_namespace, int report)
{
	const char *what = "host name";
	char host_name[80];
	snprintf(host_name, sizeof host_name, "HOSTNAME=%s", name);
	char *argv[] = {"agent", NULL};
	char *envp[] = {"PATH=/opt/bothends:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/programs/bin", "HOME=/tmp",
	                host_name, NULL};
	sigset_t none;
	sigemptyset(&none);
	if (!sethostname(name, strlen(name)) && (what = mount_own_parts(name)) == NULL &&
	    (what = drop_privileges(tap, in_user_namespace)) == NULL && (what = confine()) == NULL) {
		what = "agent";
		if (!prctl(PR_SET_PDEATHSIG, SIGKILL) && !sigprocmask(SIG_SETMASK, &none, NULL) && dup2(channel, 0) == 0 &&
		    dup2(channel, 1) == 1)
			execve(TOOLS_DIRECTORY "/agent", argv, envp);
	}
	dprintf(report, "%d %s", errno, what);
	_exit(1);
}

void add_agent(const char *name, bool tap, int channel, bool in_user_namespace)
{
	if (agent_count == MAX_AGENTS)
		fail_with(EINVAL, "agent");
	int report[2];
	if (pipe2(report, O_CLOEXEC))
		fail("pipe");
	pid_t pid = spawn(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
	if (pid < 0)
		fail("process");
	if (pid == 0)
		be_agent(name, tap, channel, in_user_namespace, report[1]);
	close(report[1]);
	close(channel);
	agents[agent_count].pid = pid;
	agents[agent_count++].report = report[0];
}

/* Wait until an agent runs. */
static void await_agent(int report)
{
	char text[256], *what;
	ssize_t n = read(report, text, sizeof text - 1);
	if (n < 0)
		fail("report");
	if (n > 0) {
		text[n] = 0;
		int error = (int)strtol(text, &what, 10);
		fail_with(error, what + (*what == ' '));
	}
	close(report);
}

void report_ready(void)
{
	for (int i = 0; i < agent_count; i++)
		await_agent(agents[i].report);
	printf("ready");
	for (int i = 0; i < agent_count; i++)
		printf(" %d", (int)agents[i].pid);
	printf("\n");
	fflush(stdout);
}

void end_agents(void)
{
	for (int i = 0; i < agent_count; i++)
		kill(agents[i].pid, SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
}
