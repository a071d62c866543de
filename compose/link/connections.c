#include "link/connections.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/splitmix.h"

static uint32_t sequence_space(const struct packet *p)
{
	return (uint32_t)p->length + !!(p->flags & SYN) + !!(p->flags & FIN);
}

static struct connection *find_connection(struct connections *all, const struct packet *p, int side)
{
	const int other = 1 - side;
	struct connection **at = &all->bucket[mix((uint64_t)(side ? p->dport : p->sport) << 16 |
	                                          (side ? p->sport : p->dport)) % BUCKETS];
	for (; *at; at = &(*at)->next)
		if ((*at)->protocol == p->protocol && (*at)->port[side] == p->sport && (*at)->port[other] == p->dport &&
		    !memcmp((*at)->address[side], p->src, 16) && !memcmp((*at)->address[other], p->dst, 16))
			return *at;
	*at = zeroed(sizeof **at);
	(*at)->protocol = p->protocol;
	(*at)->port[side] = p->sport;
	(*at)->port[other] = p->dport;
	memcpy((*at)->address[side], p->src, 16);
	memcpy((*at)->address[other], p->dst, 16);
	return *at;
}

/* A state table that forgets needs to know how long nothing came. */
static void note_silence(struct connection *c, const struct packet *p, int side, uint64_t came)
{
	const uint64_t silence = c->seen && came > c->seen ? came - c->seen : 0;
	for (int i = 0; i < SIDES; i++)
		if (silence > c->silence[i])
			c->silence[i] = silence;
	if (p->protocol == UDP)
		c->silence[1 - side] = 0;
	else if ((p->flags & (SYN | ACK)) == SYN)
		c->silence[CLIENT] = c->silence[SERVER] = 0;
	c->seen = came;
}

struct connection *track(struct connections *all, const struct packet *p, int side, uint64_t came)
{
	struct connection *c = find_connection(all, p, side);
	note_silence(c, p, side, came);
	if (p->protocol != TCP)
		return c;
	time_stamp(p, &c->stamp[side]);
	const uint32_t end = p->seq + sequence_space(p);
	if (p->flags & SYN) {
		c->first[side] = p->seq + 1;
		c->following[side] = end;
	} else if (!c->known[side]) {
		c->first[side] = p->seq;
		c->following[side] = end;
	} else if ((int32_t)(end - c->following[side]) > 0) {
		c->following[side] = end;
	}
	c->known[side] = true;
	return c;
}

void free_connections(struct connections *all)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct connection *c; (c = all->bucket[i]);) {
			all->bucket[i] = c->next;
			free(c);
		}
}
