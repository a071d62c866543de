/* fd.h: what is known of each descriptor: not a socket, or a socket and its cookie. */

#ifndef PROBE_FD_H
#define PROBE_FD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#define FD_TABLE 65536 /* descriptors above are asked about at each call */

enum fd_kind {
	FD_KNOWN = 1,
	FD_SOCKET = 2,
	FD_STREAM = 4,
	FD_NAMED = 8, /* its local port is in the log, or it can have none */
	FD_LOCAL = 16, /* a stream whose other end is on this host */
};

struct fd_known {
	unsigned kind;
	uint64_t cookie;
};

/* Above it no descriptor was ever known: bounds a search. */
int fd_highest_known(void);

/* What is remembered of a descriptor, bits of enum fd_kind; 0: nothing. Asks nobody. */
unsigned fd_remembered(int fd);

void fd_forget(int fd);

/* Ask the kernel what a descriptor is and, for a socket, log what it answers as known since `when`. `peer` stands in
 * for the peer's address where the kernel does not tell it (a connection not yet or no longer made). */
struct fd_known fd_learn(int fd, uint64_t when, const void *peer, socklen_t peer_length);

/* Log which sockets a new image of a process came into the world with, as known since `when`. */
void fd_inherited(uint64_t when);

/* What is known of a descriptor; the kernel is asked where nothing is. */
struct fd_known fd_look(int fd);

/* `to` is a copy of `from` from now on. */
void fd_same(int from, int to);

#endif
