/* Any bytes as a message of NFQUEUE. */

#include <stdlib.h>

#include "common/memory.h"
#include "common/tests/fuzz.h"
#include "link/arrival.h"
#include "link/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arrival a;
	struct packet p;
	uint8_t *message = copy_bytes(data, size);
	if (read_arrival(message, size, &a) == PACKET_ARRIVED)
		read_packet(&p, a.bytes, a.captured, a.total);
	free(message);
	return 0;
}
