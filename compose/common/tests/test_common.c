/* Numbers in network byte order, memory, and the generator. */

#define _GNU_SOURCE /* struct in6_pktinfo */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "common/packet_info.h"
#include "common/splitmix.h"
#include "common/tests/check.h"

static void numbers_are_big_endian_at_any_address(void)
{
	uint8_t bytes[7] = {0};
	put32(bytes + 1, 0x01020304);
	put16(bytes + 5, 0xfffe);
	SAME_BYTES(bytes, "\0\1\2\3\4\xff\xfe", 7);
	SAME(get32(bytes + 1), 0x01020304);
	SAME(get16(bytes + 5), 0xfffe);
}

static void memory_of_no_size_is_memory(void)
{
	char *none = grow(NULL, 0), *copy = copy_bytes(NULL, 0), *text = copy_text("text");
	CHECK(none && copy);
	SAME_TEXT(text, "text");
	free(none);
	free(copy);
	free(text);
}

/* The first outputs of splitmix64 from state 0, as its authors publish them. */
static void the_generator_is_splitmix64(void)
{
	SAME(mix(0), UINT64_C(0xe220a8397b1dcdaf));
	SAME(mix(UINT64_C(0x9e3779b97f4a7c15)), UINT64_C(0x6e789e6aa1b965f4));
}

/* One control message, made by hand, among others or alone. */
static struct msghdr with_control(unsigned char *room, int level, int type, const void *data, size_t size)
{
	struct msghdr message = {.msg_control = room, .msg_controllen = CMSG_SPACE(4) + CMSG_SPACE(size)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
	c = CMSG_NXTHDR(&message, c);
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
	memcpy(CMSG_DATA(c), data, size);
	return message;
}

/* What came tells its destination, what is sent its source; of IPv4 both are IPv4-mapped. */
static void packet_info_is_found_among_control_messages(void)
{
	_Alignas(struct cmsghdr) unsigned char room[128] = {0};
	struct in_pktinfo four = {7, {htonl(0x7f000002)}, {htonl(0xe0000001)}};
	struct in6_pktinfo six = {IN6ADDR_LOOPBACK_INIT, 1};
	struct packet_info found;
	struct msghdr message = with_control(room, IPPROTO_IP, IP_PKTINFO, &four, sizeof four);
	CHECK(find_packet_info(&message, false, &found));
	SAME_BYTES(found.address.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xe0\0\0\1", 16);
	SAME(found.interface, 7);
	CHECK(find_packet_info(&message, true, &found));
	SAME_BYTES(found.address.s6_addr + 12, "\x7f\0\0\2", 4);
	message = with_control(room, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
	CHECK(find_packet_info(&message, false, &found) && IN6_IS_ADDR_LOOPBACK(&found.address));
	SAME(found.interface, 1);
	message = with_control(room, IPPROTO_IP, IP_PKTINFO, &four, 8); /* cut off by a small buffer */
	CHECK(!find_packet_info(&message, false, &found));
	message = (struct msghdr){.msg_control = NULL};
	CHECK(!find_packet_info(&message, false, &found));
}

int main(void)
{
	RUN(numbers_are_big_endian_at_any_address);
	RUN(memory_of_no_size_is_memory);
	RUN(the_generator_is_splitmix64);
	RUN(packet_info_is_found_among_control_messages);
	return end_tests();
}
