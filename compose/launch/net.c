#define _GNU_SOURCE
#include "launch/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "launch/report.h"

enum { FIRST_INDEX = 1000, MOST_ATTEMPTS = 64 };

struct message {
	struct nlmsghdr header;
	char body[512];
};

static void *append(struct message *m, const void *data, size_t size)
{
	size_t used = NLMSG_ALIGN(m->header.nlmsg_len);
	char *at = (char *)m + used;
	if (used + size > sizeof *m) /* never, unless somebody adds to what we send */
		fail_with(EMSGSIZE, "netlink message");
	memcpy(at, data, size);
	m->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(m->header.nlmsg_len) + size);
	return at;
}

static struct rtattr *attribute(struct message *m, uint16_t type, const void *data, size_t size)
{
	struct rtattr header = {.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(size)};
	struct rtattr *made = append(m, &header, sizeof header);
	if (size)
		append(m, data, size);
	return made;
}

static void end_nest(struct message *m, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)((char *)m + m->header.nlmsg_len - (char *)nest);
}

/* The kernel's answer: 0, or the errno with which it refused. */
static int ask(struct message *m, const char *what)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		fail("netlink");
	if (send(fd, m, m->header.nlmsg_len, 0) < 0)
		fail(what);
	ssize_t n = recv(fd, &answer, sizeof answer, 0);
	if (n < (ssize_t)(sizeof answer.header + sizeof answer.error) || answer.header.nlmsg_type != NLMSG_ERROR)
		fail_with(EPROTO, what);
	close(fd);
	return -answer.error.error;
}

static void request(struct message *m, const char *what)
{
	int error = ask(m, what);
	if (error)
		fail_with(error, what);
}

static struct message begin(uint16_t type, uint16_t flags)
{
	return (struct message){.header = {.nlmsg_len = NLMSG_HDRLEN,
	                                   .nlmsg_type = type,
	                                   .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)}};
}

static size_t name_size(const char *name)
{
	size_t size = strlen(name) + 1;
	if (size > IFNAMSIZ)
		fail_with(ENAMETOOLONG, name);
	return size;
}

static int ask_for_veth(const char *name, int32_t index, int peer_namespace, const char *peer_name, int32_t peer_index)
{
	struct ifinfomsg here = {.ifi_index = index}, there = {.ifi_index = peer_index};
	struct message m = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	append(&m, &here, sizeof here);
	attribute(&m, IFLA_IFNAME, name, name_size(name));
	struct rtattr *info = attribute(&m, IFLA_LINKINFO, NULL, 0);
	attribute(&m, IFLA_INFO_KIND, "veth", sizeof "veth");
	struct rtattr *data = attribute(&m, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attribute(&m, VETH_INFO_PEER, NULL, 0);
	append(&m, &there, sizeof there);
	attribute(&m, IFLA_IFNAME, peer_name, name_size(peer_name));
	attribute(&m, IFLA_NET_NS_FD, &peer_namespace, sizeof peer_namespace);
	end_nest(&m, peer);
	end_nest(&m, data);
	end_nest(&m, info);
	return ask(&m, "veth");
}

void make_veth(const char *name, int peer_namespace, const char *peer_name)
{
	/* The ends get different indexes: where they are equal the kernel puts off noticing the carrier by up to a second
	 * (linkwatch_urgent_event compares a device's index with its peer's). High ones: with the modules of tunnels loaded a
	 * new namespace has sit0, ip6tnl0 and others from the start, whose indexes follow lo's. */
	static int32_t index = FIRST_INDEX;
	int error = EEXIST;
	for (int attempts = 0; error == EEXIST && attempts < MOST_ATTEMPTS; attempts++, index += 2)
		error = ask_for_veth(name, index, peer_namespace, peer_name, index + 1);
	if (error)
		fail_with(error, "veth");
}

void add_alias(const char *interface, const char *other)
{
	struct ifinfomsg about = {.ifi_index = (int)if_nametoindex(interface)};
	if (!about.ifi_index)
		fail(interface);
	struct message m = begin(RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND);
	append(&m, &about, sizeof about);
	struct rtattr *list = attribute(&m, IFLA_PROP_LIST | NLA_F_NESTED, NULL, 0);
	attribute(&m, IFLA_ALT_IFNAME, other, name_size(other));
	end_nest(&m, list);
	request(&m, "another name of an interface");
}

void add_address(const char *interface, char *text)
{
	unsigned char address[16];
	char *prefix = strchr(text, '/');
	if (!prefix)
		fail_with(EINVAL, text);
	*prefix++ = 0;
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	size_t size = family == AF_INET ? 4 : 16;
	struct ifaddrmsg about = {.ifa_family = (unsigned char)family,
	                          .ifa_prefixlen = (unsigned char)strtoul(prefix, NULL, 10),
	                          .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
	                          .ifa_index = if_nametoindex(interface)};
	if (!about.ifa_index)
		fail(interface);
	if (inet_pton(family, text, address) != 1)
		fail_with(EINVAL, text);
	struct message m = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	append(&m, &about, sizeof about);
	attribute(&m, IFA_LOCAL, address, size);
	attribute(&m, IFA_ADDRESS, address, size);
	request(&m, "address");
}

void replace_route(const char *interface, char *destination, const char *source, const char *congestion_control)
{
	struct in_addr to, from;
	char *prefix = strchr(destination, '/');
	if (!prefix)
		fail_with(EINVAL, destination);
	*prefix++ = 0;
	if (inet_pton(AF_INET, destination, &to) != 1 || inet_pton(AF_INET, source, &from) != 1)
		fail_with(EINVAL, destination);
	unsigned index = if_nametoindex(interface);
	if (!index)
		fail(interface);
	struct rtmsg about = {.rtm_family = AF_INET,
	                      .rtm_dst_len = (unsigned char)strtoul(prefix, NULL, 10),
	                      .rtm_table = RT_TABLE_MAIN,
	                      .rtm_protocol = RTPROT_KERNEL,
	                      .rtm_scope = RT_SCOPE_LINK,
	                      .rtm_type = RTN_UNICAST};
	struct message m = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	append(&m, &about, sizeof about);
	attribute(&m, RTA_DST, &to, sizeof to);
	attribute(&m, RTA_OIF, &index, sizeof index);
	attribute(&m, RTA_PREFSRC, &from, sizeof from);
	struct rtattr *metrics = attribute(&m, RTA_METRICS, NULL, 0);
	attribute(&m, RTAX_CC_ALGO, congestion_control, strlen(congestion_control) + 1);
	end_nest(&m, metrics);
	request(&m, "route");
}

static short interface_flags(const char *interface, bool raise)
{
	struct ifreq asked = {0};
	memcpy(asked.ifr_name, interface, name_size(interface));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &asked))
		fail(interface);
	if (raise) {
		asked.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &asked))
			fail(interface);
	}
	close(fd);
	return asked.ifr_flags;
}

void interface_up(const char *interface)
{
	interface_flags(interface, true);
}

void wait_carrier(const char *interface, int milliseconds)
{
	const struct timespec pause = {.tv_nsec = 200000};
	for (int left = milliseconds * 5; !(interface_flags(interface, false) & IFF_RUNNING); left--) {
		if (!left)
			fail_with(ETIMEDOUT, interface);
		nanosleep(&pause, NULL);
	}
}
