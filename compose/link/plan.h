/* plan.h: the plan as lines of text, and as values. One parser; every problem is reported with the number of its line.
 *
 *   link seed=N copy=headers|payload
 *       payload: packets are read whole. Needed for duplicate, corrupt, truncate and faults that look at payload.
 *   end from=client|server address=IP
 *       the link's own address on that host's side, the source of its ICMP messages; one line for each version of IP
 *   set from=client|server [delay=NS] [jitter=NS] [loss=P] [duplicate=P] [corrupt=P] [reorder=P] [behind=N]
 *       [within=NS] [rate=BITS/S] [queue=PACKETS] [mtu=BYTES] [icmp=0|1] [down_after=NS] [down_for=NS]
 *       what happens to the packets that this host sends; what is left out is off. P is 0 to 1.
 *   fault do=drop|hold|duplicate|truncate|corrupt|mark|rewrite|forge|forget from=client|server [of=KIND] [nth=N] [count=N] [flags=S.]
 *       [payload=HEX] [bytes=FIRST-LAST] [after=BARRIER] [until=BARRIER] and what `do` needs:
 *       hold: [for=NS] [behind=N]   truncate: to=BYTES   corrupt: [fix=0|1]
 *       rewrite: [ttl=N] [mss=N]: the TTL or hop limit; the largest MSS that a SYN may announce. Without ttl it meets SYNs only
 *       forge: as=client|server raw=HEX [raw=HEX] fill=tcp|quote [offset=N] [ack=N] [stamp=BYTE value=N echo=N] [sack=BYTE blocks=N]
 *           offset, ack, value, echo: distances from the numbers that would be right. stamp, sack: where in the TCP header
 *           the two time stamps and the blocks are, whose edges are distances from the first byte of the peer's stream
 *           raw: a packet of each version of IP that is to be forged; its addresses become those of the packet that it follows
 *       forget: for=NS [as= raw= fill=tcp]: drops what this host sends on a connection of which no packet came for NS, until
 *           a SYN (of UDP: a datagram of the other host); answered by the raw packet
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

#ifndef LINK_PLAN_H
#define LINK_PLAN_H

#include <stdio.h>

#include "link/packet.h"

enum { CLIENT, SERVER, SIDES };
enum version { IPV4, IPV6, VERSIONS };
enum action { DROP_IT, HOLD_IT, DUPLICATE_IT, TRUNCATE_IT, CORRUPT_IT, MARK_IT, REWRITE_IT, FORGE_IT, FORGET_IT, ACTIONS };
enum kind { ANY, K_SYN, K_SYNACK, K_DATA, K_ACK, K_FIN, K_RST, K_TCP, K_UDP, K_ICMP, KINDS };
enum { MAX_FAULTS = 256, MAX_HEX = 4096 };
#define LONGEST_SPAN UINT64_C(604800000000000) /* ns, a week */

extern const char *const side_names[SIDES];
extern const char flag_letters[]; /* bit 0 first, as tcpdump prints them */

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
	int64_t offset, ack, value, echo; /* of a forged segment */
	uint64_t stamp, sack, blocks;     /* in its TCP header; 0: none */
	uint64_t ttl, mss;                /* what a rewrite sets; 0: left as it is */
	int flags; /* -1: any */
	bool by_bytes, quote;
	struct blob payload, raw[VERSIONS];
	char *after, *until;
	bool open;      /* between its barriers */
	uint64_t found; /* packets that matched so far */
};

struct plan {
	uint64_t seed;
	bool payload;
	struct impairments set[SIDES];
	uint8_t address[SIDES][VERSIONS][16];
	bool speaks[VERSIONS]; /* the link has addresses of this version */
	struct fault faults[MAX_FAULTS];
	size_t faults_used;
	bool tracks; /* some fault needs the sequence numbers of its connection */
	bool forgets; /* some fault needs to know when a connection was last heard of */
	bool failed;
	unsigned line;
	FILE *errors; /* where wrong lines are reported */
};

void begin_plan(struct plan *plan, FILE *errors);
void free_plan(struct plan *plan);

/* Read one line before `start`: `link`, `end`, `set` or `fault`. False if it is none of these. */
bool plan_line(struct plan *plan, const char *what, char *rest);

/* Has a fault a packet to send: does it forge, or answer what it forgets? */
bool answers_with_packet(const struct fault *fault);

/* What `start` asks: is the plan complete? Reports what is missing. */
bool plan_complete(struct plan *plan);

/* Read what follows `set`, also while packets pass. */
void parse_set(struct plan *plan, char *rest);

#endif
