/* What a preloaded library does not see: standard I/O on a socket, system calls made directly, a child that posix_spawn made
 * and that keeps the socket: `unlogged ADDRESS PORT`. TCP: reads a line, writes "abc" and "xy\n". UDP, to the same port:
 * two datagrams in one sendmmsg. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
	char line[64];
	struct sockaddr_in server = {.sin_family = AF_INET};
	if (argc != 3 || !inet_aton(argv[1], &server.sin_addr))
		return 2;
	server.sin_port = htons((unsigned short)atoi(argv[2]));
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	if (connect(tcp, (struct sockaddr *)&server, sizeof server) || connect(udp, (struct sockaddr *)&server, sizeof server))
		return 1;
	FILE *stream = fdopen(tcp, "r+");
	if (!stream || !fgets(line, sizeof line, stream))
		return 1;
	if (syscall(SYS_sendto, tcp, "abc", 3, 0, NULL, 0) != 3 || fputs("xy\n", stream) < 0 || fflush(stream))
		return 1;
	struct iovec parts[] = {{"first", 5}, {"second", 6}};
	struct mmsghdr messages[] = {{.msg_hdr = {.msg_iov = parts, .msg_iovlen = 1}},
	                             {.msg_hdr = {.msg_iov = parts + 1, .msg_iovlen = 1}}};
	if (syscall(SYS_sendmmsg, udp, messages, 2, 0) != 2)
		return 1;
	char *const sleep[] = {"sleep", "0.2", NULL};
	pid_t child;
	if (posix_spawnp(&child, "sleep", NULL, NULL, sleep, environ))
		return 1;
	return fclose(stream) ? 1 : 0;
}
