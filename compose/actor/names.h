/* names.h: the names that a script may hold, as tables: options, flags, other words, keys and errors. */

#ifndef ACTOR_NAMES_H
#define ACTOR_NAMES_H

#include <stdint.h>

/* GROUP: an address of a group, `239.1.2.3` or `239.1.2.3%eth0`. INTERFACE: its name. BLOB: hex. BYTES: can only be read. */
enum kind { INT, LINGER, MILLISECONDS, TEXT, BYTES, GROUP, INTERFACE, BLOB };

struct option {
	const char *name;
	int level, number;
	enum kind kind;
};

extern const struct option OPTIONS[]; /* ends with an empty name, as do all these tables */

struct word {
	const char *name;
	int number;
};

extern const struct word FLAGS[], FAMILIES[], TYPES[], HOWS[], MODES[], WAYS[], READINESS[], EVENTS[], SIGNALS[];
enum { ONCE, DRAIN, EACH };               /* MODES */
enum { BY_POLL, BY_EPOLL, BY_EPOLL_EDGE, BY_SELECT }; /* WAYS */

enum key {
	K_AS, K_SOCK, K_FAMILY, K_TYPE, K_NONBLOCK, K_ADDR, K_PORT, K_BACKLOG, K_NAME, K_VALUE, K_HEX, K_SIZE, K_SEED,
	K_CHUNK, K_PARTS, K_FLAGS, K_MODE, K_TIMEOUT, K_HOW, K_MS, K_BY, K_FOR, K_STATUS, K_SIGNAL,
	K_ONCE, K_SIZES, K_COUNT, K_TO, K_SOCKS, K_AND, K_FD, K_STDIN, K_STDOUT, K_FROM,
	K_EXPECT, KEYS
};
#define BIT(key) (UINT64_C(1) << (key))

extern const char *const KEY_NAMES[KEYS];

/* Errors of a step that are no errno: the peer ended the stream early; poll waited in vain. */
enum { NOT_ERRNO_EOF = 10001, NOT_ERRNO_TIMEOUT };
enum { EXPECT_OK = 0, EXPECT_ANY = -1 }; /* else the errno expected */

/* The number of an errno's name, EOF or TIMEOUT; 0 if there is no such error. */
int error_number(const char *name);
const char *error_name(int error);

/* What poll found, POLLOUT|POLLHUP; the caller frees it. */
char *event_names(short found);

#endif
