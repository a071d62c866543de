#include "link/netlink.h"

#include <arpa/inet.h>
#include <string.h>

#include <linux/netfilter/nfnetlink.h>

struct nlmsghdr *begin_message(uint8_t *to, uint16_t type, uint16_t flags, int side)
{
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)to;
	memset(header, 0, NLMSG_HDRLEN + sizeof(struct nfgenmsg));
	header->nlmsg_len = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	header->nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type);
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	struct nfgenmsg *general = NLMSG_DATA(header);
	general->nfgen_family = AF_UNSPEC;
	general->version = NFNETLINK_V0;
	general->res_id = htons((uint16_t)side);
	return header;
}

bool add_attribute(struct nlmsghdr *header, uint16_t type, const void *data, size_t size)
{
	if (size > ATTRIBUTE_MOST)
		return false;
	uint8_t *at = (uint8_t *)header + NLMSG_ALIGN(header->nlmsg_len);
	struct nlattr *attribute = (struct nlattr *)(void *)at;
	attribute->nla_type = type;
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + size);
	memcpy(at + NLA_HDRLEN, data, size);
	memset(at + NLA_HDRLEN + size, 0, NLA_ALIGN(size) - size);
	header->nlmsg_len = NLMSG_ALIGN(header->nlmsg_len) + NLA_HDRLEN + (uint32_t)NLA_ALIGN(size);
	return true;
}
