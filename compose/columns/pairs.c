/* Packets of two captures beside each other, in few passes over their columns. */

#include "columns/hashes.h"
#include "columns/pairs.h"

enum { TCP = 6, ACK = 0x10, ECN = 3 };
enum { SAME = 100 }; /* ns; what differs by no more was captured at one time */
enum { AT_ONCE = 512 }; /* packets: what is known of them stays near from part to part */
/* ChangedField (testbed/pairing/fates.py) */
enum {
	CHANGED_DSCP = 1 << 1, CHANGED_ECN = 1 << 2, CHANGED_ID = 1 << 3, CHANGED_DONT_FRAGMENT = 1 << 4, CHANGED_SEQUENCE = 1 << 5,
	CHANGED_ACKNOWLEDGMENT = 1 << 6, CHANGED_FLAGS = 1 << 7, CHANGED_WINDOW = 1 << 8, CHANGED_URGENT = 1 << 9,
	CHANGED_OPTIONS = 1 << 10, CHANGED_LENGTH = 1 << 11, CHANGED_PAYLOAD = 1 << 12, CHANGED_CHECKSUM = 1 << 13,
	CHANGED_ICMP = 1 << 14, CHANGED_FRAME_LENGTH = 1 << 15
};

static inline int64_t row_of(const struct side *side, int64_t position)
{
	return side->row ? side->row[position] : position;
}

/* Add what is `value` of each packet `k`, in the row `row`, to the sums of packets from `first` up to `end`. */
#define ADD(value)                                                        \
	for (int64_t k = first; k < end; k++) {                           \
		int64_t row = row_of(side, k);                            \
		keys[k] = hash_more(keys[k], (uint64_t)(value), column);  \
		(void)row;                                                \
	}                                                                 \
	break

static void add_part(const struct side *side, int64_t first, int64_t end, int part, int column, uint64_t *keys)
{
	const struct rows *rows = side->rows;
	switch (part) {
	case ID: ADD(rows->ip_id[row]);
	case SEQ: ADD(side->seq[k]);
	case ACKNOWLEDGES: ADD(side->ack[k]);
	case FLAGS: ADD(rows->flags[row]);
	case WINDOW: ADD(rows->window[row]);
	case STAMPS: ADD((uint64_t)rows->tsval[row] << 32 | rows->tsecr[row]);
	case OPTIONS: ADD(rows->options[row]);
	case LENGTH: ADD((int64_t)rows->length[row]);
	case ICMP_WORDS: ADD(rows->icmp[row]);
	case CONTENT: ADD(rows->protocol[row] == TCP ? 0 : rows->payload[row]); /* a sequence number identifies it */
	default: ADD(rows->payload[row]);
	}
}

void key_packets(const struct side *side, const uint8_t *parts, int64_t count, uint64_t *keys)
{
	for (int64_t first = 0; first < side->count; first += AT_ONCE) {
		int64_t end = side->count - first < AT_ONCE ? side->count : first + AT_ONCE;
		for (int64_t k = first; k < end; k++)
			keys[k] = hash_more(HASH_START, (uint64_t)side->place[k], 0);
		for (int n = 0; n < count; n++)
			add_part(side, first, end, parts[n], n + 1, keys);
		for (int64_t k = first; k < end; k++)
			keys[k] = hash_end(keys[k]);
	}
}

static uint32_t changes_of(const struct side *one, int64_t x, const struct side *two, int64_t y)
{
	const struct rows *ours = one->rows, *theirs = two->rows;
	int64_t a = row_of(one, x), b = row_of(two, y);
	uint32_t changes = 0;
	changes |= ours->flags[a] != theirs->flags[b] ? CHANGED_FLAGS : 0;
	changes |= ours->window[a] != theirs->window[b] ? CHANGED_WINDOW : 0;
	changes |= ours->urgent[a] != theirs->urgent[b] ? CHANGED_URGENT : 0;
	changes |= ours->options[a] != theirs->options[b] ? CHANGED_OPTIONS : 0;
	changes |= ours->length[a] != theirs->length[b] ? CHANGED_LENGTH : 0;
	changes |= ours->dont_fragment[a] != theirs->dont_fragment[b] ? CHANGED_DONT_FRAGMENT : 0;
	changes |= ours->icmp[a] != theirs->icmp[b] ? CHANGED_ICMP : 0;
	changes |= ours->ip_id[a] != theirs->ip_id[b] ? CHANGED_ID : 0;
	changes |= ours->payload[a] != theirs->payload[b] ? CHANGED_PAYLOAD : 0;
	changes |= ours->checksum[a] != theirs->checksum[b] ? CHANGED_CHECKSUM : 0;
	if (ours->protocol[a] == TCP && ours->decoded[a]) {
		changes |= one->seq[x] != two->seq[y] ? CHANGED_SEQUENCE : 0;
		changes |= ours->flags[a] & theirs->flags[b] & ACK && one->ack[x] != two->ack[y] ? CHANGED_ACKNOWLEDGMENT : 0;
	}
	int tos = ours->tos[a] ^ theirs->tos[b];
	changes |= (tos & ~ECN ? CHANGED_DSCP : 0) | (tos & ECN ? CHANGED_ECN : 0);
	int32_t framed = ours->framed[a], there = theirs->framed[b];
	if (framed != there && ours->captured[a] == framed && theirs->captured[b] == there && ours->length[a] == theirs->length[b])
		changes |= CHANGED_FRAME_LENGTH;
	return changes;
}

void compare_packets(const struct side *one, const int64_t *x, const struct side *two, const int64_t *y, int64_t count,
                     uint32_t *changes)
{
	for (int64_t k = 0; k < count; k++)
		changes[k] = changes_of(one, x[k], two, y[k]);
}

static inline int64_t difference(int64_t one, int64_t two)
{
	return (int64_t)((uint64_t)one - (uint64_t)two); /* of damaged times it may not fit */
}

static inline int64_t size_of(int64_t value)
{
	return value < 0 ? difference(0, value) : value;
}

/* Note that a pair of a flow follows the one before it the other way. */
static void note_turn(struct pair_sums *sums, int64_t flow, int64_t place, int64_t apart)
{
	int64_t before = sums->last_apart[flow];
	int64_t later = place & 1 ? difference(before, apart) : difference(apart, before);
	sums->turns[flow]++;
	if (size_of(later) <= SAME)
		sums->at_once[flow]++;
	else
		sums->score[flow] += later > 0 ? 1 : -1;
	sums->wide[flow] += (double)size_of(later);
}

void sum_pairs(const struct rows *one, const int64_t *a, const struct rows *two, const int64_t *b, const int64_t *place,
               int64_t count, struct pair_sums *sums)
{
	for (int64_t k = 0; k < count; k++) {
		int64_t i = a[k], j = b[k], at = place[k], flow = at >> 1;
		int64_t apart = difference(two->time[j], one->time[i]), fallen = one->ttl[i] - two->ttl[j];
		sums->count[at]++;
		sums->fell[at] += fallen > 0;
		sums->rose[at] += fallen < 0;
		if (fallen < sums->least[at])
			sums->least[at] = fallen;
		if (fallen > sums->greatest[at])
			sums->greatest[at] = fallen;
		sums->same_ids[at] |= one->ip_id[i] == two->ip_id[j] && one->ip_id[i];
		sums->same_stamps[at] |= one->tsval[i] == two->tsval[j] && one->tsval[i];
		sums->later[flow] += (apart > 0) - (apart < 0);
		sums->no_time &= size_of(apart) <= SAME;
		if (sums->last_place[flow] == (at ^ 1))
			note_turn(sums, flow, at, apart);
		sums->last_place[flow] = at;
		sums->last_apart[flow] = apart;
	}
}
