#include "link/arrival.h"

#include <arpa/inet.h>
#include <string.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include "common/bytes.h"
#include "link/plan.h"

/* Take one attribute's value; `numbered`: the packet's header has been seen. */
static void take_attribute(struct arrival *a, uint16_t type, const uint8_t *data, size_t size, bool *numbered)
{
	if (type == NFQA_PACKET_HDR && size >= sizeof(struct nfqnl_msg_packet_hdr)) {
		a->id = get32(data);
		*numbered = true;
	} else if (type == NFQA_CAP_LEN && size >= 4) {
		a->total = get32(data);
	} else if (type == NFQA_TIMESTAMP && size >= 16) { /* seconds and microseconds, 8 bytes each */
		a->stamp = ((uint64_t)get32(data) << 32 | get32(data + 4)) * 1000000000u + get32(data + 12) * 1000u;
	} else if (type == NFQA_PAYLOAD) {
		a->bytes = data;
		a->captured = size;
	}
}

enum message read_arrival(const uint8_t *message, size_t size, struct arrival *a)
{
	struct nlmsghdr header;
	struct nfgenmsg general;
	bool numbered = false;
	memset(a, 0, sizeof *a);
	if (size < sizeof header)
		return OTHER_MESSAGE;
	memcpy(&header, message, sizeof header);
	if (header.nlmsg_len > size)
		return OTHER_MESSAGE;
	if (header.nlmsg_type == NLMSG_ERROR && header.nlmsg_len >= NLMSG_HDRLEN + sizeof(struct nlmsgerr)) {
		int error;
		memcpy(&error, message + NLMSG_HDRLEN, sizeof error);
		return error ? REFUSED_VERDICT : OTHER_MESSAGE;
	}
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof general);
	if (header.nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) || header.nlmsg_len < at)
		return OTHER_MESSAGE;
	memcpy(&general, message + NLMSG_HDRLEN, sizeof general);
	a->side = ntohs(general.res_id);
	while (at + NLA_HDRLEN <= header.nlmsg_len) {
		struct nlattr attribute;
		memcpy(&attribute, message + at, sizeof attribute);
		if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > header.nlmsg_len - at)
			return OTHER_MESSAGE;
		take_attribute(a, attribute.nla_type & NLA_TYPE_MASK, message + at + NLA_HDRLEN,
		               attribute.nla_len - (size_t)NLA_HDRLEN, &numbered);
		at += NLA_ALIGN(attribute.nla_len);
	}
	if (!a->total)
		a->total = a->captured;
	return numbered && a->side < SIDES ? PACKET_ARRIVED : OTHER_MESSAGE;
}
