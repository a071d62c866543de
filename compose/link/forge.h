/* forge.h: packets that the link makes itself: forged ones, and ICMP messages. Pure. */

#ifndef LINK_FORGE_H
#define LINK_FORGE_H

#include "link/connections.h"

enum { QUOTED_MOST = 128 }; /* bytes of a packet that an ICMP message quotes */

/* A fault's packet with what only the wire knows: ports and sequence numbers, or the quoted packet `p`. */
struct blob forge(const struct fault *fault, const struct packet *p, const struct connection *c);

/* The message to the sender `side` that its packet is too large (RFC 1191, RFC 8201). */
struct blob packet_too_big(const struct plan *plan, int side, const struct packet *p, uint64_t mtu);

#endif
