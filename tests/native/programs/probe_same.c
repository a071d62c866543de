/* Prints all that a program can notice: descriptor numbers, results, errno. The output must not depend on the probe. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW(call) \
	do { errno = 77; long result_ = (long)(call); printf("%s = %ld, errno %d\n", #call, result_, errno); } while (0)

static volatile uintptr_t bad_number = 8; /* volatile: the compiler would warn of them */
static volatile int too_few = -1;
#define BAD ((void *)bad_number)

static void descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;
	for (struct dirent *entry; (entry = readdir(directory));)
		count++;
	closedir(directory);
	printf("%d entries in /proc/self/fd\n", count);
}

int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *to = (struct sockaddr *)&address;
	socklen_t length = sizeof address;
	char buffer[16] = "";
	int one = 1;
	struct iovec bad_part = {BAD, 8}, part = {buffer, 1};
	struct msghdr bad_parts = {.msg_iov = BAD, .msg_iovlen = 1}, bad_data = {.msg_iov = &bad_part, .msg_iovlen = 1};
	struct msghdr endless = {.msg_iov = &part, .msg_iovlen = (size_t)1 << 60};

	printf("dlerror %s\n", dlerror() ? "pending" : "clear");
	descriptors();
	int listener = socket(AF_INET, SOCK_STREAM, 0), closed = socket(AF_INET, SOCK_STREAM, 0);
	int udp = socket(AF_INET, SOCK_DGRAM, 0), file = open("/dev/null", O_RDWR);
	printf("%d %d %d %d\n", listener, closed, udp, file);
	SHOW(bind(listener, to, length));
	SHOW(bind(closed, to, length));
	SHOW(getsockname(closed, to, &length));
	SHOW(connect(udp, to, length)); /* nobody will ever listen there */
	int client = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(client, to, length));
	SHOW(listen(listener, 4));
	SHOW(getsockname(listener, to, &length));
	SHOW(connect(client, to, length));
	SHOW(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
	SHOW(accept(-1, NULL, NULL));
	SHOW(accept(file, NULL, NULL));
	SHOW(connect(client, to, length));
	SHOW(connect(udp, BAD, sizeof address));
	SHOW(bind(udp, BAD, sizeof address));
	SHOW(bind(udp, NULL, sizeof address));
	SHOW(send(client, BAD, 4, 0));
	SHOW(write(client, BAD, 4));
	SHOW(recv(client, BAD, 0, MSG_DONTWAIT));
	SHOW(recv(client, buffer, 4, MSG_DONTWAIT));
	SHOW(sendto(udp, "x", 1, 0, BAD, sizeof address));
	SHOW(sendto(udp, "x", 1, MSG_OOB, NULL, 0));
	SHOW(sendmsg(client, BAD, 0));
	SHOW(sendmsg(client, NULL, 0));
	SHOW(sendmsg(client, &bad_parts, 0));
	SHOW(sendmsg(client, &bad_data, 0));
	SHOW(sendmsg(client, &endless, 0));
	SHOW(recvmsg(client, BAD, MSG_DONTWAIT));
	SHOW(sendmmsg(client, BAD, 1, 0));
	SHOW(recvmmsg(client, BAD, 1, MSG_DONTWAIT, NULL));
	SHOW(writev(client, BAD, 1));
	SHOW(writev(client, &part, too_few));
	SHOW(readv(client, BAD, 1));
	SHOW(setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, BAD, 4));
	SHOW(setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &one, 4));
	SHOW(setsockopt(client, SOL_SOCKET, 9999, &one, 4));
	SHOW(getsockopt(client, SOL_SOCKET, SO_KEEPALIVE, BAD, BAD));
	SHOW(getpeername(listener, to, &length));
	SHOW(getpeername(client, BAD, BAD));
	SHOW(poll(BAD, 1, 0));
	SHOW(ppoll(BAD, 1, NULL, NULL));
	SHOW(select(8, BAD, NULL, NULL, &(struct timeval){0, 0}));
	SHOW(epoll_wait(file, BAD, 1, 0));
	SHOW(ioctl(client, FIONBIO, BAD));
	SHOW(ioctl(client, FIONREAD, &one));
	SHOW(fcntl(client, F_SETFL, O_NONBLOCK));
	SHOW(fcntl(client, F_GETFL));
	SHOW(fcntl(client, F_DUPFD, 20));
	SHOW(fcntl(client, F_DUPFD, -1));
	SHOW(fcntl64(99, F_SETFL, 0));
	SHOW(sendfile(client, udp, NULL, 4));
	SHOW(splice(client, NULL, file, NULL, 4, 0));
	SHOW(dup(client));
	SHOW(dup2(client, 30));
	SHOW(dup2(client, client));
	SHOW(dup2(99, 30));
	SHOW(dup3(client, client, 0));
	SHOW(shutdown(listener, SHUT_WR));
	SHOW(shutdown(client, SHUT_WR));
	signal(SIGPIPE, SIG_IGN);
	SHOW(send(client, "x", 1, 0));
	SHOW(shutdown(client, 9));
	SHOW(close(99));
	SHOW(close(30));
	SHOW(close(30));
	SHOW(send(30, "x", 1, 0));
	SHOW(send(file, "x", 1, 0));
	SHOW(socket(AF_INET, 99, 0));
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}));
	SHOW(read(file, buffer, sizeof buffer));
	SHOW(write(file, buffer, sizeof buffer));
	SHOW(close_range(20, 40, 0));
	SHOW(fork() ? 0 : (_exit(7), 0));
	SHOW((wait(&one), one));
	descriptors();
	fflush(stdout);
	close(0), close(1), close(2);
	int lowest = socket(AF_INET, SOCK_STREAM, 0);
	return lowest == 0 && !fork() ? socket(AF_INET, SOCK_STREAM, 0) : (wait(&one), WEXITSTATUS(one));
}
