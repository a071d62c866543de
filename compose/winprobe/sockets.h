/* sockets.h: what is known of each socket: a number that no other of the process ever has, and its addresses. */

#ifndef WINPROBE_SOCKETS_H
#define WINPROBE_SOCKETS_H

#include <winsock2.h>

#include "winprobe/line.h"

/* The library's own functions, by which addresses are asked for. */
struct socket_questions {
	int(WSAAPI *getsockname)(SOCKET, struct sockaddr *, int *);
	int(WSAAPI *getpeername)(SOCKET, struct sockaddr *, int *);
	int(WSAAPI *getsockopt)(SOCKET, int, int, char *, int *);
};
extern struct socket_questions ask;

void sockets_start(void);

/* The handle is a new socket's, whatever it was before. */
void socket_made(SOCKET handle);

/* Add ,"sock":[...] to a line; nothing for a handle that is no socket of the Internet. */
void socket_add(struct line *line, SOCKET handle);

void address_add(struct line *line, const struct sockaddr *address, int length);

#endif
