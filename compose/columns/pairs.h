/* pairs.h: packets of two captures beside each other: keys by which they are paired, and how those of a pair differ. What
 * testbed/pairing/match_packets.py and changes.py say, to the bit. */

#ifndef COLUMNS_PAIRS_H
#define COLUMNS_PAIRS_H

#include <stdint.h>

#include "columns/packets.h"

/* Packets of one capture: rows of its table, and for each its place (direction of a flow) and its numbers as the first capture
 * has them. `row` is NULL where they are all rows in order. */
struct side {
	const struct rows *rows;
	const int64_t *row, *place;
	const uint32_t *seq, *ack;
	int64_t count;
};

/* What a key may be made from, beside the place. */
enum key_part { ID, SEQ, ACKNOWLEDGES, FLAGS, WINDOW, STAMPS, OPTIONS, LENGTH, ICMP_WORDS, CONTENT, PAYLOAD };

/* Write the hash of each packet's place and `count` parts. */
void key_packets(const struct side *side, const uint8_t *parts, int64_t count, uint64_t *keys);

/* Write how packets of pairs differ, as bits of ChangedField, without TTL; of identification, payload and checksum only that both
 * are not the same. `x` and `y` are `count` pairs of positions. */
void compare_packets(const struct side *one, const int64_t *x, const struct side *two, const int64_t *y, int64_t count,
                     uint32_t *changes);

/* Sums of pairs, as PairSums (testbed/pairing/pair_sums.py) has them: `places` of the first seven, half as many of the others. */
struct pair_sums {
	int64_t *count, *fell, *rose, *least, *greatest;
	uint8_t *same_ids, *same_stamps;
	int64_t *later, *turns, *at_once, *score;
	double *wide;
	int64_t *last_place, *last_apart; /* by flow, to work with: -1 before the first pair */
	int64_t no_time;
};

/* Sum up `count` pairs of rows, in the order of the first capture; the sums are those of none. */
void sum_pairs(const struct rows *one, const int64_t *a, const struct rows *two, const int64_t *b, const int64_t *place,
               int64_t count, struct pair_sums *sums);

#endif
