#include "winprobe/sockets.h"

#include <windows.h>
#include <ws2tcpip.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = 4096 };

struct socket_questions ask;

static struct known {
	SOCKET handle;
	unsigned number;
	int family, protocol; /* 0: not asked yet */
	char connected[128];  /* the addresses of a TCP connection, once it has both: each question is one to wineserver */
} known[SLOTS];
static unsigned numbers;
static CRITICAL_SECTION lock;

void sockets_start(void)
{
	InitializeCriticalSection(&lock);
}

/* Handles are multiples of four; of two that fall on one slot the later one stays. */
static struct known *slot(SOCKET handle)
{
	return &known[handle / 4 % SLOTS];
}

static void begin(struct known *at, SOCKET handle)
{
	*at = (struct known){.handle = handle, .number = ++numbers};
}

void socket_made(SOCKET handle)
{
	EnterCriticalSection(&lock);
	begin(slot(handle), handle);
	LeaveCriticalSection(&lock);
}

/* What was found out, unless the handle is another socket's by now. */
static void keep(struct known *at, const struct known *copy)
{
	EnterCriticalSection(&lock);
	if (at->number == copy->number)
		*at = *copy;
	LeaveCriticalSection(&lock);
}

static struct known find(SOCKET handle)
{
	EnterCriticalSection(&lock);
	struct known *at = slot(handle);
	if (at->handle != handle || !at->number)
		begin(at, handle);
	struct known copy = *at;
	LeaveCriticalSection(&lock);
	if (!copy.protocol) {
		WSAPROTOCOL_INFOA about = {0};
		int length = sizeof about;
		if (ask.getsockopt(handle, SOL_SOCKET, SO_PROTOCOL_INFOA, (char *)&about, &length) == 0) {
			copy.family = about.iAddressFamily;
			copy.protocol = about.iProtocol;
			keep(at, &copy);
		}
	}
	return copy;
}

void address_add(struct line *line, const struct sockaddr *address, int length)
{
	char text[INET6_ADDRSTRLEN + 16];
	if (address && address->sa_family == AF_INET && length >= (int)sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)address;
		const uint8_t *byte = (const uint8_t *)&in->sin_addr;
		snprintf(text, sizeof text, "%u.%u.%u.%u:%u", byte[0], byte[1], byte[2], byte[3], ntohs(in->sin_port));
		line_text(line, text);
	} else if (address && address->sa_family == AF_INET6 && length >= (int)sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in6 = (const void *)address;
		const uint8_t *byte = (const uint8_t *)&in6->sin6_addr;
		int used = snprintf(text, sizeof text, "[");
		for (int i = 0; i < 16; i += 2)
			used += snprintf(text + used, sizeof text - (size_t)used, "%s%x", i ? ":" : "", byte[i] << 8 | byte[i + 1]);
		snprintf(text + used, sizeof text - (size_t)used, "]:%u", ntohs(in6->sin6_port));
		line_text(line, text);
	} else {
		line_add(line, "null");
	}
}

void socket_add(struct line *line, SOCKET handle)
{
	struct known at = find(handle);
	if ((at.family != AF_INET && at.family != AF_INET6) || (at.protocol != IPPROTO_TCP && at.protocol != IPPROTO_UDP))
		return;
	line_add(line, ",\"sock\":[%u,\"%s\",", at.number, at.protocol == IPPROTO_TCP ? "tcp" : "udp");
	if (*at.connected) {
		line_add(line, "%s]", at.connected);
		return;
	}
	struct sockaddr_storage local, peer;
	int local_length = sizeof local, peer_length = sizeof peer;
	bool named = ask.getsockname(handle, (void *)&local, &local_length) == 0;
	bool connected = ask.getpeername(handle, (void *)&peer, &peer_length) == 0;
	size_t from = line->used;
	address_add(line, named ? (void *)&local : NULL, local_length);
	line_add(line, ",");
	address_add(line, connected ? (void *)&peer : NULL, peer_length);
	if (named && connected && at.protocol == IPPROTO_TCP && line->used - from < sizeof at.connected) {
		memcpy(at.connected, line->text + from, line->used - from + 1);
		keep(slot(handle), &at);
	}
	line_add(line, "]");
}
