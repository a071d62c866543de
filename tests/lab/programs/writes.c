/* A client that writes in ways that Python does not have. Each write is a token as in writes.py:
 * CALL.CASE.PID.THREAD.NUMBER; Arguments: server, port, cases.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sockaddr_in server;
static pthread_barrier_t begin;
static int shared;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server))
		die("connect");
	return fd;
}

/* Wait until the server has read all and closed. */
static void finish(int fd)
{
	char byte;

	if (shutdown(fd, SHUT_WR) || recv(fd, &byte, 1, 0) || close(fd))
		die("finish");
}

static int token(char *text, const char *call, const char *name, int number)
{
	return sprintf(text, "%s.%s.%d.%d.%d;", call, name, getpid(), gettid(), number);
}

static void *write_some(void *unused)
{
	char text[80];

	pthread_barrier_wait(&begin);
	for (int number = 0; number < 200; number++) {
		int size = token(text, "send", "native-threads", number);

		if (send(shared, text, size, 0) != size)
			die("send");
	}
	return unused;
}

/* Four threads that nothing holds back write on one socket at once. */
static void threads(void)
{
	pthread_t writers[4];

	shared = connected();
	pthread_barrier_init(&begin, NULL, 4);
	for (int k = 0; k < 4; k++)
		if (pthread_create(&writers[k], NULL, write_some, NULL))
			die("pthread_create");
	for (int k = 0; k < 4; k++)
		pthread_join(writers[k], NULL);
	finish(shared);
}

/* A copy of the descriptor is closed first: that ends nothing. */
static void copies(void)
{
	char text[80];
	int fd = connected(), copy = dup(fd);

	if (copy < 0 || send(copy, text, token(text, "send", "copies", 0), 0) < 0 || close(copy))
		die("copy");
	if (send(fd, text, token(text, "send", "copies", 1), 0) < 0)
		die("send");
	finish(fd);
}

/* The smallest ring: one entry, one send, wait for its end. */
static void ring_send(const char *text, int size, int fd)
{
	struct io_uring_params params = {0};
	int ring = syscall(SYS_io_uring_setup, 1, &params);

	if (ring < 0)
		die("io_uring_setup");
	size_t bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
	char *queue = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entry = mmap(NULL, params.sq_entries * sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED,
					  ring, IORING_OFF_SQES);

	if (queue == MAP_FAILED || entry == MAP_FAILED)
		die("mmap");
	*entry = (struct io_uring_sqe){
		.opcode = IORING_OP_SEND, .fd = fd, .addr = (unsigned long)text, .len = size};
	*(unsigned *)(queue + params.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		die("io_uring_enter");
	close(ring);
}

/* What io_uring sends between two sends: no observer sees the call. */
static void uring(void)
{
	char text[80];
	int fd = connected();

	if (send(fd, text, token(text, "send", "uring", 0), 0) < 0)
		die("send");
	ring_send(text, token(text, "unseen", "uring", 1), fd);
	if (send(fd, text, token(text, "send", "uring", 2), 0) < 0)
		die("send");
	finish(fd);
}

int main(int count, char **words)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {{"native-threads", threads}, {"copies", copies}, {"uring", uring}};

	server.sin_family = AF_INET;
	server.sin_port = htons(atoi(words[2]));
	inet_pton(AF_INET, words[1], &server.sin_addr);
	for (int word = 3; word < count; word++)
		for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
			if (!strcmp(words[word], cases[k].name))
				cases[k].run();
	return 0;
}
