#include "link/verdicts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "link/report.h"

enum { FEW = 16 }; /* verdicts that are sent at once */

static struct box *present(struct sender *s)
{
	return &s->boxes[s->filled % BOXES];
}

static void send_box(const struct sender *s, const struct box *box)
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
static void await_sent(struct sender *s, uint64_t most)
{
	pthread_mutex_lock(&s->lock);
	while (s->filled - s->sent > most)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* Send what is written, after all before it. */
static void send_out(struct sender *s)
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

static void write_verdict(struct verdicts *v, int side, uint16_t type, uint32_t verdict, uint32_t id,
                          const struct blob *changed)
{
	const struct nfqnl_msg_verdict_hdr what = {htonl(verdict), htonl(id)};
	struct sender *s = &v->senders[side];
	if (present(s)->used + 256 + (changed ? changed->size : 0) > OUT)
		send_out(s);
	struct nlmsghdr *header = begin_message(present(s)->bytes + present(s)->used, type, 0, side);
	if (!add_attribute(header, NFQA_VERDICT_HDR, &what, sizeof what) ||
	    (changed && !add_attribute(header, NFQA_PAYLOAD, changed->bytes, changed->size))) {
		errno = EMSGSIZE;
		die("a changed packet");
	}
	present(s)->used += header->nlmsg_len;
	s->decided++;
}

static void settle_batch(struct verdicts *v, int side)
{
	if (v->pending[side])
		write_verdict(v, side, NFQNL_MSG_VERDICT_BATCH, NF_ACCEPT, v->last[side], NULL);
	v->pending[side] = false;
}

void flush_verdicts(struct verdicts *v)
{
	for (int side = 0; side < SIDES; side++) {
		settle_batch(v, side);
		send_out(&v->senders[side]);
	}
}

void finish_verdicts(struct verdicts *v)
{
	flush_verdicts(v);
	for (int side = 0; side < SIDES; side++)
		await_sent(&v->senders[side], 0);
}

void accept_packet(struct verdicts *v, int side, uint32_t id, bool first, const struct blob *changed)
{
	if (first && !changed) {
		v->senders[side].decided++;
		v->pending[side] = true;
		v->last[side] = id;
		return;
	}
	settle_batch(v, side);
	write_verdict(v, side, NFQNL_MSG_VERDICT, NF_ACCEPT, id, changed);
}

void drop_packet(struct verdicts *v, int side, uint32_t id)
{
	write_verdict(v, side, NFQNL_MSG_VERDICT, NF_DROP, id, NULL);
}

void send_config(struct verdicts *v, int side, uint16_t type, const void *data, size_t size)
{
	struct sender *s = &v->senders[side];
	struct nlmsghdr *header = begin_message(present(s)->bytes + present(s)->used, NFQNL_MSG_CONFIG, NLM_F_ACK, side);
	if (!add_attribute(header, type, data, size)) {
		errno = EMSGSIZE;
		die("a setting of the queue");
	}
	present(s)->used += header->nlmsg_len;
	send_out(s);
}

void open_verdicts(struct verdicts *v, int socket)
{
	for (int side = 0; side < SIDES; side++) {
		struct sender *s = &v->senders[side];
		pthread_t thread;
		s->socket = socket;
		if (pthread_mutex_init(&s->lock, NULL) || pthread_cond_init(&s->changed, NULL) ||
		    pthread_create(&thread, NULL, send_boxes, s))
			die("sending thread");
	}
}
