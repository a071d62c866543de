/* journal.h: what became of each packet, one JSON object a line, on standard output.
 *
 * Written when the packet's fate is sealed: it left, or it was dropped. Members:
 *   n        number of the packet among those of its sender, from 1; what the link made has none, but `about` and `of`:
 *            the sender and the number of the packet that it followed
 *   from     the host that sent it (or would have, had it not been forged)
 *   time     when it came, ns since the epoch; left: when it was let go, null if it was dropped
 *   src, dst, protocol, sport, dport, flags, seq, ack, length, id
 *   actions  what happened, in order: "delay", "hold", "reorder", "corrupt", "truncate", "mark", "duplicate", "forge",
 *            and of those that drop: "drop", "loss", "down", "too big", "overflow"
 *   faults   numbers of the exact faults that met it
 *   part     true: a fragment without a transport header
 *   made     only of what the link made: "copy", "forged", "icmp"
 * The output never blocks the link: what the reader has not taken yet waits in memory.
 */

#ifndef JOURNAL_H
#define JOURNAL_H

#include <fcntl.h>
#include <unistd.h>

#include "queue.h"

enum { JOURNAL_MOST = 512 << 20, LINE_MOST = 4096 };

enum { A_DELAY, A_HOLD, A_REORDER, A_CORRUPT, A_TRUNCATE, A_MARK, A_DUPLICATE, A_FORGE, A_DROP, A_LOSS, A_DOWN, A_BIG, A_OVERFLOW,
       ACTS };
static const char *const act_names[ACTS] = {"delay", "hold",  "reorder", "corrupt", "truncate", "mark", "duplicate",
                                            "forge", "drop", "loss",    "down",    "too big",  "overflow"};

struct story {
	uint64_t n, of, time, left;
	unsigned acts; /* bits of A_... */
	uint16_t id, sport, dport;
	uint32_t seq, ack, length;
	uint8_t from, about, version, protocol, flags, src[16], dst[16];
	bool part;
	uint8_t faults_used, faults[4]; /* exact faults, numbers; the first few */
	const char *made;
};

static struct {
	char *bytes;
	size_t start, end, room;
} journal;

static inline void journal_out(void)
{
	while (journal.start < journal.end) {
		ssize_t n = write(STDOUT_FILENO, journal.bytes + journal.start, journal.end - journal.start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			exit(0); /* the agent is gone */
		journal.start += (size_t)n;
	}
	journal.start = journal.end = 0;
}

static inline char *journal_room(size_t size)
{
	if (journal.room - journal.end < size && journal.start) {
		memmove(journal.bytes, journal.bytes + journal.start, journal.end - journal.start);
		journal.end -= journal.start;
		journal.start = 0;
	}
	if (journal.room - journal.end < size) {
		journal.room = journal.room ? 2 * journal.room : 1 << 20;
		journal.bytes = journal.room > JOURNAL_MOST ? NULL : realloc(journal.bytes, journal.room);
		if (!journal.bytes) {
			errno = ENOMEM;
			die("the journal is not taken");
		}
	}
	return journal.bytes + journal.end;
}

static inline char *put_text(char *at, const char *text)
{
	size_t size = strlen(text);
	memcpy(at, text, size);
	return at + size;
}

static inline char *put_number(char *at, const char *key, uint64_t value)
{
	char digits[24];
	int n = 0;
	at = put_text(at, key);
	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		*at++ = digits[--n];
	return at;
}

static inline char *put_address(char *at, const char *key, const struct story *s, const uint8_t *address)
{
	at = put_text(at, key);
	if (!inet_ntop(s->version == 4 ? AF_INET : AF_INET6, address, at, INET6_ADDRSTRLEN))
		die("inet_ntop");
	at += strlen(at);
	*at++ = '"';
	return at;
}

static inline char *put_flags(char *at, uint8_t flags)
{
	at = put_text(at, ",\"flags\":\"");
	for (int i = 0; i < 8; i++)
		if (flags >> i & 1)
			*at++ = flag_letters[i];
	*at++ = '"';
	return at;
}

static inline char *put_protocol(char *at, uint8_t protocol)
{
	if (protocol == TCP)
		return put_text(at, ",\"protocol\":\"tcp\"");
	if (protocol == UDP)
		return put_text(at, ",\"protocol\":\"udp\"");
	if (protocol == ICMP || protocol == ICMPV6)
		return put_text(at, protocol == ICMP ? ",\"protocol\":\"icmp\"" : ",\"protocol\":\"icmpv6\"");
	at = put_number(at, ",\"protocol\":\"", protocol);
	*at++ = '"';
	return at;
}

static inline void write_story(const struct story *s)
{
	char *const first = journal_room(LINE_MOST);
	char *at = put_text(first, "{\"from\":\"");
	at = put_text(at, side_names[s->from]);
	if (s->made) {
		at = put_text(at, "\",\"n\":null,\"about\":\"");
		at = put_text(at, side_names[s->about]);
		at = put_number(at, "\",\"of\":", s->of);
	} else {
		at = put_number(at, "\",\"n\":", s->n);
	}
	at = put_number(at, ",\"time\":", s->time);
	at = s->left ? put_number(at, ",\"left\":", s->left) : put_text(at, ",\"left\":null");
	at = put_address(at, ",\"src\":\"", s, s->src);
	at = put_address(at, ",\"dst\":\"", s, s->dst);
	at = put_protocol(at, s->protocol);
	at = put_number(at, ",\"sport\":", s->sport);
	at = put_number(at, ",\"dport\":", s->dport);
	if (s->protocol == TCP) {
		at = put_flags(at, s->flags);
		at = put_number(at, ",\"seq\":", s->seq);
		at = put_number(at, ",\"ack\":", s->ack);
	}
	at = put_number(at, ",\"length\":", s->length);
	at = put_number(at, ",\"id\":", s->id);
	at = put_text(at, ",\"actions\":[");
	const char *comma = "";
	for (int act = 0; act < ACTS; act++)
		if (s->acts >> act & 1) {
			at = put_text(at, comma);
			*at++ = '"';
			at = put_text(at, act_names[act]);
			*at++ = '"';
			comma = ",";
		}
	at = put_text(at, "]");
	for (int i = 0; i < s->faults_used; i++)
		at = put_number(at, i ? "," : ",\"faults\":[", s->faults[i]);
	at = put_text(at, s->faults_used ? "]" : "");
	at = put_text(at, s->part ? ",\"part\":true" : "");
	if (s->made) {
		at = put_text(at, ",\"made\":\"");
		at = put_text(at, s->made);
		at = put_text(at, "\"");
	}
	at = put_text(at, "}\n");
	journal.end += (size_t)(at - first);
}

__attribute__((format(printf, 1, 2))) static inline void write_event(const char *format, ...)
{
	char *at = journal_room(LINE_MOST);
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(at, LINE_MOST, format, arguments);
	va_end(arguments);
	journal.end += (size_t)size;
	journal_out();
}

/* Write the rest, waiting for the reader. */
static inline void journal_close(void)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (flags < 0 || fcntl(STDOUT_FILENO, F_SETFL, flags & ~O_NONBLOCK))
		die("standard output");
	journal_out();
}

#endif
