/* logged.h: what all logged calls have in common: a line as it begins, a line as it returns. */

#ifndef WINPROBE_LOGGED_H
#define WINPROBE_LOGGED_H

#include <winsock2.h>

#include "winprobe/line.h"

struct logged {
	struct line line;
	LONG number;      /* 0: not logged, since it is made within another call */
	DWORD error;      /* the thread's last error: as it was, then as the call left it */
	bool has_args;
};

void logged_start(void);

/* Begin the line of a call on a socket (INVALID_SOCKET: on none). Arguments follow. */
void logged_begin(struct logged *call, const char *name, SOCKET handle);

/* An argument, in the line that was begun; VALUE in logged_argument is of a JSON number. */
void logged_argument(struct logged *call, const char *name, long long value);
void logged_address(struct logged *call, const char *name, const struct sockaddr *address, int length);
void logged_bytes(struct logged *call, const char *name, const void *bytes, int length);

/* The call is made now. */
void logged_enter(struct logged *call);

/* The call has returned: begin its line. SOCKET as above: what it says of addresses may be new. */
void logged_return(struct logged *call, long long result, bool failed, SOCKET handle);

/* It moved so many bytes, in these buffers. */
void logged_moved(struct logged *call, const WSABUF *buffers, DWORD count, size_t moved);

/* Write the line, and leave the thread's last error as the call left it. */
void logged_end(struct logged *call);

#endif
