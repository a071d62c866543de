/* queue.h: NFQUEUE through its netlink socket (linux/netfilter/nfnetlink_queue.h), without a library.
 *
 * One queue for each direction, both on one socket, so that packets come in the order in which they reached the link.
 * Verdicts are gathered and sent together; those of packets that leave in order become one (NFQNL_MSG_VERDICT_BATCH).
 *
 * The call that hands verdicts to the kernel also carries the packets to the other host, and all that follows from their
 * arrival. Where many come at once each direction has a thread that makes it, while the first thread takes the next ones.
 */

#ifndef QUEUE_H
#define QUEUE_H

#include "plan.h" /* before the kernel's headers: they give way to those of the C library, not the other way round */

#include <pthread.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <sys/socket.h>

enum {
	HEADERS = 128,        /* bytes copied of a packet where nobody looks at its payload; holds what ICMP quotes */
	KERNEL_QUEUE = 1 << 18, /* packets in the kernel: far above what we let wait, so ours is the queue that is full */
	SOCKET_BUFFER = 256 << 20,
	BATCH = 64,
	OUT = 1 << 17,
	BOXES = 8,  /* filled with verdicts for the sending thread */
	FEW = 16    /* verdicts that are sent at once */
};

struct box {
	uint8_t bytes[OUT];
	size_t used;
};

/* The way of one direction's verdicts to the kernel. */
struct sender {
	int socket;
	struct box boxes[BOXES];
	uint64_t filled, sent; /* boxes so far; the present one is `filled` */
	size_t decided;        /* packets on which the present one decides */
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

struct queue {
	int socket;
	size_t room; /* of one message */
	struct sender senders[SIDES];
	bool pending[SIDES]; /* a batch verdict up to `last`, not written yet */
	uint32_t last[SIDES];
	uint64_t refused; /* verdicts that the kernel did not take */
};

static inline struct box *present(struct sender *s)
{
	return &s->boxes[s->filled % BOXES];
}

static inline void die(const char *what)
{
	fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
	exit(70);
}

static inline struct nlmsghdr *begin(struct queue *q, uint16_t type, uint16_t flags, int side)
{
	struct box *box = present(&q->senders[side]);
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)(box->bytes + box->used);
	memset(header, 0, NLMSG_HDRLEN + sizeof(struct nfgenmsg));
	header->nlmsg_len = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	header->nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type);
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	struct nfgenmsg *general = NLMSG_DATA(header);
	general->nfgen_family = AF_UNSPEC;
	general->version = NFNETLINK_V0;
	general->res_id = htons((uint16_t)side);
	return header;
}

static inline void attribute(struct nlmsghdr *header, uint16_t type, const void *data, size_t size)
{
	uint8_t *at = (uint8_t *)header + NLMSG_ALIGN(header->nlmsg_len);
	struct nlattr *attr = (struct nlattr *)(void *)at;
	attr->nla_type = type;
	attr->nla_len = (uint16_t)(NLA_HDRLEN + size);
	memcpy(at + NLA_HDRLEN, data, size);
	memset(at + NLA_HDRLEN + size, 0, NLA_ALIGN(size) - size);
	header->nlmsg_len = NLMSG_ALIGN(header->nlmsg_len) + NLA_HDRLEN + (uint32_t)NLA_ALIGN(size);
}

static inline void send_box(const struct sender *s, const struct box *box)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	while (sendto(s->socket, box->bytes, box->used, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		if (errno != EINTR)
			die("netlink");
}

__attribute__((noreturn)) static void *send_boxes(void *data)
{
	struct sender *s = data;
	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (s->sent == s->filled)
			pthread_cond_wait(&s->changed, &s->lock);
		pthread_mutex_unlock(&s->lock);
		send_box(s, &s->boxes[s->sent % BOXES]);
		pthread_mutex_lock(&s->lock);
		s->sent++;
		pthread_cond_signal(&s->changed);
	}
}

/* Wait until at most `most` boxes are not sent yet. */
static inline void await_sent(struct sender *s, uint64_t most)
{
	pthread_mutex_lock(&s->lock);
	while (s->filled - s->sent > most)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* Send what is written, after all before it. */
static inline void send_out(struct sender *s)
{
	struct box *box = present(s);
	if (!box->used)
		return;
	pthread_mutex_lock(&s->lock);
	const bool idle = s->sent == s->filled;
	if (idle && s->decided <= FEW) {
		pthread_mutex_unlock(&s->lock);
		send_box(s, box);
	} else {
		s->filled++;
		pthread_cond_signal(&s->changed);
		pthread_mutex_unlock(&s->lock);
		await_sent(s, BOXES - 1);
	}
	present(s)->used = 0;
	s->decided = 0;
}

static inline void write_verdict(struct queue *q, int side, uint16_t type, uint32_t verdict, uint32_t id,
                                 const struct blob *changed)
{
	const struct nfqnl_msg_verdict_hdr what = {htonl(verdict), htonl(id)};
	struct sender *s = &q->senders[side];
	if (present(s)->used + 256 + (changed ? changed->size : 0) > OUT)
		send_out(s);
	struct nlmsghdr *header = begin(q, type, 0, side);
	attribute(header, NFQA_VERDICT_HDR, &what, sizeof what);
	if (changed)
		attribute(header, NFQA_PAYLOAD, changed->bytes, changed->size);
	present(s)->used += header->nlmsg_len;
	s->decided++;
}

static inline void settle_batch(struct queue *q, int side)
{
	if (q->pending[side])
		write_verdict(q, side, NFQNL_MSG_VERDICT_BATCH, NF_ACCEPT, q->last[side], NULL);
	q->pending[side] = false;
}

/* Send all verdicts that were given. */
static inline void flush_verdicts(struct queue *q)
{
	for (int side = 0; side < SIDES; side++) {
		settle_batch(q, side);
		send_out(&q->senders[side]);
	}
}

/* The same, and wait until the kernel has them. */
static inline void finish_verdicts(struct queue *q)
{
	flush_verdicts(q);
	for (int side = 0; side < SIDES; side++)
		await_sent(&q->senders[side], 0);
}

/* Let a packet go. `first`: no packet before it is in the kernel's queue still; then it can be part of a batch. */
static inline void accept_packet(struct queue *q, int side, uint32_t id, bool first, const struct blob *changed)
{
	if (first && !changed) {
		q->senders[side].decided++;
		q->pending[side] = true;
		q->last[side] = id;
		return;
	}
	settle_batch(q, side);
	write_verdict(q, side, NFQNL_MSG_VERDICT, NF_ACCEPT, id, changed);
}

static inline void drop_packet(struct queue *q, int side, uint32_t id)
{
	write_verdict(q, side, NFQNL_MSG_VERDICT, NF_DROP, id, NULL);
}

/* Send one request and wait for the kernel's answer. */
static inline void request(struct queue *q, int side, const char *what)
{
	uint8_t answer[8192];
	send_out(&q->senders[side]);
	for (;;) {
		ssize_t n = recv(q->socket, answer, sizeof answer, 0);
		if (n < 0)
			die(what);
		const struct nlmsghdr *header = (const struct nlmsghdr *)(void *)answer;
		if (header->nlmsg_type != NLMSG_ERROR)
			continue; /* a packet that was queued already: there is none before `ready` */
		const struct nlmsgerr *error = NLMSG_DATA(header);
		if (error->error) {
			errno = -error->error;
			die(what);
		}
		return;
	}
}

static inline void configure(struct queue *q, int side, uint16_t type, const void *data, size_t size, const char *what)
{
	struct nlmsghdr *header = begin(q, NFQNL_MSG_CONFIG, NLM_F_ACK, side);
	attribute(header, type, data, size);
	present(&q->senders[side])->used += header->nlmsg_len;
	request(q, side, what);
}

static inline void open_queue(struct queue *q, bool payload)
{
	struct sockaddr_nl own = {.nl_family = AF_NETLINK};
	int size = SOCKET_BUFFER, one = 1;
	q->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (q->socket < 0 || bind(q->socket, (struct sockaddr *)&own, sizeof own))
		die("netlink socket");
	if (setsockopt(q->socket, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) &&
	    setsockopt(q->socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof size))
		die("receive buffer");
	for (int side = 0; side < SIDES; side++) {
		struct sender *s = &q->senders[side];
		pthread_t thread;
		s->socket = q->socket;
		if (pthread_mutex_init(&s->lock, NULL) || pthread_cond_init(&s->changed, NULL) ||
		    pthread_create(&thread, NULL, send_boxes, s))
			die("sending thread");
	}
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

struct arrival {
	int side;
	uint32_t id;
	const uint8_t *bytes;
	size_t captured, total;
	uint64_t stamp; /* when the kernel received it, ns since the Unix epoch; 0 if it does not say */
};

/* Read one message; false if it is no packet. */
static inline bool read_arrival(struct queue *q, const uint8_t *message, size_t size, struct arrival *a)
{
	const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)message;
	if (size < NLMSG_HDRLEN || header->nlmsg_len > size)
		return false;
	if (header->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(header);
		q->refused += error->error != 0;
		return false;
	}
	if (header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
		return false;
	const struct nfgenmsg *general = NLMSG_DATA(header);
	memset(a, 0, sizeof *a);
	a->side = ntohs(general->res_id);
	bool numbered = false;
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof *general);
	while (at + NLA_HDRLEN <= header->nlmsg_len) {
		const struct nlattr *attr = (const struct nlattr *)(const void *)(message + at);
		const uint8_t *data = message + at + NLA_HDRLEN;
		if (attr->nla_len < NLA_HDRLEN)
			return false;
		if ((attr->nla_type & NLA_TYPE_MASK) == NFQA_PACKET_HDR) {
			a->id = get32(data);
			numbered = true;
		} else if ((attr->nla_type & NLA_TYPE_MASK) == NFQA_CAP_LEN) {
			a->total = get32(data);
		} else if ((attr->nla_type & NLA_TYPE_MASK) == NFQA_TIMESTAMP) { /* seconds and microseconds, 8 bytes each */
			a->stamp = ((uint64_t)get32(data) << 32 | get32(data + 4)) * 1000000000u + get32(data + 12) * 1000u;
		} else if ((attr->nla_type & NLA_TYPE_MASK) == NFQA_PAYLOAD) {
			a->bytes = data;
			a->captured = attr->nla_len - NLA_HDRLEN;
		}
		at += NLA_ALIGN(attr->nla_len);
	}
	if (!a->total)
		a->total = a->captured;
	return numbered && a->side < SIDES;
}

#endif
