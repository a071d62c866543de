/* format.h: the probe's log file, version 1: one header, then records of one size. All numbers are little endian.
 *
 * The decoder (testbed/observe/probe/probe_format.py) repeats this layout; a change here needs another PROBE_VERSION.
 * A file may end in zeros: room that was never used. A slot with state PROBE_FREE was reserved by a thread that died
 * before it filled it. */

#ifndef PROBE_FORMAT_H
#define PROBE_FORMAT_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the log is written in the machine's byte order and the decoder expects little endian"
#endif

#define PROBE_MAGIC "BOTHENDS"
#define PROBE_VERSION 1u

struct probe_header {
	char magic[8];          /* written last: a file without it was never opened completely */
	uint32_t version;
	uint32_t header_size;
	uint32_t record_size;
	int32_t pid;
	int32_t parent;
	uint32_t reserved;
	uint64_t start;         /* ns, CLOCK_REALTIME */
	uint64_t forked_from;   /* `start` of the log of the process that this one was forked from; 0 after exec */
	_Atomic uint64_t used;  /* slots handed out; more than the file holds when some were lost */
	_Atomic uint64_t lost;  /* records that found no room */
	char program[4032];     /* path of the executable, ends in NUL */
};
_Static_assert(sizeof(struct probe_header) == 4096, "the header is one page");

enum probe_state { PROBE_FREE = 0, PROBE_ENTERED = 1, PROBE_RETURNED = 2 };

enum probe_mark {
	PROBE_OUT = 1,      /* a call that gives bytes to the kernel */
	PROBE_IN = 2,       /* a call that takes bytes from the kernel */
	PROBE_DIGEST = 4,   /* `digest` is that of all `length` bytes, `blob` holds the first ones */
	PROBE_STREAM = 8,   /* the socket is a SOCK_STREAM */
	PROBE_LOCAL = 16,   /* a stream within this host: of more than PROBE_LOCAL_DIGEST bytes there is no digest */
};

/* Records whose name begins with '#' are not calls:
 * "#socket": what became known of a socket at time `start`: cookie, arg = family, type, protocol; `address` is its
 *            local address, `blob` its peer's. With the `start` of a new image's log (`forked_from` 0): the image began
 *            with the socket as `fd`;
 * "#pktinfo": the address of this host that a message came to or leaves from (`address`, IPv4 as IPv4-mapped, without a
 *            port), by the thread `tid` in the call that began at `start`: arg = number of the message in that call, index
 *            of the interface, 0 for none;
 * "#module": executable mapping arg[0]..arg[1], load base arg[2], path of arg[3] bytes that starts at `address` and runs
 *            on over as many following slots as it needs. */
struct probe_record {
	_Atomic uint32_t state;
	int32_t tid;
	int32_t fd;
	int32_t error;            /* errno where result is negative */
	char name[16];
	uint64_t start;           /* ns, CLOCK_REALTIME */
	uint64_t end;
	int64_t result;
	uint64_t cookie;
	uint64_t caller;          /* return address */
	uint64_t length;          /* bytes that moved */
	uint64_t digest;          /* XXH3-64 */
	int64_t arg[7];
	uint16_t marks;
	uint16_t address_length;
	uint16_t kept;            /* valid bytes of blob */
	uint16_t reserved;
	unsigned char address[32];
	unsigned char blob[72];   /* payload prefix, option value, or what was polled */
};
_Static_assert(sizeof(struct probe_record) == 256, "records are four cache lines");

#define PROBE_PREFIX 64 /* payload bytes kept, model.DATA_PREFIX */
#define PROBE_LOCAL_DIGEST 4096

#endif
