/* Any bytes as a packet: read, met by faults, changed, quoted and told of in the journal. */

#include <stdlib.h>

#include "common/memory.h"
#include "common/tests/fuzz.h"
#include "link/alter.h"
#include "link/checksum.h"
#include "link/faults.h"
#include "link/forge.h"
#include "link/record.h"

static volatile unsigned sentinels; /* so that no compiler leaves out what is asked */

static void change(const struct packet *p, uint64_t place)
{
	struct blob blob = copy_packet(p);
	if (place & 1)
		truncate_to(&blob, p, place >> 8 & 0xff);
	if (place & 2)
		mark(&blob);
	corrupt(&blob, p, place >> 16, place & 4);
	finish_packet(blob.bytes, blob.size);
	free(blob.bytes);
}

static void meet(const struct packet *p, int side, const struct connection *c)
{
	static uint8_t needle[] = "ab", raw[60] = {0x45, [12] = 198, [32] = 5 << 4, [33] = RST | ACK};
	struct fault fault = {.action = MARK_IT, .nth = 1, .count = 1, .flags = -1, .open = true, .from = side, .as = 1 - side,
	                      .by_bytes = true, .last_byte = 100, .payload = {needle, 2}, .raw = {{raw, sizeof raw}}};
	for (fault.kind = ANY; fault.kind < KINDS; fault.kind++)
		meets(&fault, side, p, c);
	for (int quote = 0; quote < 2; quote++) {
		fault.quote = quote;
		free(forge(&fault, p, c).bytes);
	}
}

/* Eight bytes choose what is done; the rest is the packet, in memory of its own size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct plan plan = {.speaks = {true}};
	struct packet p;
	char line[LINE_MOST];
	uint64_t choice = 0;
	if (size < 8)
		return 0;
	for (int i = 0; i < 8; i++)
		choice = choice << 8 | data[i];
	uint8_t *bytes = copy_bytes(data + 8, size - 8);
	const size_t captured = size - 8;
	if (read_packet(&p, bytes, captured, captured + (choice >> 56 & 1))) {
		static struct connections connections;
		const int side = choice >> 57 & 1;
		struct connection *c = p.protocol == TCP && p.fragment != LATER_FRAGMENT ? track(&connections, &p, side, 0) : NULL;
		struct record record = begin_record(&p, side, choice, choice);
		format_record(line, &record);
		sentinels += is_sentinel(&p);
		change(&p, choice);
		meet(&p, side, c);
		free(packet_too_big(&plan, side, &p, 1280).bytes);
		free_connections(&connections);
	}
	free(bytes);
	return 0;
}
