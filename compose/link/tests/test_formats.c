/* What the link writes: lines of the journal, and messages to the kernel; and the messages that it reads. */

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "common/bytes.h"
#include "common/tests/check.h"
#include "link/arrival.h"
#include "link/netlink.h"
#include "link/record.h"
#include "link/tests/packets.h"

static void a_record_is_one_line(void)
{
	char text[LINE_MOST];
	uint8_t bytes[ROOM];
	struct packet p = as_read(bytes, make_tcp(bytes, 4, ACK | PSH, 1, "hello"));
	struct record record = begin_record(&p, CLIENT, 3, 1000);
	record.left = 2000;
	record.acts = 1u << A_DELAY | 1u << A_BIG;
	record.faults[record.faults_used++] = 4;
	text[format_record(text, &record)] = 0;
	SAME_TEXT(text,
	          "{\"from\":\"client\",\"n\":3,\"time\":1000,\"left\":2000,\"src\":\"198.18.0.2\",\"dst\":\"198.18.1.2\","
	          "\"protocol\":\"tcp\",\"sport\":40000,\"dport\":10011,\"flags\":\"P.\",\"seq\":1,\"ack\":500,\"length\":5,"
	          "\"id\":77,\"actions\":[\"delay\",\"too big\"],\"faults\":[4]}\n");
}

static void the_longest_record_fits(void)
{
	char text[LINE_MOST];
	struct record record = {.n = UINT64_MAX, .of = UINT64_MAX, .time = UINT64_MAX, .left = UINT64_MAX, .acts = ~0u, .version = 6,
	                      .protocol = TCP, .flags = 255, .part = true, .faults_used = 4, .made = "forged"};
	memset(record.src, 0xfe, 16);
	memset(record.dst, 0xfe, 16);
	CHECK(format_record(text, &record) < 1024);
}

static size_t format(char *to, size_t room, const char *text, ...)
{
	va_list arguments;
	va_start(arguments, text);
	size_t size = format_event(to, room, text, arguments);
	va_end(arguments);
	return size;
}

/* vsnprintf returns what it would have written. */
static void an_event_without_room_is_refused(void)
{
	char text[8];
	SAME(format(text, sizeof text, "%s", "1234567"), 7);
	SAME(format(text, sizeof text, "%s", "12345678"), 0);
}

static void an_attribute_that_does_not_fit_its_length_is_refused(void)
{
	static _Alignas(8) uint8_t message[1 << 17], data[1 << 16];
	struct nlmsghdr *header = begin_message(message, NFQNL_MSG_VERDICT, 0, SERVER);
	const uint32_t before = header->nlmsg_len;
	CHECK(!add_attribute(header, NFQA_PAYLOAD, data, 65532));
	SAME(header->nlmsg_len, before);
	CHECK(add_attribute(header, NFQA_PAYLOAD, data, 65531));
	SAME(header->nlmsg_len, before + 65536);
}

/* A packet as the kernel hands it over. */
static size_t arrive(uint8_t *to, int side, const uint8_t *bytes, size_t size)
{
	const struct nfqnl_msg_packet_hdr about = {.packet_id = htonl(9)};
	const uint64_t stamp[2] = {htobe64(3), htobe64(5)};
	struct nlmsghdr *header = begin_message(to, NFQNL_MSG_PACKET, 0, side);
	add_attribute(header, NFQA_PACKET_HDR, &about, sizeof about);
	add_attribute(header, NFQA_TIMESTAMP, stamp, sizeof stamp);
	add_attribute(header, NFQA_PAYLOAD, bytes, size);
	return header->nlmsg_len;
}

static void an_arrival_is_read(void)
{
	static _Alignas(8) uint8_t message[ROOM];
	struct arrival a;
	size_t size = arrive(message, SERVER, (const uint8_t *)"packet", 6);
	SAME(read_arrival(message, size, &a), PACKET_ARRIVED);
	SAME(a.side, SERVER);
	SAME(a.id, 9);
	SAME(a.stamp, 3000005000u);
	SAME(a.captured, 6);
	SAME(a.total, 6);
	SAME_BYTES(a.bytes, "packet", 6);
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);
		memcpy(part, message, cut);
		SAME(read_arrival(part, cut, &a), OTHER_MESSAGE);
		free(part);
	}
}

/* An attribute that says it is longer than the message. */
static void an_attribute_beyond_the_message_is_refused(void)
{
	static _Alignas(8) uint8_t message[ROOM];
	struct arrival a;
	size_t size = arrive(message, CLIENT, (const uint8_t *)"packet", 6);
	struct nlattr *last = (struct nlattr *)(void *)(message + size - 12);
	last->nla_len = 500;
	SAME(read_arrival(message, size, &a), OTHER_MESSAGE);
}

int main(void)
{
	RUN(a_record_is_one_line);
	RUN(the_longest_record_fits);
	RUN(an_event_without_room_is_refused);
	RUN(an_attribute_that_does_not_fit_its_length_is_refused);
	RUN(an_arrival_is_read);
	RUN(an_attribute_beyond_the_message_is_refused);
	return end_tests();
}
