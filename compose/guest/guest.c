/* guest: both ends of a kernel of our own (User-Mode Linux).
 *
 * usage: guest hold LINUX ARGUMENT...   outside: run the kernel, in a process group of its own, until it ends or our
 *                                       standard input does; then no process of it is left
 *        guest                          inside, as process 1, with BOTHENDS_COMMAND=FILE (on the kernel's command line):
 *                                       mount what programs expect, run one program with the console as its output, and
 *                                       end the kernel when that has ended
 *
 * FILE: words that end with NUL: the environment (NAME=value), an empty word, the program and its arguments. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { COMMAND_SIZE = 1 << 16, MOST_WORDS = 256, FAILED = 125 };

static const struct {
	const char *type, *place, *options;
	bool needed;
} mounts[] = {
	{"proc", "/proc", NULL, true},
	{"sysfs", "/sys", NULL, true},
	{"tracefs", "/sys/kernel/tracing", NULL, false},
	{"devtmpfs", "/dev", "mode=0755", true},
	{"devpts", "/dev/pts", "mode=0620,ptmxmode=0666", false},
};

/* What only root of a whole machine can set. Kernels that lack one do as if it were set. */
static const struct {
	const char *path, *value;
} settings[] = {
	/* No sit0 and no ip6tnl0 in each new network namespace. */
	{"/proc/sys/net/core/fb_tunnels_only_for_init_net", "2"},
	/* Whoever runs in here owns the machine. */
	{"/proc/sys/kernel/perf_event_paranoid", "-1"},
	{"/proc/sys/kernel/kptr_restrict", "0"},
};

static int failed(const char *what)
{
	fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
	return FAILED;
}

/* Child and parent know each other's end: the kernel dies with us, and all its processes with its group. */
static int hold(char **words)
{
	pid_t us = getpid(), kernel;
	sigset_t ended, all, before;
	int status = 0;

	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	sigfillset(&all);
	/* Only a poll lets SIGCHLD in, so that none is missed. */
	sigprocmask(SIG_BLOCK, &ended, &before);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if ((kernel = fork()) < 0)
		return failed("fork");
	if (!kernel) {
		struct rlimit none = {0, 0};
		int nothing = open("/dev/null", O_RDONLY);

		setpgid(0, 0);
		setrlimit(RLIMIT_CORE, &none); /* a panic ends in abort() */
		sigprocmask(SIG_SETMASK, &before, NULL);
		if (nothing < 0 || dup2(nothing, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || getppid() != us)
			_exit(FAILED);
		execv(words[0], words);
		_exit(failed(words[0]));
	}
	setpgid(kernel, kernel);
	signal(SIGCHLD, SIG_DFL);
	for (;;) {
		struct pollfd lifeline = {.fd = 0, .events = POLLIN};
		struct timespec look = {.tv_nsec = 200000000};
		char byte;

		if (waitpid(kernel, &status, WNOHANG) == kernel)
			break;
		if (ppoll(&lifeline, 1, &look, NULL) > 0 && read(0, &byte, 1) <= 0) {
			kill(-kernel, SIGKILL);
			waitpid(kernel, &status, 0);
			break;
		}
	}
	/* What it traced is let go when it dies, wherever it was. */
	kill(-kernel, SIGKILL);
	while (wait(NULL) > 0)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void set_up(void)
{
	struct ifreq loopback = {.ifr_name = "lo"};
	int fd;

	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
		if (!strcmp(mounts[i].place, "/dev/pts"))
			mkdir("/dev/pts", 0755);
		if (mount(mounts[i].type, mounts[i].place, mounts[i].type, MS_NOSUID, mounts[i].options) && mounts[i].needed)
			failed(mounts[i].place);
	}
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		if ((fd = open(settings[i].path, O_WRONLY)) < 0)
			continue;
		if (write(fd, settings[i].value, strlen(settings[i].value)) < 0)
			failed(settings[i].path);
		close(fd);
	}
	if ((fd = socket(AF_INET, SOCK_DGRAM, 0)) < 0 || ioctl(fd, SIOCGIFFLAGS, &loopback))
		failed("lo");
	loopback.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &loopback))
		failed("lo");
	close(fd);
}

/* The first console, as a line that passes bytes on as they are. */
static bool open_console(void)
{
	struct termios line;
	int fd = open("/dev/tty0", O_RDWR | O_NOCTTY), nothing = open("/dev/null", O_RDONLY);

	if (fd < 0 || nothing < 0 || tcgetattr(fd, &line))
		return false;
	cfmakeraw(&line);
	return !tcsetattr(fd, TCSANOW, &line) && dup2(nothing, 0) == 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2;
}

static int init(const char *path)
{
	static char text[COMMAND_SIZE];
	char *words[MOST_WORDS], **program;
	size_t count = 0;
	ssize_t length;
	pid_t child, gone;
	/* First of all: a path through /proc is one of the machine's as long as we have no /proc of our own. */
	int fd = open(path, O_RDONLY);

	if (fd < 0 || (length = read(fd, text, sizeof text - 1)) < 0)
		return failed(path);
	close(fd);
	set_up();
	if (!open_console())
		failed("/dev/tty0");
	for (char *word = text; word < text + length && count < MOST_WORDS - 1; word += strlen(word) + 1)
		words[count++] = word;
	words[count] = NULL;
	for (program = words; *program && **program; program++)
		;
	if (!*program || !program[1]) {
		errno = EINVAL;
		return failed(path);
	}
	*program++ = NULL;
	if (!(child = fork())) {
		setsid();
		execve(*program, program, words);
		_exit(failed(*program));
	}
	while ((gone = wait(NULL)) != child && gone > 0)
		; /* process 1 inherits orphans */
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "hold"))
		return hold(argv + 2);
	if (getpid() == 1 && getenv("BOTHENDS_COMMAND")) {
		init(getenv("BOTHENDS_COMMAND"));
		sync();
		reboot(RB_POWER_OFF);
	}
	fprintf(stderr, "usage: guest hold LINUX ARGUMENT...\n");
	return 2;
}
