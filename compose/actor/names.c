#define _GNU_SOURCE /* strerrorname_np, MSG_WAITFORONE */
#include "actor/names.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/memory.h"

#define ERRNO_MAX 133 /* EHWPOISON, the last one of Linux */

#define SOL(name, kind) {#name, SOL_SOCKET, name, kind}
#define TCP(name, kind) {#name, IPPROTO_TCP, name, kind}
#define UDP(name, kind) {#name, IPPROTO_UDP, name, kind}
#define IP4(name) {#name, IPPROTO_IP, name, INT}
#define IP6(name) {#name, IPPROTO_IPV6, name, INT}
#define IP4_OF(name, kind) {#name, IPPROTO_IP, name, kind}
#define IP6_OF(name, kind) {#name, IPPROTO_IPV6, name, kind}

/* Newer than the headers that this may be compiled with: linux/tcp.h since 6.15. */
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif

const struct option OPTIONS[] = {
	SOL(SO_ACCEPTCONN, INT), SOL(SO_BINDTODEVICE, TEXT), SOL(SO_BROADCAST, INT), SOL(SO_BUSY_POLL, INT),
	SOL(SO_DEBUG, INT), SOL(SO_DOMAIN, INT), SOL(SO_DONTROUTE, INT), SOL(SO_ERROR, INT), SOL(SO_INCOMING_CPU, INT),
	SOL(SO_KEEPALIVE, INT), SOL(SO_LINGER, LINGER), SOL(SO_MARK, INT), SOL(SO_MAX_PACING_RATE, INT),
	SOL(SO_NO_CHECK, INT), SOL(SO_OOBINLINE, INT), SOL(SO_PRIORITY, INT), SOL(SO_PROTOCOL, INT), SOL(SO_RCVBUF, INT),
	SOL(SO_RCVBUFFORCE, INT), SOL(SO_RCVLOWAT, INT), SOL(SO_RCVTIMEO, MILLISECONDS), SOL(SO_REUSEADDR, INT),
	SOL(SO_REUSEPORT, INT), SOL(SO_SNDBUF, INT), SOL(SO_SNDBUFFORCE, INT), SOL(SO_SNDLOWAT, INT),
	SOL(SO_SNDTIMEO, MILLISECONDS), SOL(SO_TIMESTAMP, INT), SOL(SO_TIMESTAMPNS, INT), SOL(SO_TYPE, INT),
	SOL(SO_ZEROCOPY, INT),
	TCP(TCP_CONGESTION, TEXT), TCP(TCP_CORK, INT), TCP(TCP_DEFER_ACCEPT, INT), TCP(TCP_FASTOPEN, INT),
	TCP(TCP_FASTOPEN_CONNECT, INT), TCP(TCP_FASTOPEN_NO_COOKIE, INT), TCP(TCP_INFO, BYTES), TCP(TCP_INQ, INT),
	TCP(TCP_KEEPCNT, INT), TCP(TCP_KEEPIDLE, INT), TCP(TCP_KEEPINTVL, INT), TCP(TCP_LINGER2, INT),
	TCP(TCP_MAXSEG, INT), TCP(TCP_NODELAY, INT), TCP(TCP_NOTSENT_LOWAT, INT), TCP(TCP_QUICKACK, INT),
	TCP(TCP_SAVED_SYN, BYTES), TCP(TCP_SAVE_SYN, INT), TCP(TCP_SYNCNT, INT), TCP(TCP_THIN_DUPACK, INT),
	TCP(TCP_THIN_LINEAR_TIMEOUTS, INT), TCP(TCP_TIMESTAMP, INT), TCP(TCP_USER_TIMEOUT, INT),
	TCP(TCP_WINDOW_CLAMP, INT), TCP(TCP_ULP, TEXT), TCP(TCP_RTO_MAX_MS, INT), TCP(TCP_RTO_MIN_US, INT),
	TCP(TCP_DELACK_MAX_US, INT),
	UDP(UDP_CORK, INT), UDP(UDP_SEGMENT, INT), UDP(UDP_GRO, INT),
	IP4(IP_BIND_ADDRESS_NO_PORT), IP4(IP_FREEBIND), IP4(IP_MINTTL), IP4(IP_MTU), IP4(IP_MTU_DISCOVER),
	IP4(IP_MULTICAST_LOOP), IP4(IP_MULTICAST_TTL), IP4(IP_PKTINFO), IP4(IP_RECVERR), IP4(IP_RECVTOS), IP4(IP_RECVTTL),
	IP4(IP_TOS), IP4(IP_TRANSPARENT), IP4(IP_TTL), IP4(IP_MULTICAST_ALL),
	IP4_OF(IP_ADD_MEMBERSHIP, GROUP), IP4_OF(IP_DROP_MEMBERSHIP, GROUP), IP4_OF(IP_MULTICAST_IF, INTERFACE),
	IP4_OF(IP_OPTIONS, BLOB),
	IP6(IPV6_DONTFRAG), IP6(IPV6_MTU), IP6(IPV6_MTU_DISCOVER), IP6(IPV6_MULTICAST_HOPS), IP6(IPV6_MULTICAST_LOOP),
	IP6(IPV6_RECVERR), IP6(IPV6_RECVHOPLIMIT), IP6(IPV6_RECVPKTINFO), IP6(IPV6_RECVTCLASS), IP6(IPV6_TCLASS),
	IP6(IPV6_UNICAST_HOPS), IP6(IPV6_V6ONLY),
	IP6_OF(IPV6_JOIN_GROUP, GROUP), IP6_OF(IPV6_LEAVE_GROUP, GROUP), IP6_OF(IPV6_MULTICAST_IF, INTERFACE),
	IP6_OF(IPV6_HOPOPTS, BLOB), IP6_OF(IPV6_DSTOPTS, BLOB), IP6_OF(IPV6_RTHDR, BLOB), IP6_OF(IPV6_RTHDRDSTOPTS, BLOB),
	{NULL, 0, 0, INT},
};

#define WORD(name) {#name, name}
#define END {NULL, 0}

const struct word FLAGS[] = {
	WORD(MSG_CONFIRM), WORD(MSG_DONTROUTE), WORD(MSG_DONTWAIT), WORD(MSG_EOR), WORD(MSG_ERRQUEUE), WORD(MSG_FASTOPEN),
	WORD(MSG_MORE), WORD(MSG_NOSIGNAL), WORD(MSG_OOB), WORD(MSG_PEEK), WORD(MSG_TRUNC), WORD(MSG_WAITALL),
	WORD(MSG_WAITFORONE), WORD(MSG_ZEROCOPY),
	END,
};
const struct word FAMILIES[] = {{"inet", AF_INET}, {"inet6", AF_INET6}, END};
const struct word TYPES[] = {{"stream", SOCK_STREAM}, {"dgram", SOCK_DGRAM}, END};
const struct word HOWS[] = {{"rd", SHUT_RD}, {"wr", SHUT_WR}, {"rdwr", SHUT_RDWR}, END};
const struct word MODES[] = {{"once", ONCE}, {"drain", DRAIN}, {"each", EACH}, END};
const struct word WAYS[] = {
	{"poll", BY_POLL}, {"epoll", BY_EPOLL}, {"epoll-edge", BY_EPOLL_EDGE}, {"select", BY_SELECT}, END,
};
const struct word READINESS[] = {{"in", POLLIN}, {"out", POLLOUT}, {"pri", POLLPRI}, {"error", 0}, END};
const struct word EVENTS[] = {
	WORD(POLLIN), WORD(POLLPRI), WORD(POLLOUT), WORD(POLLERR), WORD(POLLHUP), WORD(POLLNVAL),
	END,
};
const struct word SIGNALS[] = {WORD(SIGABRT), WORD(SIGKILL), WORD(SIGSEGV), WORD(SIGTERM), END};

const char *const KEY_NAMES[KEYS] = {
	"as", "sock", "family", "type", "nonblock", "addr", "port", "backlog", "name", "value", "hex", "size", "seed",
	"chunk", "parts", "flags", "mode", "timeout", "how", "ms", "by", "for", "status", "signal", "once", "sizes", "count",
	"to", "socks", "and", "fd", "stdin", "stdout", "from", "expect",
};

int error_number(const char *name)
{
	static const struct word others[] = {
		{"EOF", NOT_ERRNO_EOF}, {"TIMEOUT", NOT_ERRNO_TIMEOUT},
		{"EWOULDBLOCK", EAGAIN}, {"ENOTSUP", ENOTSUP}, {"EDEADLOCK", EDEADLOCK}, END,
	};
	for (const struct word *other = others; other->name; other++)
		if (!strcmp(other->name, name))
			return other->number;
	for (int error = 1; error <= ERRNO_MAX; error++) {
		const char *known = strerrorname_np(error);
		if (known && !strcmp(known, name))
			return error;
	}
	return 0;
}

const char *error_name(int error)
{
	if (error == NOT_ERRNO_EOF)
		return "EOF";
	if (error == NOT_ERRNO_TIMEOUT)
		return "TIMEOUT";
	const char *name = strerrorname_np(error);
	return name ? name : "EUNKNOWN";
}

char *event_names(short found)
{
	char text[128] = ""; /* all names take 47 bytes */
	size_t used = 0;
	for (const struct word *event = EVENTS; event->name; event++)
		if (found & event->number && used < sizeof text)
			used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? "|" : "", event->name);
	return copy_text(text);
}
