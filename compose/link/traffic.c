#define _GNU_SOURCE /* recvmmsg */
#include "link/traffic.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/memory.h"
#include "link/alter.h"
#include "link/arrival.h"
#include "link/forge.h"
#include "link/report.h"

enum { BATCH = 64 };

void look_at_clock(struct link *link)
{
	struct timespec mono, real;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	link->now = (uint64_t)mono.tv_sec * 1000000000u + (uint64_t)mono.tv_nsec;
	link->epoch = (uint64_t)real.tv_sec * 1000000000u + (uint64_t)real.tv_nsec - link->now;
}

static void send_raw(struct link *link, const struct blob *blob)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	ssize_t n;
	if (blob->bytes[0] >> 4 == 4) {
		memcpy(&to4.sin_addr, blob->bytes + 16, 4);
		n = sendto(link->raw4, blob->bytes, blob->size, 0, (struct sockaddr *)&to4, sizeof to4);
	} else {
		memcpy(&to6.sin6_addr, blob->bytes + 24, 16);
		n = sendto(link->raw6, blob->bytes, blob->size, 0, (struct sockaddr *)&to6, sizeof to6);
	}
	if (n < 0) {
		fprintf(stderr, "link: cannot send a packet: %s\n", strerror(errno));
		link->refused++;
	}
}

static void let_go(struct link *link, struct held *one)
{
	struct verdicts *verdicts = &link->queue.verdicts;
	if (one->queued) {
		bool first = ring_remove(&link->holding.of[one->side].ring, one->place);
		accept_packet(verdicts, one->side, one->id, first, one->bytes.bytes ? &one->bytes : NULL);
	} else {
		finish_verdicts(verdicts); /* what came before must leave before */
		send_raw(link, &one->bytes);
	}
	if (one->recorded) {
		one->record.left = link->now + link->epoch;
		write_record(&link->journal, &one->record);
	}
	free(one->bytes.bytes);
	one->bytes.bytes = NULL;
	if (one->aside || one->gone || !one->queued || !one->recorded)
		return;
	count_passed(&link->holding, one->side, one->order);
	for (struct held *passed; (passed = take_passed(&link->holding, one->side));)
		let_go(link, passed);
}

void release(struct link *link, uint64_t until)
{
	for (struct held *one; (one = hold_take(&link->holding, until));) {
		let_go(link, one);
		free(one);
	}
	flush_verdicts(&link->queue.verdicts);
}

/* Let a packet that is in the kernel wait; the caller fills in what becomes of it. */
static struct held *hold_queued(struct link *link, const struct arrival *a, uint64_t due)
{
	struct held *one = hold_new(&link->holding, a->side, due);
	one->queued = true;
	one->id = a->id;
	one->place = ring_add(&link->holding.of[a->side].ring);
	return one;
}

/* Let a packet that the link made wait. `side`: the host that it says it comes from; `what`: its name in the journal. */
static void hold_made(struct link *link, struct blob blob, int side, uint64_t due, const struct decision *d, const char *what,
                      int fault)
{
	struct packet p;
	struct held *one = hold_new(&link->holding, side, due);
	read_packet(&p, blob.bytes, blob.size, blob.size);
	one->bytes = blob;
	one->recorded = true;
	one->record = begin_record(&p, side, 0, d->record.time);
	one->record.of = d->record.n;
	one->record.about = d->record.from;
	one->record.made = what;
	if (fault >= 0) {
		one->record.faults_used = 1;
		one->record.faults[0] = (uint8_t)fault;
	}
	hold_add(&link->holding, one);
}

/* Forged packets leave right after the one that they follow. */
static void forge_all(struct link *link, const struct packet *p, const struct decision *d, uint64_t due)
{
	for (size_t i = 0; i < d->forging; i++)
		hold_made(link, forge(d->forgers[i], p, d->connection), d->forgers[i]->as, due, d, "forged",
		          (int)(d->forgers[i] - link->plan.faults));
}

static void drop(struct link *link, const struct arrival *a, const struct packet *p, struct decision *d)
{
	const struct impairments *set = &link->plan.set[a->side];
	drop_packet(&link->queue.verdicts, a->side, a->id);
	write_record(&link->journal, &d->record);
	if (d->lost == A_BIG && set->icmp && p->protocol != ICMP && p->protocol != ICMPV6)
		hold_made(link, packet_too_big(&link->plan, a->side, p, set->mtu), 1 - a->side, link->now, d, "icmp", -1);
	forge_all(link, p, d, link->now);
}

static void pass(struct link *link, const struct arrival *a, const struct packet *p, const struct decision *d)
{
	struct held *one = hold_queued(link, a, d->due);
	one->recorded = true;
	one->behind = d->behind;
	one->bytes = d->changed;
	one->record = d->record;
	hold_add(&link->holding, one);
	if (d->copied) {
		struct packet as_changed = *p;
		if (d->changed.bytes)
			read_packet(&as_changed, d->changed.bytes, d->changed.size, d->changed.size);
		hold_made(link, copy_packet(&as_changed), a->side, d->due, d, "copy", -1);
	}
	forge_all(link, p, d, d->due);
}

static void count_overflow(struct link *link, const struct arrival *a)
{
	const uint32_t missing = a->id - link->last_id[a->side] - 1;
	if (missing) {
		write_event(&link->journal, "{\"event\":\"overflow\",\"from\":\"%s\",\"count\":%u}\n", side_names[a->side],
		            missing);
		link->kernel_lost += missing;
	}
	link->last_id[a->side] = a->id;
}

/* When a packet reached the link host: somewhat before we saw it. The kernel stamps packets while somebody captures; a
 * stamp that cannot be (the clock was set) is none. */
static uint64_t arrival_time(const struct link *link, const struct arrival *a)
{
	const uint64_t came = a->stamp - link->epoch;
	return a->stamp > link->epoch && came <= link->now && link->now - came < 1000000000u ? came : link->now;
}

static void handle(struct link *link, const uint8_t *message, size_t size)
{
	struct arrival a;
	struct packet p;
	const enum message kind = read_arrival(message, size, &a);
	link->refused += kind == REFUSED_VERDICT;
	if (kind != PACKET_ARRIVED)
		return;
	count_overflow(link, &a);
	struct direction *direction = &link->holding.of[a.side];
	if (!read_packet(&p, a.bytes, a.captured, a.total) || is_sentinel(&p)) {
		hold_add(&link->holding, hold_queued(link, &a, link->now > direction->latest ? link->now : direction->latest));
		return;
	}
	const struct circumstances at = {arrival_time(link, &a), link->epoch, direction->waiting};
	struct decision d;
	decide(&link->line, &p, a.side, &at, &d);
	if (d.lost >= 0)
		drop(link, &a, &p, &d);
	else
		pass(link, &a, &p, &d);
}

void take_packets(struct link *link)
{
	static struct mmsghdr messages[BATCH];
	static struct iovec parts[BATCH];
	static uint8_t *room;
	if (!room) {
		room = grow(NULL, BATCH * link->queue.room);
		for (int i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){room + (size_t)i * link->queue.room, link->queue.room};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
		}
	}
	int n = recvmmsg(link->queue.socket, messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die("packets");
	look_at_clock(link);
	for (int i = 0; i < n; i++)
		handle(link, parts[i].iov_base, messages[i].msg_len);
}
