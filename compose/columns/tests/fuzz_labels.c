/* Any bytes as TCP segments, eight each: labelled by both sets of rules. */

#include <stdlib.h>

#include "columns/labels.h"
#include "common/memory.h"
#include "common/tests/fuzz.h"

enum { MOST = 512, EACH = 8 };

void out_of_memory(void)
{
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t count = (int64_t)(size / EACH) < MOST ? (int64_t)(size / EACH) : MOST, time[MOST], sack_at[MOST], now = 1;
	int32_t conversation[MOST], length[MOST], streams[MOST];
	uint8_t side[MOST], sack_count[MOST];
	uint32_t seq[MOST], ack[MOST], sack[MOST][4][2] = {{{0}}};
	uint16_t flags[MOST], window[MOST], labels[MOST];
	int16_t wscale[MOST];
	for (int64_t k = 0; k < count; k++) {
		const uint8_t *at = data + k * EACH;
		time[k] = now += (int64_t)1 << (at[0] >> 2 & 31);
		side[k] = at[0] & 1;
		conversation[k] = at[0] >> 1 & 1;
		seq[k] = ((uint32_t)at[1] << 24 | at[2]) - (at[7] & 1);
		ack[k] = (uint32_t)at[3] << 24 | at[4];
		flags[k] = at[5] & 0x17;
		window[k] = at[6];
		length[k] = at[7] >> 4 == 15 ? INT32_MAX : at[7] >> 4;
		wscale[k] = (int16_t)(at[7] >> 1 & 4 ? at[6] : -1);
		sack_at[k] = k;
		sack_count[k] = at[7] >> 1 & 3;
		sack[k][0][0] = ack[k] + 3;
		sack[k][0][1] = ack[k] + 9;
	}
	struct segments all = {count, time, conversation, side, seq, ack, flags, window, length, wscale, 2, count, sack_at, sack_count,
	                       (const uint32_t(*)[4][2])sack};
	struct label_rules old = {0, 0, 0, 0, 0}, new = {1, 1, 1, 1, 1};
	label_segments(&all, &old, labels, streams);
	label_segments(&all, &new, labels, streams);
	return 0;
}
