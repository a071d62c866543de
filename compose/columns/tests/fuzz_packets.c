/* Any bytes as a capture file: its records found, and read as frames of a link type that its first byte chooses. */

#include <stdlib.h>

#include "columns/packets.h"
#include "columns/records.h"
#include "common/memory.h"
#include "common/tests/fuzz.h"

enum { MOST = 64 };

void out_of_memory(void)
{
	abort();
}

static const int32_t LINKS[] = {1, 101, 113, 276};

static void read_frames(const uint8_t *file, int64_t size, const struct records *found, int64_t count, int32_t link)
{
	int32_t interface[MOST] = {0}, frame[MOST], conversation[MOST], length[MOST], framed[MOST], captured[MOST];
	int64_t time[MOST], payload_at[MOST], sack_at[MOST], left[MOST];
	uint8_t side[MOST], protocol[MOST], decoded[MOST], ttl[MOST], tos[MOST], dont_fragment[MOST], header[MOST], blocks[MOST];
	uint32_t seq[MOST], ack[MOST], ip_id[MOST], options[MOST], tsval[MOST], tsecr[MOST], edges[MOST][4][2];
	uint16_t flags[MOST], window[MOST], urgent[MOST] = {0}, checksum[MOST];
	uint64_t payload[MOST], icmp[MOST] = {0};
	int16_t wscale[MOST], vlan[MOST];
	struct frames frames = {file, size, found->offset, found->captured, found->wire, found->time, interface, &link, 1, count, 0};
	struct rows rows = {frame, time, conversation, side, protocol, decoded, seq, ack, flags, window, urgent, checksum,
	                    ttl, tos, ip_id, dont_fragment, length, framed, captured, payload_at, header, payload, options,
	                    icmp, tsval, tsecr, wscale, vlan};
	struct sacks sacks = {sack_at, blocks, edges, 0};
	struct conversations *all = new_conversations();
	int64_t rows_found = usual_packets(&frames, all, &rows, &sacks, left);
	for (int64_t k = 0; k < rows_found; k++)
		if (captured[k] < 0 || captured[k] > length[k] || (captured[k] && payload_at[k] + captured[k] > size))
			abort();
	free_conversations(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	uint8_t *file = copy_bytes(data + 1, size - 1);
	int64_t offset[MOST], captured[MOST], wire[MOST], time[MOST], blocks[MOST];
	struct records found = {offset, captured, wire, time};
	struct walk walk = {file, (int64_t)size - 1, 0, (int64_t)size - 1, MOST, data[0] & 1};
	walk_pcapng(&walk, blocks);
	walk.position = 0;
	int64_t count = walk_pcap(&walk, 262144, 1000, &found);
	read_frames(file, (int64_t)size - 1, &found, count, LINKS[data[0] >> 1 & 3]);
	free(file);
	return 0;
}
