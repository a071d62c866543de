/* send_loop: how long one send of one byte takes, over the loopback, to a socket that nobody reads.
 *
 * usage: send_loop COUNT
 *
 * Prints nanoseconds a call. A datagram socket keeps the bytes apart, so that every send does the same work. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	struct sockaddr_in sink = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof sink;
	struct timespec begin, end;

	if (count < 1) {
		fprintf(stderr, "usage: send_loop COUNT\n");
		return 2;
	}
	/* Bound and never read: once its buffer is full the kernel drops what comes, which costs the same each time. */
	int receiver = socket(AF_INET, SOCK_DGRAM, 0);
	int sender = socket(AF_INET, SOCK_DGRAM, 0);
	if (receiver < 0 || sender < 0)
		fail("socket");
	if (bind(receiver, (struct sockaddr *)&sink, sizeof sink) || getsockname(receiver, (struct sockaddr *)&sink, &length))
		fail("bind");
	if (connect(sender, (struct sockaddr *)&sink, sizeof sink))
		fail("connect");
	for (long n = 0; n < 2000; n++)
		if (send(sender, "c", 1, 0) != 1)
			fail("send");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (long n = 0; n < count; n++)
		if (send(sender, "c", 1, 0) != 1)
			fail("send");
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.1f\n", ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / (double)count);
	return 0;
}
