#include "link/record.h"

#include <arpa/inet.h>
#include <string.h>

static const char *const act_names[ACTS] = {
	"delay", "hold", "reorder", "corrupt", "truncate", "mark", "rewrite", "duplicate", "forge", "drop", "forget", "loss",
	"down", "too big", "overflow",
};

struct record begin_record(const struct packet *p, int side, uint64_t n, uint64_t time)
{
	struct record s = {.n = n,
	                  .time = time,
	                  .id = p->id,
	                  .sport = p->sport,
	                  .dport = p->dport,
	                  .seq = p->seq,
	                  .ack = p->ack,
	                  .length = (uint32_t)p->length,
	                  .from = (uint8_t)side,
	                  .version = p->version,
	                  .protocol = p->protocol,
	                  .flags = p->flags,
	                  .part = p->fragment == LATER_FRAGMENT};
	memcpy(s.src, p->src, sizeof s.src);
	memcpy(s.dst, p->dst, sizeof s.dst);
	return s;
}

/* Inline, so that the lengths of keys are known when this is compiled: most of what a packet costs here is its line. */
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

static char *put_address(char *at, const char *key, const struct record *s, const uint8_t *address)
{
	if (s->version == 4) { /* inet_ntop would take half of all the time that a packet costs */
		at = put_number(at, key, address[0]);
		for (int i = 1; i < 4; i++)
			at = put_number(at, ".", address[i]);
	} else {
		at = put_text(at, key);
		/* Cannot fail: the family is known to it, and the room is enough. */
		at += inet_ntop(AF_INET6, address, at, INET6_ADDRSTRLEN) ? strlen(at) : 0;
	}
	*at++ = '"';
	return at;
}

static char *put_flags(char *at, uint8_t flags)
{
	at = put_text(at, ",\"flags\":\"");
	for (int i = 0; i < 8; i++)
		if (flags >> i & 1)
			*at++ = flag_letters[i];
	*at++ = '"';
	return at;
}

static char *put_protocol(char *at, uint8_t protocol)
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

size_t format_record(char *to, const struct record *s)
{
	char *at = put_text(to, "{\"from\":\"");
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
	return (size_t)(at - to);
}

size_t format_event(char *to, size_t room, const char *format, va_list arguments)
{
	int size = vsnprintf(to, room, format, arguments);
	return size > 0 && (size_t)size < room ? (size_t)size : 0;
}
