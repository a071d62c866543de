/* payload.h: what a record keeps of addresses and of bytes in several buffers. Pure. */

#ifndef PROBE_PAYLOAD_H
#define PROBE_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* An address as the log keeps it: what fits of it. */
uint16_t copy_address(unsigned char *to, size_t room, const void *address, socklen_t length);

/* Is whoever has this address on this host: a loopback address, or a socket of the Unix domain? Such bytes pass no
 * interface that anybody captures. */
bool is_local(const struct sockaddr *address, socklen_t length);

/* The bytes that several buffers hold. */
size_t total_length(const struct iovec *parts, size_t count);

/* Keep the first of `length` bytes, PROBE_PREFIX at most; returns how many. */
uint16_t copy_prefix(unsigned char *to, const struct iovec *parts, size_t length);

#endif
