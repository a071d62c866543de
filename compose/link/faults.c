#define _GNU_SOURCE /* memmem */
#include "link/faults.h"

#include <string.h>

enum { CE = 3 }; /* both bits of ECN; neither: the sender does not know ECN (RFC 3168 section 5) */

static bool is_kind(enum kind kind, const struct packet *p)
{
	const bool tcp = p->protocol == TCP;
	switch (kind) {
	case K_SYN:
		return tcp && (p->flags & SYN) && !(p->flags & ACK);
	case K_SYNACK:
		return tcp && (p->flags & SYN) && (p->flags & ACK);
	case K_DATA:
		return (tcp || p->protocol == UDP) && p->length;
	case K_ACK:
		return tcp && p->flags == ACK && !p->length;
	case K_FIN:
		return tcp && (p->flags & FIN);
	case K_RST:
		return tcp && (p->flags & RST);
	case K_TCP:
		return tcp;
	case K_UDP:
		return p->protocol == UDP;
	case K_ICMP:
		return p->protocol == ICMP || p->protocol == ICMPV6;
	default:
		return true;
	}
}

static uint8_t traffic_class(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? ip[1] : (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

static bool holds_bytes(const struct fault *fault, const struct packet *p, const struct connection *c)
{
	if (!c || p->protocol != TCP || !p->length)
		return false;
	const uint64_t start = p->seq - c->first[fault->from] + !!(p->flags & SYN);
	return start <= fault->last_byte && start + p->length > fault->first_byte;
}

bool meets(struct fault *fault, int side, const struct packet *p, const struct connection *c)
{
	if (!fault->open || fault->from != side || !is_kind(fault->kind, p))
		return false;
	if (fault->flags >= 0 && (p->protocol != TCP || p->flags != fault->flags))
		return false;
	if (fault->action == FORGET_IT && (!c || c->silence[side] < fault->hold))
		return false;
	if (fault->by_bytes && !holds_bytes(fault, p, c))
		return false;
	if (fault->payload.size &&
	    (p->captured <= p->payload ||
	     !memmem(p->bytes + p->payload, p->captured - p->payload, fault->payload.bytes, fault->payload.size)))
		return false;
	if (fault->action == MARK_IT && !(traffic_class(p->bytes) & CE))
		return false;
	if (fault->action == REWRITE_IT && !fault->ttl && (p->protocol != TCP || !(p->flags & SYN)))
		return false;
	fault->found++;
	return fault->found >= fault->nth && (!fault->count || fault->found < fault->nth + fault->count);
}

void pass_barrier(struct plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->faults_used; i++) {
		struct fault *fault = &plan->faults[i];
		if (fault->after && !strcmp(fault->after, name))
			fault->open = true;
		if (fault->until && !strcmp(fault->until, name))
			fault->open = false;
	}
}
