/* dump: captures the packets of an interface, and writes them as tcpdump does, for a kernel of our own.
 *
 * usage: dump INTERFACE
 *
 * A capture file (pcap, nanoseconds) on standard output, each packet as soon as it is there; on standard error what
 * tcpdump says: that it listens, and after SIGINT how many packets there were and how many were lost. tcpdump's buffer is
 * shared with the kernel, which User-Mode Linux does page by page; on 6.1 each page is a system call of the machine, and
 * those of 32 MiB for each host took longer than the rest of a run. Here packets wait in the socket.
 *
 * It needs CAP_NET_RAW, and for a large buffer CAP_NET_ADMIN of the whole machine. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_packet.h>

enum {
	NANOSECONDS = 0xa1b23c4d, /* the file's first four bytes */
	ETHERNET = 1,
	SNAP = 262144,
	ROOM = 128 << 20, /* bytes that may wait, with what the kernel needs besides */
	TOGETHER = 1 << 20
};

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snap, link;
};

struct packet_header {
	uint32_t seconds, nanoseconds, kept, length;
};

static volatile sig_atomic_t over;
static unsigned char waiting[TOGETHER];
static size_t length;

static void end(int number)
{
	(void)number;
	over = 1;
}

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "dump: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_waiting(void)
{
	for (size_t at = 0; at < length;) {
		ssize_t n = write(STDOUT_FILENO, waiting + at, length - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fail("write");
		at += (size_t)n;
	}
	length = 0;
}

static int open_capture(const char *interface)
{
	int room = ROOM, yes = 1;
	int once = !strcmp(interface, "lo"); /* there each packet passes twice, out and in */
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	/* Of no protocol until it is bound, so that no other interface's packets come first. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room))
		fail("SO_RCVBUF");
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &once, sizeof once))
		fail("PACKET_IGNORE_OUTGOING");
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes))
		fail("SO_TIMESTAMPNS");
	to.sll_ifindex = (int)if_nametoindex(interface);
	if (!to.sll_ifindex || bind(fd, (struct sockaddr *)&to, sizeof to))
		fail(interface);
	return fd;
}

static struct timespec time_of(struct msghdr *message)
{
	struct timespec time = {0, 0};
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_TIMESTAMPNS)
			memcpy(&time, CMSG_DATA(part), sizeof time);
	return time;
}

/* Take all that wait; returns how many. */
static unsigned long take(int fd)
{
	unsigned long taken = 0;
	for (;;) {
		char control[CMSG_SPACE(sizeof(struct timespec))];
		if (sizeof waiting - length < sizeof(struct packet_header) + SNAP)
			write_waiting();
		unsigned char *at = waiting + length;
		struct iovec part = {at + sizeof(struct packet_header), SNAP};
		struct msghdr message = {
		    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
		ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			fail("receive");
		if (n < 0)
			break;
		struct timespec time = time_of(&message);
		struct packet_header header = {(uint32_t)time.tv_sec, (uint32_t)time.tv_nsec, n < SNAP ? (uint32_t)n : SNAP,
		                               (uint32_t)n};
		memcpy(at, &header, sizeof header);
		length += sizeof header + header.kept;
		taken++;
	}
	write_waiting();
	return taken;
}

int main(int argc, char **argv)
{
	struct sigaction ending = {.sa_handler = end};
	struct tpacket_stats counted = {0, 0};
	socklen_t size = sizeof counted;
	sigset_t interrupt, before;
	unsigned long taken = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: dump INTERFACE\n");
		return 2;
	}
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, &before); /* only a poll lets it in */
	sigaction(SIGINT, &ending, NULL);
	int fd = open_capture(argv[1]);
	struct file_header header = {NANOSECONDS, 2, 4, 0, 0, SNAP, ETHERNET};
	memcpy(waiting, &header, sizeof header);
	length = sizeof header;
	write_waiting();
	fprintf(stderr, "dump: listening on %s, link-type EN10MB (Ethernet), snapshot length %d bytes\n", argv[1], SNAP);
	while (!over) {
		struct pollfd capture = {.fd = fd, .events = POLLIN};
		if (ppoll(&capture, 1, NULL, &before) < 0 && errno != EINTR)
			fail("poll");
		taken += take(fd);
	}
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counted, &size))
		fail("PACKET_STATISTICS");
	fprintf(stderr, "%lu packets captured\n%u packets received by filter\n%u packets dropped by kernel\n", taken,
	        counted.tp_packets, counted.tp_drops);
	return 0;
}
