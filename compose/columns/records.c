/* The chains of records of pcap and pcapng files. */

#include <string.h>

#include "columns/records.h"
#include "common/bytes.h"

enum { RECORD = 16, ENHANCED = 6, SMALLEST = 32 };
static const int64_t SECOND = 1000000000;

static inline uint32_t number_at(const uint8_t *at, int64_t big)
{
	return big ? get32(at) : (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

int64_t walk_pcap(struct walk *walk, int64_t longest, int64_t tick, const struct records *found)
{
	int64_t count = 0;
	while (count < walk->room && walk->position < walk->limit && walk->position <= walk->size - RECORD) {
		const uint8_t *head = walk->data + walk->position;
		int64_t captured = number_at(head + 8, walk->big);
		if (captured > longest || captured > walk->size - RECORD - walk->position)
			break;
		found->offset[count] = walk->position + RECORD;
		found->captured[count] = captured;
		found->wire[count] = number_at(head + 12, walk->big);
		found->time[count++] = number_at(head, walk->big) * SECOND + number_at(head + 4, walk->big) * tick;
		walk->position += RECORD + captured;
	}
	return count;
}

int64_t walk_pcapng(struct walk *walk, int64_t *blocks)
{
	int64_t count = 0;
	while (count < walk->room && walk->position < walk->limit && walk->position <= walk->size - SMALLEST) {
		const uint8_t *block = walk->data + walk->position;
		int64_t length = number_at(block + 4, walk->big);
		if (number_at(block, walk->big) != ENHANCED || length < SMALLEST || length & 3 ||
		    length > walk->size - walk->position || number_at(block + length - 4, walk->big) != length)
			break;
		blocks[count++] = walk->position;
		walk->position += length;
	}
	return count;
}
