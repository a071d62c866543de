/* record.h: what became of each packet, as one JSON object a line. Pure.
 *
 * Written when the packet's fate is sealed: it left, or it was dropped. Members:
 *   n        number of the packet among those of its sender, from 1; what the link made has none, but `about` and `of`:
 *            the sender and the number of the packet that it followed
 *   from     the host that sent it (or would have, had it not been forged)
 *   time     when it came, ns since the epoch; left: when it was let go, null if it was dropped
 *   src, dst, protocol, sport, dport, flags, seq, ack, length, id
 *   actions  what happened, in order: "delay", "hold", "reorder", "corrupt", "truncate", "mark", "rewrite", "duplicate",
 *            "forge", and of those that drop: "drop", "forget", "loss", "down", "too big", "overflow"
 *   faults   numbers of the exact faults that met it
 *   part     true: a fragment without a transport header
 *   made     only of what the link made: "copy", "forged", "icmp"
 */

#ifndef LINK_RECORD_H
#define LINK_RECORD_H

#include <stdarg.h>

#include "link/plan.h"

enum { LINE_MOST = 4096 }; /* what the longest line needs, and more */

enum {
	A_DELAY, A_HOLD, A_REORDER, A_CORRUPT, A_TRUNCATE, A_MARK, A_REWRITE, A_DUPLICATE, A_FORGE, A_DROP, A_FORGET, A_LOSS,
	A_DOWN, A_BIG, A_OVERFLOW, ACTS
};
struct record {
	uint64_t n, of, time, left;
	unsigned acts; /* bits of A_... */
	uint16_t id, sport, dport;
	uint32_t seq, ack, length;
	uint8_t from, about, version, protocol, flags, src[16], dst[16];
	bool part;
	uint8_t faults_used, faults[4]; /* exact faults, numbers; the first few */
	const char *made;
};

/* The record of a packet that `side` sent, its number `n` among those, before anything has happened to it. */
struct record begin_record(const struct packet *p, int side, uint64_t n, uint64_t time);

/* Write a record as one line into LINE_MOST bytes; returns its length. */
size_t format_record(char *to, const struct record *s);

/* Write any other line; returns its length, 0 if it has no room. */
size_t format_event(char *to, size_t room, const char *format, va_list arguments);

#endif
