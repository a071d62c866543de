/* plan.h: the plan as lines of text, and as values. One parser; every problem is told with the number of its line.
 *
 *   link seed=N copy=headers|payload
 *       payload: packets are read whole. Needed for duplicate, corrupt, truncate and faults that look at payload.
 *   end from=client|server address=IP
 *       the link's own address on that host's side, the source of its ICMP messages
 *   set from=client|server [delay=NS] [jitter=NS] [loss=P] [duplicate=P] [corrupt=P] [reorder=P] [behind=N]
 *       [within=NS] [rate=BITS/S] [queue=PACKETS] [mtu=BYTES] [icmp=0|1] [down_after=NS] [down_for=NS]
 *       what happens to the packets that this host sends; what is left out is off. P is 0 to 1.
 *   fault do=drop|hold|duplicate|truncate|corrupt|mark|forge from=client|server [of=KIND] [nth=N] [count=N] [flags=S.]
 *       [payload=HEX] [bytes=FIRST-LAST] [after=BARRIER] [until=BARRIER] and what `do` needs:
 *       hold: [for=NS] [behind=N]   truncate: to=BYTES   corrupt: [fix=0|1]
 *       forge: as=client|server raw=HEX fill=tcp|quote [offset=N]
 *       one fault a line, numbered from 0. KIND: any syn synack data ack fin rst tcp udp icmp. count=0: all from nth on
 *   start
 *       ends the plan: answered by {"event":"ready"}, or by messages on standard error and exit status 2
 *
 * After that, each line is answered by one event:
 *   set ...         as above, from now on          {"event":"set"}
 *   down from=... for=NS   down from now on        {"event":"down"}
 *   barrier name=X  both hosts have come to it     {"event":"barrier"}
 *   count           how many wait               {"event":"count","waiting":N,"packets":N}
 *   stop            let everything go and end      {"event":"end",...}
 */

#ifndef PLAN_H
#define PLAN_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "packet.h"

enum { CLIENT, SERVER, SIDES };
enum action { DROP_IT, HOLD_IT, DUPLICATE_IT, TRUNCATE_IT, CORRUPT_IT, MARK_IT, FORGE_IT, ACTIONS };
enum kind { ANY, K_SYN, K_SYNACK, K_DATA, K_ACK, K_FIN, K_RST, K_TCP, K_UDP, K_ICMP, KINDS };
enum { MAX_FAULTS = 256, MAX_HEX = 4096 };

static const char *const side_names[SIDES] = {"client", "server"};
static const char *const action_names[ACTIONS] = {"drop", "hold", "duplicate", "truncate", "corrupt", "mark",
                                                   "forge"};
static const char *const kind_names[KINDS] = {"any", "syn", "synack", "data", "ack", "fin", "rst", "tcp", "udp", "icmp"};
static const char flag_letters[] = "FSRP.UEW"; /* bit 0 first, as tcpdump prints them */

struct blob {
	uint8_t *bytes;
	size_t size;
};

struct impairments {
	uint64_t delay, jitter, within, down_after, down_for;
	double loss, duplicate, corrupt, reorder;
	uint64_t behind, rate, queue, mtu, icmp;
};

struct fault {
	enum action action;
	enum kind kind;
	int from, as;
	uint64_t nth, count, hold, behind, to, fix, first_byte, last_byte;
	int64_t offset;
	int flags; /* -1: any */
	bool by_bytes, quote;
	struct blob payload, raw;
	char *after, *until;
	bool open;      /* between its barriers */
	uint64_t found; /* packets that matched so far */
};

struct plan {
	uint64_t seed;
	bool payload;
	struct impairments set[SIDES];
	uint8_t address[SIDES][16];
	uint8_t version; /* of the addresses */
	struct fault faults[MAX_FAULTS];
	size_t faults_used;
	bool tracks; /* some fault needs the sequence numbers of its connection */
	bool failed;
	unsigned line;
};

static const struct impairments no_impairments = {.behind = 1, .within = 50000000, .queue = 10000, .icmp = 1};

__attribute__((format(printf, 2, 3))) static inline void wrong(struct plan *plan, const char *format, ...)
{
	va_list arguments;
	fprintf(stderr, "line %u: ", plan->line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	plan->failed = true;
}

static inline uint64_t number(struct plan *plan, const char *key, const char *text, uint64_t most)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (!*text || *text == '-' || *end || errno || value > most)
		wrong(plan, "%s=%s is not a number up to %llu", key, text, (unsigned long long)most);
	return value;
}

static inline double probability(struct plan *plan, const char *key, const char *text)
{
	char *end;
	double value = strtod(text, &end);
	if (!*text || *end || !(value >= 0 && value <= 1))
		wrong(plan, "%s=%s is not a probability from 0 to 1", key, text);
	return value;
}

static inline int word(struct plan *plan, const char *key, const char *text, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(text, words[i]))
			return i;
	wrong(plan, "%s=%s is not known", key, text);
	return 0;
}

static inline int flags_of(struct plan *plan, const char *text)
{
	int flags = 0;
	for (; *text; text++) {
		const char *at = strchr(flag_letters, *text);
		if (!at)
			wrong(plan, "%c is no TCP flag", *text);
		else
			flags |= 1 << (at - flag_letters);
	}
	return flags;
}

static inline struct blob hex(struct plan *plan, const char *key, const char *text)
{
	size_t size = strlen(text) / 2;
	struct blob blob = {NULL, 0};
	if (!size || strlen(text) % 2 || size > MAX_HEX || strspn(text, "0123456789abcdef") != 2 * size) {
		wrong(plan, "%s is not 1 to %d bytes in small hex digits", key, MAX_HEX);
		return blob;
	}
	blob.bytes = malloc(size);
	if (!blob.bytes) {
		wrong(plan, "no memory");
		return blob;
	}
	blob.size = size;
	for (size_t i = 0; i < size; i++) {
		const char pair[3] = {text[2 * i], text[2 * i + 1], 0};
		blob.bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return blob;
}

static inline bool is(const char *key, const char *name)
{
	return !strcmp(key, name);
}

/* Split `key=value` off a line; false at its end. */
static inline bool next_pair(struct plan *plan, char **rest, char **key, char **value)
{
	char *token = strsep(rest, " ");
	if (!token)
		return false;
	*key = strsep(&token, "=");
	*value = token;
	if (!token) {
		wrong(plan, "`%s` is not key=value", *key);
		*value = "";
	}
	return true;
}

static inline void parse_link(struct plan *plan, char *rest)
{
	static const char *const copies[] = {"headers", "payload"};
	for (char *key, *value; next_pair(plan, &rest, &key, &value);) {
		if (is(key, "seed"))
			plan->seed = number(plan, key, value, UINT64_MAX);
		else if (is(key, "copy"))
			plan->payload = word(plan, key, value, copies, 2);
		else
			wrong(plan, "unknown key %s", key);
	}
}

static inline void parse_end(struct plan *plan, char *rest)
{
	int from = -1;
	uint8_t address[16] = {0};
	for (char *key, *value; next_pair(plan, &rest, &key, &value);) {
		if (is(key, "from"))
			from = word(plan, key, value, side_names, SIDES);
		else if (is(key, "address") && inet_pton(AF_INET, value, address) == 1)
			plan->version = 4;
		else if (is(key, "address") && inet_pton(AF_INET6, value, address) == 1)
			plan->version = 6;
		else
			wrong(plan, "%s=%s is not known", key, value);
	}
	if (from < 0)
		wrong(plan, "from is missing");
	else
		memcpy(plan->address[from], address, sizeof address);
}

static inline void parse_set(struct plan *plan, char *rest)
{
	struct impairments made = no_impairments;
	const uint64_t hour = 3600000000000;
	int from = -1;
	for (char *key, *value; next_pair(plan, &rest, &key, &value);) {
		if (is(key, "from"))
			from = word(plan, key, value, side_names, SIDES);
		else if (is(key, "delay"))
			made.delay = number(plan, key, value, hour);
		else if (is(key, "jitter"))
			made.jitter = number(plan, key, value, hour);
		else if (is(key, "loss"))
			made.loss = probability(plan, key, value);
		else if (is(key, "duplicate"))
			made.duplicate = probability(plan, key, value);
		else if (is(key, "corrupt"))
			made.corrupt = probability(plan, key, value);
		else if (is(key, "reorder"))
			made.reorder = probability(plan, key, value);
		else if (is(key, "behind"))
			made.behind = number(plan, key, value, 1000);
		else if (is(key, "within"))
			made.within = number(plan, key, value, hour);
		else if (is(key, "rate"))
			made.rate = number(plan, key, value, 1000000000000);
		else if (is(key, "queue"))
			made.queue = number(plan, key, value, 100000);
		else if (is(key, "mtu"))
			made.mtu = number(plan, key, value, 65535);
		else if (is(key, "icmp"))
			made.icmp = number(plan, key, value, 1);
		else if (is(key, "down_after"))
			made.down_after = number(plan, key, value, hour);
		else if (is(key, "down_for"))
			made.down_for = number(plan, key, value, hour);
		else
			wrong(plan, "unknown key %s", key);
	}
	if (from < 0)
		wrong(plan, "from is missing");
	if (!made.queue)
		wrong(plan, "queue=0 lets nothing through");
	if (made.jitter > made.delay)
		wrong(plan, "jitter is larger than delay");
	if (!plan->payload && (made.duplicate > 0 || made.corrupt > 0))
		wrong(plan, "duplicate and corrupt need copy=payload");
	if (!plan->failed)
		plan->set[from] = made;
}

static inline void parse_bytes(struct plan *plan, struct fault *fault, char *value)
{
	char *first = strsep(&value, "-");
	fault->by_bytes = true;
	fault->first_byte = number(plan, "bytes", first, UINT64_MAX);
	fault->last_byte = number(plan, "bytes", value ? value : "", UINT64_MAX);
}

static inline char *copy_of(struct plan *plan, const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		wrong(plan, "no memory");
	return copy;
}

static inline void parse_fault(struct plan *plan, char *rest)
{
	static const char *const fills[] = {"tcp", "quote"};
	struct fault made = {.action = ACTIONS, .from = -1, .as = -1, .nth = 1, .count = 1, .flags = -1};
	for (char *key, *value; next_pair(plan, &rest, &key, &value);) {
		if (is(key, "do"))
			made.action = (enum action)word(plan, key, value, action_names, ACTIONS);
		else if (is(key, "from"))
			made.from = word(plan, key, value, side_names, SIDES);
		else if (is(key, "of"))
			made.kind = (enum kind)word(plan, key, value, kind_names, KINDS);
		else if (is(key, "nth"))
			made.nth = number(plan, key, value, UINT32_MAX);
		else if (is(key, "count"))
			made.count = number(plan, key, value, UINT32_MAX);
		else if (is(key, "flags"))
			made.flags = flags_of(plan, value);
		else if (is(key, "payload"))
			made.payload = hex(plan, key, value);
		else if (is(key, "bytes"))
			parse_bytes(plan, &made, value);
		else if (is(key, "after"))
			made.after = copy_of(plan, value);
		else if (is(key, "until"))
			made.until = copy_of(plan, value);
		else if (is(key, "for"))
			made.hold = number(plan, key, value, 3600000000000);
		else if (is(key, "behind"))
			made.behind = number(plan, key, value, 1000);
		else if (is(key, "to"))
			made.to = number(plan, key, value, 65535);
		else if (is(key, "fix"))
			made.fix = number(plan, key, value, 1);
		else if (is(key, "as"))
			made.as = word(plan, key, value, side_names, SIDES);
		else if (is(key, "raw"))
			made.raw = hex(plan, key, value);
		else if (is(key, "fill"))
			made.quote = word(plan, key, value, fills, 2);
		else if (is(key, "offset"))
			made.offset = *value == '-' ? -(int64_t)number(plan, key, value + 1, UINT32_MAX)
			                            : (int64_t)number(plan, key, value, UINT32_MAX);
		else
			wrong(plan, "unknown key %s", key);
	}
	if (made.action == ACTIONS || made.from < 0)
		wrong(plan, "do or from is missing");
	if (!made.nth)
		wrong(plan, "nth=0: the first is 1");
	if (made.action == HOLD_IT && !made.hold)
		wrong(plan, "hold needs for");
	if (made.action == FORGE_IT && (made.as < 0 || made.raw.size < (made.quote ? 28 : 40)))
		wrong(plan, "forge needs as and a raw packet");
	if (!plan->payload && (made.payload.size || made.action == DUPLICATE_IT || made.action == TRUNCATE_IT ||
	                       made.action == CORRUPT_IT || made.action == MARK_IT))
		wrong(plan, "this fault needs copy=payload");
	if (plan->faults_used == MAX_FAULTS)
		wrong(plan, "more than %d faults", MAX_FAULTS);
	if (plan->failed)
		return;
	made.open = !made.after;
	plan->tracks = plan->tracks || made.by_bytes || (made.action == FORGE_IT && !made.quote);
	plan->faults[plan->faults_used++] = made;
}

#endif
