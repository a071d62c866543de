/* Moves bytes with every call there is, over one TCP connection and one UDP pair on the loopback interface. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHECK(condition) \
	do { if (!(condition)) { perror(#condition); exit(1); } } while (0)

static struct sockaddr_in loopback(void)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void tcp(void)
{
	struct sockaddr_in address = loopback();
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!bind(listener, (struct sockaddr *)&address, length) && !listen(listener, 1));
	CHECK(!getsockname(listener, (struct sockaddr *)&address, &length));
	int out = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(out, (struct sockaddr *)&address, length));
	int in = accept(listener, NULL, NULL);
	CHECK(in >= 0);

	char buffer[64];
	struct iovec parts[2] = {{"ab", 2}, {"cd", 2}}, room[2] = {{buffer, 1}, {buffer + 1, 63}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2}, got = {.msg_iov = room, .msg_iovlen = 2};
	CHECK(send(out, "send", 4, 0) == 4); /* the caller test looks for this line */
	CHECK(recv(in, buffer, 2, MSG_PEEK) == 2 && recv(in, buffer, 4, MSG_WAITALL) == 4);
	CHECK(sendto(out, "sendto", 6, MSG_NOSIGNAL, NULL, 0) == 6);
	CHECK(recvfrom(in, buffer, 6, MSG_WAITALL, NULL, NULL) == 6);
	CHECK(write(out, "write", 5) == 5 && read(in, buffer, sizeof buffer) == 5);
	CHECK(writev(out, parts, 2) == 4 && readv(in, room, 2) == 4);
	CHECK(sendmsg(out, &message, 0) == 4 && recvmsg(in, &got, 0) == 4);
	CHECK(send(out, "dropped", 7, 0) == 7 && recv(in, NULL, 7, MSG_TRUNC | MSG_WAITALL) == 7);

	int file = memfd_create("file", 0), ends[2];
	CHECK(write(file, "sendfile", 8) == 8);
	off_t offset = 0;
	CHECK(sendfile(out, file, &offset, 8) == 8 && recv(in, buffer, 8, MSG_WAITALL) == 8);
	CHECK(!pipe(ends) && write(ends[1], "splice", 6) == 6);
	CHECK(splice(ends[0], NULL, out, NULL, 6, 0) == 6 && splice(in, NULL, ends[1], NULL, 6, 0) == 6);
	CHECK(!shutdown(out, SHUT_WR) && recv(in, buffer, 1, 0) == 0);
	CHECK(!close(out) && !close(in) && !close(listener) && !close(file) && !close(ends[0]) && !close(ends[1]));
}

static void udp(void)
{
	struct sockaddr_in address = loopback(), from;
	socklen_t length = sizeof address, from_length = sizeof from;
	int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(!bind(in, (struct sockaddr *)&address, length) && !getsockname(in, (struct sockaddr *)&address, &length));
	char one[8], two[8];
	struct iovec give[2] = {{"one", 3}, {"three", 5}}, take[2] = {{one, 8}, {two, 8}};
	struct mmsghdr given[2] = {
		{.msg_hdr = {.msg_name = &address, .msg_namelen = length, .msg_iov = &give[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_name = &address, .msg_namelen = length, .msg_iov = &give[1], .msg_iovlen = 1}},
	};
	struct mmsghdr taken[2] = {{.msg_hdr = {.msg_iov = &take[0], .msg_iovlen = 1}},
	                           {.msg_hdr = {.msg_iov = &take[1], .msg_iovlen = 1}}};
	CHECK(sendto(out, "datagram", 8, 0, (struct sockaddr *)&address, length) == 8);
	CHECK(recvfrom(in, one, 4, MSG_TRUNC, (struct sockaddr *)&from, &from_length) == 8);
	CHECK(sendmmsg(out, given, 2, 0) == 2 && recvmmsg(in, taken, 2, 0, NULL) == 2);
	CHECK(!close(in) && !close(out));
}

int main(void)
{
	tcp();
	udp();
	return 0;
}
