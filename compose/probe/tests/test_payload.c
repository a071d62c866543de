/* What a record keeps of addresses and of bytes in several buffers. */

#include <netinet/in.h>
#include <string.h>

#include "common/tests/check.h"
#include "probe/format.h"
#include "probe/payload.h"

static void a_prefix_runs_over_several_buffers(void)
{
	char one[3] = "abc", two[100];
	unsigned char kept[PROBE_PREFIX];
	memset(two, 'x', sizeof two);
	const struct iovec parts[] = {{one, 3}, {NULL, 0}, {two, sizeof two}};
	SAME(total_length(parts, 3), 103);
	SAME(copy_prefix(kept, parts, 2), 2);
	SAME(copy_prefix(kept, parts, 5), 5);
	SAME_BYTES(kept, "abcxx", 5);
	SAME(copy_prefix(kept, parts, 103), PROBE_PREFIX);
}

static void an_address_is_cut_to_its_room(void)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6};
	struct probe_record record;
	SAME(copy_address(record.address, sizeof record.address, &address, sizeof address), sizeof address);
	SAME(copy_address(record.address, 4, &address, sizeof address), 4);
}

int main(void)
{
	RUN(a_prefix_runs_over_several_buffers);
	RUN(an_address_is_cut_to_its_room);
	return end_tests();
}
