/* What may break a logger; the first argument chooses. Sends numbered bytes on a socket pair. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition) \
	do { if (!(condition)) { perror(#condition); exit(1); } } while (0)

static int pair[2];
static volatile sig_atomic_t alarms, cleaned;

static void drain(void)
{
	char buffer[65536];
	while (recv(pair[1], buffer, sizeof buffer, MSG_DONTWAIT) > 0)
		;
}

static void *sends(void *count)
{
	for (long i = 0; i < (long)count; i++)
		CHECK(send(pair[0], &i, 1, 0) == 1);
	return NULL;
}

static void threads(void)
{
	pthread_t thread[8];
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_create(&thread[i], NULL, sends, (void *)2000L));
	for (int left = 16000; left;) {
		char buffer[512];
		ssize_t got = recv(pair[1], buffer, sizeof buffer, 0);
		CHECK(got > 0);
		left -= (int)got;
	}
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_join(thread[i], NULL));
}

static void on_alarm(int number)
{
	(void)number;
	int saved = errno;
	CHECK(send(-1, "a", 1, 0) < 0 && errno == EBADF);
	alarms++;
	errno = saved;
}

/* A handler that makes calls, in the middle of calls, while the log grows. */
static void handler(void)
{
	signal(SIGALRM, on_alarm);
	struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
	CHECK(!setitimer(ITIMER_REAL, &often, NULL));
	for (int i = 0; i < 20000 || alarms < 50; i++) {
		CHECK(send(pair[0], "m", 1, 0) == 1);
		char byte;
		CHECK(recv(pair[1], &byte, 1, 0) == 1);
	}
	CHECK(!setitimer(ITIMER_REAL, &never, NULL));
	printf("%d\n", (int)alarms);
}

static void cleanup(void *unused)
{
	(void)unused;
	cleaned = 1;
}

static void *blocks(void *unused)
{
	char byte;
	pthread_cleanup_push(cleanup, NULL);
	recv(pair[1], &byte, 1, 0);
	pthread_cleanup_pop(0);
	return unused;
}

static void cancel(void)
{
	pthread_t thread;
	void *result;
	CHECK(!pthread_create(&thread, NULL, blocks, NULL) && !pthread_cancel(thread));
	CHECK(!pthread_join(thread, &result) && result == PTHREAD_CANCELED && cleaned);
	CHECK(send(pair[0], "after", 5, 0) == 5);
}

/* A child that borrows the parent's memory closes and replaces its own descriptors. */
static void borrowed(void)
{
	pid_t child = vfork();
	CHECK(child >= 0);
	if (child == 0) {
		close(pair[0]);
		dup2(pair[1], pair[0]);
		send(pair[1], "child", 5, 0);
		_exit(0);
	}
	CHECK(waitpid(child, NULL, 0) == child);
	drain();
	CHECK(send(pair[0], "parent", 6, 0) == 6);
	posix_spawn_file_actions_t actions;
	char *command[] = {"true", NULL}, *environment[] = {NULL};
	CHECK(!posix_spawn_file_actions_init(&actions) && !posix_spawn_file_actions_addclose(&actions, pair[0]));
	CHECK(!posix_spawn(&child, "/bin/true", &actions, NULL, command, environment));
	CHECK(waitpid(child, NULL, 0) == child && send(pair[0], "parent", 6, 0) == 6);
}

/* A fork that runs no handlers. */
static void cloned(void)
{
	pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(send(pair[0], "child", 5, 0) == 5);
		_exit(0);
	}
	CHECK(waitpid(child, NULL, 0) == child && send(pair[0], "parent", 6, 0) == 6);
}

/* No room for a larger file: the signal SIGXFSZ would kill. */
static void limited(void)
{
	struct rlimit limit = {200000, 200000};
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	for (int i = 0; i < 2000; i++) {
		CHECK(send(pair[0], "x", 1, 0) == 1);
		drain();
	}
}

/* Another user must still be able to grow its log, and its child to open one. */
static void nobody(void)
{
	CHECK(!setgid(65534) && !setuid(65534));
	for (int i = 0; i < 2000; i++) {
		CHECK(send(pair[0], "x", 1, 0) == 1);
		drain();
	}
	if (!fork())
		_exit(send(pair[0], "child", 5, 0) != 5);
	int status;
	CHECK(wait(&status) > 0 && status == 0);
}

/* Numbers that come and go in ways that only the C library or the kernel sees. */
static void numbers(void)
{
	FILE *file = fopen("/dev/null", "r");
	char byte;
	CHECK(file && read(fileno(file), &byte, 1) == 0);
	int number = fileno(file);
	CHECK(!fclose(file));
	struct iovec part = {"m", 1};
	union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr header; } control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
	CHECK(sendmsg(pair[0], &message, 0) == 1);
	part.iov_base = &byte;
	CHECK(recvmsg(pair[1], &message, 0) == 1);
	memcpy(&number, CMSG_DATA(&control.header), sizeof number);
	CHECK(write(number, "passed", 6) == 6);
	CHECK(dup2(number, 40) == 40 && write(40, "copied", 6) == 6);
	int other[2];
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, other) && dup2(other[0], 40) == 40 && write(40, "other", 5) == 5);
	FILE *stream = fdopen(other[1], "r");
	CHECK(stream && !fclose(stream));
	CHECK(!close_range(40, 50, 0) && !close(number));
}

int main(int count, char **arguments)
{
	static const struct { const char *name; void (*run)(void); } choices[] = {
		{"threads", threads}, {"handler", handler}, {"cancel", cancel}, {"borrowed", borrowed}, {"cloned", cloned},
		{"limited", limited}, {"nobody", nobody}, {"numbers", numbers},
	};
	CHECK(count == 2 && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
		if (!strcmp(arguments[1], choices[i].name)) {
			choices[i].run();
			return 0;
		}
	return 2;
}
