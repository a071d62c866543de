/* launch: makes a lab of Linux namespaces, and is the parent of its processes until the runner is done with it.
 *
 * usage: launch                   orders on standard input, answers on standard output
 *        launch enter PID COMMAND...           (see enter.h)
 *
 * The orders, one a line, words parted by one blank; each is carried out as it is read:
 *
 *   bind SOURCE TARGET          a file or directory of the machine, read-only, seen by every process of the lab
 *   symlink TEXT PATH           a symbolic link
 *   file PATH SIZE              a small file; its SIZE bytes follow the line
 *   scratch PATH OPTIONS        an empty memory file system, each process of the lab has its own
 *   root                        what was made so far becomes the root; the machine's files are out of sight
 *   namespace NAME              a network namespace, loopback up; also the host name. The next orders are about it:
 *   sysctl NAME VALUE
 *   agent KIND FD               the agent as process 1 of a PID namespace, with FD as standard input and output and
 *                               our standard error. KIND: `host` has no capability, `tap` has NET_ADMIN and NET_RAW
 *   veth NAME IF NAME IF        two joined interfaces in two namespaces (may be told at any time)
 *   address NAME IF ADDRESS/PREFIX
 *   up NAME IF
 *   ready                       wait until links carry and agents run; answered by a line `ready PID...`
 *
 * An order that fails is answered by `error ERRNO WHAT`, and that is the end. As root everything is made directly and
 * the processes run as nobody; otherwise in a user namespace in which we are nobody. When standard input ends or this
 * process dies, the kernel kills every process of the lab; the rest goes with them.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_NAMESPACES = 8, MAX_AGENTS = 16, MAX_LINKS = 16, MAX_WORDS = 6, LINE_SIZE = 8192, CARRIER_MS = 5000 };

static const char CONNECTION_BUCKETS[] = "4096";

static void fail(const char *what) __attribute__((noreturn));
static void fail(const char *what)
{
	/* Those that we started die with us. */
	printf("error %d %s\n", errno, what);
	fflush(stdout);
	exit(1);
}

#include "net.h"
#include "privilege.h"
#include "root.h"
#include "enter.h"

struct namespace {
	char *name;
	int fd;
};

struct agent {
	pid_t pid;
	int report; /* its errno and what failed, or end of file once it runs */
};

struct interface {
	int namespace;
	char *name;
};

static struct namespace namespaces[MAX_NAMESPACES];
static struct agent agents[MAX_AGENTS];
static struct interface raised[MAX_LINKS];
static int namespace_count, agent_count, raised_count;
static bool in_user_namespace;

static char *copy(const char *text)
{
	char *made = strdup(text);
	if (!made)
		fail("memory");
	return made;
}

static int find_namespace(const char *name)
{
	for (int i = 0; i < namespace_count; i++)
		if (!strcmp(namespaces[i].name, name))
			return i;
	errno = ENOENT;
	fail(name);
}

static void go_into(int number)
{
	if (setns(namespaces[number].fd, CLONE_NEWNET))
		fail("setns");
}

static int new_network(void)
{
	if (unshare(CLONE_NEWNET))
		fail("network namespace");
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("/proc/self/ns/net");
	return fd;
}

static void add_namespace(const char *name)
{
	static int origin = -1;

	if (namespace_count == MAX_NAMESPACES) {
		errno = ENOSPC;
		fail("namespace");
	}
	/* Namespaces that are made from this one have a table of connections of their own. In the table that all share,
	 * hundreds of thousands of buckets, /proc/net/tcp takes milliseconds to read and a namespace to remove.
	 * Only Linux 6.1 and newer know the setting. */
	if (origin < 0) {
		origin = new_network();
		int fd = open("/proc/sys/net/ipv4/tcp_child_ehash_entries", O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			if (write(fd, CONNECTION_BUCKETS, strlen(CONNECTION_BUCKETS)) < 0)
				fail("tcp_child_ehash_entries");
			close(fd);
		}
	}
	if (setns(origin, CLONE_NEWNET))
		fail("setns");
	int fd = new_network();
	namespaces[namespace_count++] = (struct namespace){.name = copy(name), .fd = fd};
	interface_up("lo");
}

static void set_sysctl(const char *name, const char *value)
{
	char path[512];
	int length = snprintf(path, sizeof path, "/proc/sys/%s", name);
	if (length < 0 || (size_t)length >= sizeof path) {
		errno = ENAMETOOLONG;
		fail(name);
	}
	for (char *at = path + strlen("/proc/sys/"); *at; at++)
		if (*at == '.')
			*at = '/';
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0) {
		snprintf(path, sizeof path, "sysctl %s", name);
		fail(path);
	}
	close(fd);
}

/* In the new process: its own mounts, no privilege, and the agent. Never returns. */
static void be_agent(const char *name, bool tap, int channel, int report)
{
	const char *what = "host name";
	char host_name[80];
	snprintf(host_name, sizeof host_name, "HOSTNAME=%s", name);
	char *argv[] = {"agent", NULL};
	char *envp[] = {"PATH=/opt/bothends:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp",
	                host_name, NULL};
	sigset_t none;
	sigemptyset(&none);
	if (!sethostname(name, strlen(name)) && (what = mount_own_parts()) == NULL &&
	    (what = drop_privileges(tap, in_user_namespace)) == NULL) {
		what = "agent";
		if (!prctl(PR_SET_PDEATHSIG, SIGKILL) && !sigprocmask(SIG_SETMASK, &none, NULL) && dup2(channel, 0) == 0 &&
		    dup2(channel, 1) == 1)
			execve(TOOLS_DIRECTORY "/agent", argv, envp);
	}
	dprintf(report, "%d %s", errno, what);
	_exit(1);
}

static void add_agent(const char *kind, int channel)
{
	if (agent_count == MAX_AGENTS || !namespace_count) {
		errno = EINVAL;
		fail("agent");
	}
	int report[2];
	if (pipe2(report, O_CLOEXEC))
		fail("pipe");
	pid_t pid = spawn(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
	if (pid < 0)
		fail("process");
	if (pid == 0)
		be_agent(namespaces[namespace_count - 1].name, !strcmp(kind, "tap"), channel, report[1]);
	close(report[1]);
	close(channel);
	agents[agent_count++] = (struct agent){.pid = pid, .report = report[0]};
}

static void raise_interface(const char *namespace, const char *interface)
{
	if (raised_count == MAX_LINKS) {
		errno = ENOSPC;
		fail("up");
	}
	int number = find_namespace(namespace);
	go_into(number);
	interface_up(interface);
	raised[raised_count++] = (struct interface){.namespace = number, .name = copy(interface)};
}

static void wait_ready(void)
{
	for (int i = 0; i < raised_count; i++) {
		go_into(raised[i].namespace);
		wait_carrier(raised[i].name, CARRIER_MS);
	}
	for (int i = 0; i < agent_count; i++) {
		char text[256];
		ssize_t n = read(agents[i].report, text, sizeof text - 1);
		if (n < 0)
			fail("report");
		if (n > 0) {
			char *what;
			text[n] = 0;
			errno = (int)strtol(text, &what, 10);
			fail(what + (*what == ' '));
		}
		close(agents[i].report);
	}
	printf("ready");
	for (int i = 0; i < agent_count; i++)
		printf(" %d", (int)agents[i].pid);
	printf("\n");
	fflush(stdout);
}

static void obey(char *line)
{
	char *word[MAX_WORDS] = {0}, *at = line;
	int count = 0;
	while (at && count < MAX_WORDS) { /* the last word may hold blanks only in `sysctl` */
		if (count == 2 && !strcmp(word[0], "sysctl")) {
			word[count++] = at;
			break;
		}
		word[count++] = strsep(&at, " ");
	}
	const char *order = word[0];
	if (!strcmp(order, "bind") && count == 3)
		bind_into_root(word[1], word[2]);
	else if (!strcmp(order, "symlink") && count == 3)
		link_in_root(word[1], word[2]);
	else if (!strcmp(order, "file") && count == 3)
		file_in_root(word[1], (size_t)strtoul(word[2], NULL, 10), stdin);
	else if (!strcmp(order, "scratch") && count == 3)
		scratch_in_root(word[1], word[2]);
	else if (!strcmp(order, "root") && count == 1)
		enter_root();
	else if (!strcmp(order, "namespace") && count == 2)
		add_namespace(word[1]);
	else if (!strcmp(order, "sysctl") && count == 3)
		set_sysctl(word[1], word[2]);
	else if (!strcmp(order, "agent") && count == 3)
		add_agent(word[1], (int)strtol(word[2], NULL, 10));
	else if (!strcmp(order, "veth") && count == 5) {
		go_into(find_namespace(word[1]));
		make_veth(word[2], namespaces[find_namespace(word[3])].fd, word[4]);
	} else if (!strcmp(order, "address") && count == 4) {
		go_into(find_namespace(word[1]));
		add_address(word[2], word[3]);
	} else if (!strcmp(order, "up") && count == 3)
		raise_interface(word[1], word[2]);
	else if (!strcmp(order, "ready") && count == 1)
		wait_ready();
	else {
		errno = EINVAL;
		fail("order");
	}
}

int main(int argc, char **argv)
{
	static char line[LINE_SIZE];

	if (argc > 3 && !strcmp(argv[1], "enter"))
		return enter(argv + 2);
	signal(SIGPIPE, SIG_IGN);
	in_user_namespace = take_namespaces();
	begin_root();
	while (fgets(line, sizeof line, stdin)) {
		size_t length = strlen(line);
		if (line[length - 1] != '\n') {
			errno = EMSGSIZE;
			fail("order");
		}
		line[length - 1] = 0;
		obey(line);
	}
	for (int i = 0; i < agent_count; i++)
		kill(agents[i].pid, SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return 0;
}
