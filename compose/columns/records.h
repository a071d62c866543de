/* records.h: where the records of a capture file are. A record that is not as usual ends a walk: testbed/capture/containers
 * says what is wrong with it, or what else it is. */

#ifndef COLUMNS_RECORDS_H
#define COLUMNS_RECORDS_H

#include <stdint.h>

/* A file that is walked: from `position` on, until a record begins at `limit` or later, or `room` of them were found. */
struct walk {
	const uint8_t *data;
	int64_t size, position, limit, room;
	int64_t big; /* in network byte order */
};

/* What the records of a pcap file hold: `room` items in each array. */
struct records {
	int64_t *offset, *captured, *wire, *time;
};

/* Find records of a pcap file of which none holds more than `longest` bytes; `tick` is in ns. Returns how many, and moves
 * `position` to the one after them. */
int64_t walk_pcap(struct walk *walk, int64_t longest, int64_t tick, const struct records *found);
/* Find enhanced packet blocks of a pcapng file. Returns how many, and moves `position` to the block after them. */
int64_t walk_pcapng(struct walk *walk, int64_t *blocks);

#endif
