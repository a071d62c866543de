/* alter.h: packets that the link changes. Pure: a copy of the packet's bytes goes in and is changed in place. */

#ifndef LINK_ALTER_H
#define LINK_ALTER_H

#include "link/packet.h"

/* A copy of a packet's bytes. */
struct blob copy_packet(const struct packet *p);

/* Flip one bit, chosen by `place`: of the payload, or of the checksum where there is none. `fix`: make the checksum fit
 * again, where this packet holds it. */
void corrupt(struct blob *blob, const struct packet *p, uint64_t place, bool fix);

/* Set congestion experienced, as a router does whose queue grows (RFC 3168 section 5). */
void mark(struct blob *blob);

/* Set the TTL or hop limit to `ttl`, and lower the MSS that a SYN announces to `mss`, as routers of tunnels do (MSS clamping);
 * 0: leave it. The checksums fit afterwards. */
void rewrite(struct blob *blob, const struct packet *p, uint64_t ttl, uint64_t mss);

/* Cut the payload to `size` bytes. */
void truncate_to(struct blob *blob, const struct packet *p, uint64_t size);

#endif
