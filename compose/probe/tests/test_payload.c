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

static bool local4(uint32_t host_order)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host_order)};
	return is_local((struct sockaddr *)&address, sizeof address);
}

static bool local6(struct in6_addr ipv6)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = ipv6};
	return is_local((struct sockaddr *)&address, sizeof address);
}

static void only_loopback_and_unix_addresses_are_local(void)
{
	struct sockaddr nothing = {.sa_family = AF_UNSPEC}, unix_domain = {.sa_family = AF_UNIX};
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CHECK(local4(INADDR_LOOPBACK));
	CHECK(local4(0x7f010203));
	CHECK(!local4(0xc6120002));
	CHECK(!local4(INADDR_ANY));
	CHECK(local6(in6addr_loopback));
	CHECK(local6((struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}}));
	CHECK(!local6((struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 198, [15] = 2}}));
	CHECK(!local6((struct in6_addr){.s6_addr = {0xfd, [15] = 1}}));
	CHECK(is_local(&unix_domain, sizeof unix_domain.sa_family));
	CHECK(!is_local(&nothing, sizeof nothing));
	CHECK(!is_local((struct sockaddr *)&ipv4, 4)); /* cut off */
}

int main(void)
{
	RUN(only_loopback_and_unix_addresses_are_local);
	RUN(a_prefix_runs_over_several_buffers);
	RUN(an_address_is_cut_to_its_room);
	return end_tests();
}
