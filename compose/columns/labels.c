/* The rules of tcp_analyze_sequence_number (Wireshark's packet-tcp.c) as testbed/wireshark/one_stream.py states them; the
 * streams of a conversation as testbed/wireshark/segment_order.py tells them apart.
 *
 * It is long because it is one machine: every rule looks at the same state of both sides. */

#include <stdlib.h>

#include "columns/labels.h"

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
enum {
	ZERO_WINDOW_PROBE = 1 << 0,
	ZERO_WINDOW = 1 << 1,
	LOST_SEGMENT = 1 << 2,
	KEEP_ALIVE = 1 << 3,
	WINDOW_UPDATE = 1 << 4,
	WINDOW_FULL = 1 << 5,
	KEEP_ALIVE_ACK = 1 << 6,
	ZERO_WINDOW_PROBE_ACK = 1 << 7,
	DUPLICATE_ACK = 1 << 8,
	ACK_LOST_SEGMENT = 1 << 9,
	SPURIOUS_RETRANSMISSION = 1 << 10,
	FAST_RETRANSMISSION = 1 << 11,
	OUT_OF_ORDER = 1 << 12,
	RETRANSMISSION = 1 << 13,
	REUSED_PORTS = 1 << 14,
};
enum { UNSCALED = -2, UNKNOWN_SCALE = -1, MOST_UNACKED = 10000 };
static const uint32_t NEVER = UINT32_MAX; /* a window before there was one */
static const int64_t FAST = 20000000, RTT_UNKNOWN = 3000000; /* ns */

struct range {
	uint32_t first, end;
};

/* Segments that carry something and are not acknowledged, the oldest at `head`. In line: each begins where the one before
 * ends or later, and all lie within half of the numbers, so that an ACK takes away from the front alone. Settled: the ACK `acked`
 * would change nothing, as after a loss the same comes again and again. */
struct unacked {
	struct range *ranges;
	int32_t head, count, room;
	int in_line, settled;
	uint32_t acked;
};

/* What is remembered of one direction; numbers are raw, 0 where there was none yet. */
struct direction {
	uint32_t nextseq, edge, last_ack, window, last_length;
	int64_t nextseq_time, last_time;
	int32_t scale, first_ack, duplicates, last_labels, blocks;
	const uint32_t (*sack)[2];
	struct unacked unacked;
};

struct stream {
	struct direction directions[2];
	int64_t syn_time, rtt;
	int64_t base[2]; /* -1: none */
	int32_t number;
	uint8_t closed, begun;
};

/* One segment. */
struct segment {
	int64_t time;
	uint32_t seq, ack, window, length;
	uint16_t flags;
	int wscale;
};

static inline int after(uint32_t seq, uint32_t base)
{
	return seq != base && seq - base < UINT32_C(1) << 31;
}

static inline int any(unsigned flags, unsigned some)
{
	return (flags & some) != 0;
}

/* Unacknowledged segments */

static int in_line(const struct unacked *all)
{
	const struct range *r = all->ranges + all->head;
	uint32_t span = 0;
	for (int32_t k = 0; k < all->count; k++) {
		uint32_t reach = r[k].end - r[0].first;
		if (reach < span || reach >= UINT32_C(1) << 31 || r[k].first - r[0].first < span || r[k].first - r[0].first > reach)
			return 0;
		span = reach;
	}
	return 1;
}

static int add_unacked(struct unacked *all, uint32_t first, uint32_t end)
{
	if (all->head + all->count == all->room && all->head > all->room / 2) {
		for (int32_t k = 0; k < all->count; k++)
			all->ranges[k] = all->ranges[all->head + k];
		all->head = 0;
	}
	if (all->head + all->count == all->room) {
		int32_t room = all->room ? all->room * 2 : 8;
		struct range *ranges = realloc(all->ranges, (size_t)room * sizeof *ranges);
		if (!ranges)
			return 0;
		all->ranges = ranges;
		all->room = room;
	}
	struct range *r = all->ranges + all->head;
	if (after(all->acked, first) || !after(end, all->acked))
		all->settled = 0;
	if (!all->count) {
		all->in_line = end - first < UINT32_C(1) << 31;
	} else if (all->in_line) {
		uint32_t span = r[all->count - 1].end - r[0].first, start = first - r[0].first, reach = end - r[0].first;
		all->in_line = start >= span && reach >= start && reach < UINT32_C(1) << 31;
	}
	r[all->count++] = (struct range){first, end};
	return 1;
}

/* Forget what is acknowledged of the other direction's segments. */
static void acknowledge(struct unacked *all, uint32_t ack)
{
	if (!all->count || (all->settled && all->acked == ack))
		return;
	all->settled = 1;
	all->acked = ack;
	if (all->in_line) {
		struct range *r = all->ranges + all->head;
		while (all->count && !after(r->end, ack)) {
			r++;
			all->head++;
			all->count--;
		}
		if (!all->count) {
			all->head = 0;
			return;
		}
		if (r[all->count - 1].end - ack < UINT32_C(1) << 31) {
			if (after(ack, r->first))
				r->first = ack;
			return;
		}
	}
	struct range *r = all->ranges + all->head;
	int32_t kept = 0;
	for (int32_t k = 0; k < all->count; k++) {
		if (!after(r[k].end, ack))
			continue;
		struct range one = r[k];
		if (after(ack, one.first))
			one.first = ack;
		r[kept++] = one;
	}
	all->count = kept;
	if (!kept)
		all->head = 0;
	all->in_line = in_line(all);
}

static int was_seen(const struct unacked *all, uint32_t seq, uint32_t end)
{
	for (int32_t k = 0; k < all->count; k++) {
		const struct range *r = all->ranges + all->head + k;
		if (!after(r->first, seq) && !after(end, r->end))
			return 1;
	}
	return 0;
}

/* The rules */

static int is_repeat(const struct direction *fwd, const struct segment *s)
{
	return s->length == 0 && s->seq == fwd->nextseq && !any(s->flags, SYN | FIN | RST);
}

static int fills_window(const struct direction *rev, const struct segment *s)
{
	if (!s->length || any(s->flags, SYN | FIN | RST) || rev->scale == UNKNOWN_SCALE)
		return 0;
	int scale = rev->first_ack || rev->scale < 0 ? 0 : rev->scale;
	uint32_t window = scale < 32 ? rev->window << scale : 0;
	return s->seq + s->length == rev->last_ack + window;
}

static int label_forward(struct direction *fwd, struct direction *rev, const struct segment *s, const struct label_rules *rules)
{
	if (s->length == 1 && s->seq == fwd->nextseq && rev->window == 0)
		return ZERO_WINDOW_PROBE;
	int labels = 0, plain = !any(s->flags, SYN | FIN | RST);
	if (!s->window && plain)
		labels |= ZERO_WINDOW;
	if (fwd->nextseq && after(s->seq, fwd->nextseq) && !any(s->flags, RST))
		labels |= LOST_SEGMENT;
	if (s->length <= 1 && s->seq == fwd->nextseq - 1 && plain)
		labels |= KEEP_ALIVE;
	int here = is_repeat(fwd, s), repeats = here && s->ack == fwd->last_ack;
	if (repeats && s->window && s->window != fwd->window)
		labels |= WINDOW_UPDATE;
	if (fills_window(rev, s))
		labels |= WINDOW_FULL;
	if (repeats && s->window && s->window == fwd->window) {
		if (any((unsigned)rev->last_labels, KEEP_ALIVE))
			return labels | KEEP_ALIVE_ACK;
		fwd->duplicates = (fwd->duplicates > 0 ? fwd->duplicates : 0) + 1;
		return labels | DUPLICATE_ACK;
	}
	int consumed = rules->consumed && s->ack == fwd->last_ack + 1, probed = any((unsigned)rev->last_labels, ZERO_WINDOW_PROBE);
	if (here && !s->window && !fwd->window && probed && (s->ack == fwd->last_ack || consumed)) {
		labels |= ZERO_WINDOW_PROBE_ACK;
		if (consumed)
			rev->nextseq = rev->edge = s->ack;
	}
	return labels;
}

static int acks_unseen(struct direction *fwd, struct direction *rev, const struct segment *s, const struct label_rules *rules)
{
	if (!rules->unseen) {
		if (after(rev->nextseq, rev->edge)) {
			rev->edge = rev->nextseq;
			return ACK_LOST_SEGMENT;
		}
		int unseen_yet = !rev->duplicates;
		rev->duplicates = -1;
		return unseen_yet ? ACK_LOST_SEGMENT : 0;
	}
	if (s->ack == fwd->last_ack + 1 && s->seq == fwd->nextseq && any((unsigned)rev->last_labels, ZERO_WINDOW_PROBE)) {
		rev->nextseq = rev->edge = s->ack;
		return WINDOW_UPDATE;
	}
	uint32_t left = 0, right = 0;
	for (int32_t k = rev->unacked.count - 1; k >= 0; k--) {
		const struct range *r = rev->unacked.ranges + rev->unacked.head + k;
		if (left == right) {
			left = r->first;
			right = r->end;
		}
		if (!after(s->ack, r->first)) {
			if (r->end != left)
				right = r->end;
			left = r->first;
		}
	}
	rev->edge = s->ack == left && after(right, s->ack) ? right : s->ack;
	return ACK_LOST_SEGMENT;
}

static int outside_sack(const struct direction *rev, uint32_t seq, uint32_t end)
{
	for (int32_t k = 0; k < rev->blocks; k++)
		if (seq >= rev->sack[k][0] && end <= rev->sack[k][1])
			return 0;
	return rev->blocks > 0;
}

static inline int within(int64_t since, int64_t limit)
{
	return since >= 0 && since < limit;
}

/* The label of the retransmission family, 0 for a segment with new data. */
static int label_repeated(const struct direction *fwd, const struct direction *rev, const struct segment *s, int64_t threshold,
                          const struct label_rules *rules)
{
	uint32_t end = s->seq + s->length;
	int behind = fwd->nextseq && after(fwd->nextseq, s->seq);
	if (s->length > 1 && fwd->nextseq - 1 == s->seq)
		behind = 0;
	if (s->length && rev->last_ack && !after(end, rev->last_ack))
		return SPURIOUS_RETRANSMISSION;
	if (!behind)
		return 0;
	if (within(s->time - rev->last_time, FAST) && rev->duplicates >= 2 &&
	    (rev->last_ack == s->seq || (rules->sack && outside_sack(rev, s->seq, end))))
		return FAST_RETRANSMISSION;
	if (within(s->time - fwd->nextseq_time, threshold) && !(rules->seen && was_seen(&fwd->unacked, s->seq, end))) {
		int closes = fwd->nextseq == end + any(s->flags, SYN | FIN);
		if (!closes || (rules->seen && !fwd->last_length))
			return OUT_OF_ORDER;
	}
	return RETRANSMISSION;
}

static int remember(struct direction *fwd, const struct segment *s, int labels)
{
	uint32_t marked = (uint32_t)any(s->flags, SYN | FIN), end = s->seq + s->length;
	if ((s->length || marked) && fwd->unacked.count < MOST_UNACKED) {
		end += marked;
		if (!add_unacked(&fwd->unacked, s->seq, end))
			return 0;
	}
	if (!fwd->nextseq || after(end, fwd->nextseq + marked))
		fwd->last_length = s->length;
	if (!any((unsigned)labels, ZERO_WINDOW_PROBE)) {
		if (!fwd->nextseq || after(end, fwd->nextseq)) {
			fwd->nextseq = end;
			fwd->nextseq_time = s->time;
		}
		if (!fwd->edge || s->seq == fwd->edge)
			fwd->edge = fwd->nextseq;
	}
	fwd->window = s->window;
	fwd->last_ack = s->ack;
	fwd->last_time = s->time;
	fwd->last_labels = labels;
	return 1;
}

/* Window scaling is used only if both ends offered it (verify_tcp_window_scaling). */
static void check_scaling(struct direction *fwd, struct direction *rev, int answer)
{
	if (fwd->scale == UNKNOWN_SCALE)
		fwd->scale = rev->scale = UNSCALED;
	else if (answer && rev->scale == UNSCALED)
		fwd->scale = UNSCALED;
}

/* The labels of the next segment of a stream, -1 without memory. */
static int label_next(struct stream *stream, int side, const struct segment *s, const struct label_rules *rules)
{
	struct direction *fwd = &stream->directions[side], *rev = &stream->directions[1 - side];
	if ((s->flags & (SYN | ACK)) == SYN && fwd->nextseq)
		fwd->nextseq = fwd->edge; /* a RST may have moved it (Wireshark issue 17616) */
	fwd->blocks = 0;
	int labels = label_forward(fwd, rev, s, rules);
	if (s->ack != fwd->last_ack)
		fwd->duplicates = 0;
	if (rev->edge && after(s->ack, rev->edge) && any(s->flags, ACK))
		labels |= acks_unseen(fwd, rev, s, rules);
	if ((s->length || any(s->flags, SYN | FIN)) && !any((unsigned)labels, KEEP_ALIVE))
		labels |= label_repeated(fwd, rev, s, stream->rtt ? stream->rtt : RTT_UNKNOWN, rules);
	if (!remember(fwd, s, labels))
		return -1;
	acknowledge(&rev->unacked, s->ack);
	if (any(s->flags, SYN)) {
		if (s->wscale >= 0)
			fwd->scale = s->wscale;
		check_scaling(fwd, rev, any(s->flags, ACK));
		if (!any(s->flags, ACK))
			stream->syn_time = s->time;
		fwd->first_ack = 1;
	} else if (any(s->flags, ACK)) {
		if (stream->syn_time && !stream->rtt)
			stream->rtt = s->time - stream->syn_time;
		fwd->first_ack = 0;
	}
	return labels;
}

/* Streams */

static void begin(struct stream *stream)
{
	for (int side = 0; side < 2; side++) {
		struct unacked unacked = stream->directions[side].unacked;
		unacked.head = unacked.count = unacked.settled = 0;
		stream->directions[side] = (struct direction){.window = NEVER, .scale = UNKNOWN_SCALE, .unacked = unacked};
		stream->base[side] = -1;
	}
	stream->syn_time = stream->rtt = 0;
	stream->closed = 0;
	stream->begun = 1;
}

/* Begin another stream where a segment opens one; returns whether its ports were used before. */
static int follow_stream(struct stream *stream, int side, const struct segment *s, const struct label_rules *rules)
{
	int reused = 0;
	if (any(s->flags, SYN) && stream->base[side] >= 0 &&
	    (s->seq != stream->base[side] || (rules->closed && stream->closed))) {
		reused = 1;
		if (!any(s->flags, ACK) || rules->closed) {
			begin(stream);
			stream->number++;
		}
		stream->base[side] = s->seq;
	}
	if (stream->base[side] < 0)
		stream->base[side] = any(s->flags, SYN) ? s->seq : s->seq - 1;
	if (stream->base[1 - side] < 0 && any(s->flags, ACK))
		stream->base[1 - side] = s->ack - 1;
	stream->closed |= (uint8_t)any(s->flags, FIN | RST);
	return reused;
}

int label_segments(const struct segments *all, const struct label_rules *rules, uint16_t *labels, int32_t *streams)
{
	struct stream *known = calloc((size_t)all->conversations + 1, sizeof *known);
	int good = known != NULL;
	int64_t sack = 0;
	for (int64_t k = 0; good && k < all->count; k++) {
		struct stream *stream = known + all->conversation[k];
		int side = all->side[k] & 1;
		struct segment s = {all->time[k], all->seq[k], all->ack[k], all->window[k], (uint32_t)all->length[k],
		                    all->flags[k], all->wscale[k]};
		if (!stream->begun)
			begin(stream);
		int reused = follow_stream(stream, side, &s, rules), found = label_next(stream, side, &s, rules);
		good = found >= 0;
		labels[k] = (uint16_t)(found | (reused ? REUSED_PORTS : 0));
		streams[k] = stream->number;
		while (sack < all->sacks && all->sack_at[sack] < k)
			sack++;
		if (sack < all->sacks && all->sack_at[sack] == k) {
			stream->directions[side].sack = all->sack[sack];
			stream->directions[side].blocks = all->sack_count[sack];
		}
	}
	for (int64_t k = 0; known && k < all->conversations; k++)
		for (int side = 0; side < 2; side++)
			free(known[k].directions[side].unacked.ranges);
	free(known);
	return good;
}
