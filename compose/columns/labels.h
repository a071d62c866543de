/* labels.h: Wireshark's labels of TCP segments, one segment after the other (testbed/wireshark/one_stream.py). */

#ifndef COLUMNS_LABELS_H
#define COLUMNS_LABELS_H

#include <stdint.h>

/* The segments of a capture in file order, as TcpSegments has them. */
struct segments {
	int64_t count;
	const int64_t *time;
	const int32_t *conversation;
	const uint8_t *side;
	const uint32_t *seq, *ack;
	const uint16_t *flags, *window;
	const int32_t *length;
	const int16_t *wscale;
	int64_t conversations, sacks;
	const int64_t *sack_at;
	const uint8_t *sack_count;
	const uint32_t (*sack)[4][2];
};

/* What differs between versions of Wireshark (LabelRules). */
struct label_rules {
	uint8_t sack, seen, closed, consumed, unseen;
};

/* Write the labels of each segment, and which stream of its conversation it is of, from 0. Returns 0 without memory, which
 * leaves them unfinished. */
int label_segments(const struct segments *segments, const struct label_rules *rules, uint16_t *labels, int32_t *streams);

#endif
