/* packets.h: captured frames of the usual kinds as rows of a packet table (testbed/pairing/packet_table.py).
 *
 * Usual are whole TCP segments and UDP datagrams in IPv4 or IPv6, without fragments, tunnels and extension headers. All
 * other frames are left to testbed/capture, which knows every kind. */

#ifndef COLUMNS_PACKETS_H
#define COLUMNS_PACKETS_H

#include <stdint.h>

#include "columns/conversations.h"
#include "columns/records.h"

/* The frames: `count` items in each array. Link types of interfaces as in the file, -1 for one that is not known. */
struct frames {
	const uint8_t *data;
	int64_t size;
	const int64_t *offset, *captured, *wire, *time;
	const int32_t *interface;
	const int32_t *link_types;
	int64_t interfaces, count, first_frame;
};

/* The rows, with room for `count` each; columns as in PacketTable, but `conversation` in the order of appearance. Of `urgent` and
 * `icmp` nothing is written that is 0: they are memory that is 0 already. */
struct rows {
	int32_t *frame;
	int64_t *time;
	int32_t *conversation;
	uint8_t *side, *protocol, *decoded;
	uint32_t *seq, *ack;
	uint16_t *flags, *window, *urgent, *checksum;
	uint8_t *ttl, *tos;
	uint32_t *ip_id;
	uint8_t *dont_fragment;
	int32_t *length, *framed, *captured;
	int64_t *payload_at;
	uint8_t *header;
	uint64_t *payload;
	uint32_t *options;
	uint64_t *icmp;
	uint32_t *tsval, *tsecr;
	int16_t *wscale, *vlan;
};

/* SACK options: which frame, how many blocks, their edges (left, right). */
struct sacks {
	int64_t *frame;
	uint8_t *blocks;
	uint32_t (*edges)[4][2];
	int64_t count;
};

/* Write the rows of usual frames and, to `left`, the positions of all others. `sacks` has room for `count` more. Returns how
 * many rows there are, -1 without memory. */
int64_t usual_packets(const struct frames *frames, struct conversations *all, const struct rows *rows, struct sacks *sacks,
                      int64_t *left);

/* Do the same to the records of a pcap file as they are found (records.h): `frames` has the arrays of `found`, and their `count`
 * comes out. A few records are found and read at a time, which stay in a processor's cache. */
int64_t usual_records(struct walk *walk, int64_t longest, int64_t tick, const struct records *found, struct frames *frames,
                      struct conversations *all, const struct rows *rows, struct sacks *sacks, int64_t *left);

#endif
