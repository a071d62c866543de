#include "link/queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <linux/netfilter/nfnetlink_queue.h>

#include "link/report.h"

enum {
	HEADERS = 128,        /* bytes copied of a packet where nobody looks at its payload; holds what ICMP quotes */
	KERNEL_QUEUE = 1 << 18, /* packets in the kernel: far above what we let wait, so ours is the queue that is full */
	SOCKET_BUFFER = 256 << 20
};

/* Wait for the kernel's answer to a request. */
static void await_answer(const struct queue *q, const char *what)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[8192];
	} answer;
	do { /* what is no answer is a packet that was queued already: there is none before `ready` */
		if (recv(q->socket, answer.bytes, sizeof answer, 0) < 0)
			die(what);
	} while (answer.header.nlmsg_type != NLMSG_ERROR);
	const struct nlmsgerr *error = NLMSG_DATA(&answer.header);
	if (error->error) {
		errno = -error->error;
		die(what);
	}
}

static void configure(struct queue *q, int side, uint16_t type, const void *data, size_t size, const char *what)
{
	send_config(&q->verdicts, side, type, data, size);
	await_answer(q, what);
}

void open_queue(struct queue *q, bool payload)
{
	struct sockaddr_nl own = {.nl_family = AF_NETLINK};
	int size = SOCKET_BUFFER, one = 1;
	q->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (q->socket < 0 || bind(q->socket, (struct sockaddr *)&own, sizeof own))
		die("netlink socket");
	if (setsockopt(q->socket, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) &&
	    setsockopt(q->socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof size))
		die("receive buffer");
	open_verdicts(&q->verdicts, q->socket);
	/* What did not fit is counted by the kernel and missing in the numbers of packets; no need for an error as well. */
	if (setsockopt(q->socket, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof one))
		die("NETLINK_NO_ENOBUFS");
	const uint32_t range = payload ? 0xffff : HEADERS, most = htonl(KERNEL_QUEUE);
	q->room = range + 1024;
	for (int side = 0; side < SIDES; side++) {
		const struct nfqnl_msg_config_cmd command = {.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_UNSPEC)};
		const struct nfqnl_msg_config_params mode = {.copy_range = htonl(range), .copy_mode = NFQNL_COPY_PACKET};
		configure(q, side, NFQA_CFG_CMD, &command, sizeof command, "bind the queue");
		configure(q, side, NFQA_CFG_PARAMS, &mode, sizeof mode, "set the queue's copy mode");
		configure(q, side, NFQA_CFG_QUEUE_MAXLEN, &most, sizeof most, "set the queue's length");
	}
}

