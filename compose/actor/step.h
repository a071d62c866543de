/* step.h: what a script becomes: sockets by name, steps, and how a step ended. */

#ifndef ACTOR_STEP_H
#define ACTOR_STEP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "actor/names.h"
#include "actor/ops.h"
#include "common/packet_info.h"

#define SHOWN 64 /* bytes of received data that an event carries */

struct sock {
	char *name;
	int fd;        /* -1: not made yet, or closed: a call on it gets EBADF from the kernel */
	int epoll;     /* a descriptor that watches it; 0: none */
	uint64_t *sent; /* bytes accepted, the pattern's position: shared by all descriptors of the socket, in every process */
	uint16_t port;     /* given to bind; 0: the kernel chose one */
	int family, type; /* while checking: those at the line being read */
	bool made;        /* while checking: named by an earlier step and not closed since */
	struct sock *next;
};

/* A socket that a step waits for, beside others. */
struct watched {
	struct sock *sock;
	short events;
};

struct step {
	char *line; /* what it was read from; values are parts of it */
	uint64_t index;
	const struct op *op;
	const char *value[KEYS]; /* the text after '=', NULL where absent */
	struct sock *sock, *as, *and, *to, *given, *in, *out;
	struct watched *watched;
	int watched_count;
	int family, type, flags, how, mode, timeout, backlog, expect, by, events, status, signal, count;
	bool nonblock, once;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	uint16_t port;
	uint64_t size, seed, chunk, ms;
	struct iovec *part; /* hex= is one part */
	int parts;
	uint64_t *sizes; /* the buffers of a call that receives into several */
	int sizes_count;
	unsigned char *control; /* what sendmsg is given beside the bytes: from where they leave */
	size_t control_len;
	size_t after; /* of a fork: the place of its end_fork; of an end_fork: that of its fork */
	size_t slot;  /* of a barrier: the number of its name */
	const struct option *option;
	unsigned char *option_value;
	socklen_t option_len;
};

/* How a step ended. */
struct ending {
	const char *call;  /* the C function that ended it */
	long long result;  /* what that returned */
	int error;         /* errno, NOT_ERRNO_..., or 0 */
	bool moves_bytes, received;
	uint64_t bytes, calls; /* over all calls of the step */
	unsigned char shown[SHOWN];
	size_t shown_len;
	char *value; /* what getsockopt gave, what wait found */
	bool has_packet_info;
	struct packet_info packet_info; /* to which address a datagram came */
};

#endif
