/* calls.h: what the wrappers share: beginning and ending the record of a call, and the bytes that it moved.
 *
 * The program's memory is read only where the kernel has just read or written it without EFAULT, or after readable(). */

#ifndef PROBE_CALLS_H
#define PROBE_CALLS_H

#include "probe/fd.h"
#include "probe/log.h"
#include "probe/readable.h"

/* A record for a call on any descriptor that the caller has looked up; NULL when nothing is to be logged. */
struct probe_record *call_begin(const char name[16], int fd, struct fd_known known, const void *caller);

/* For functions that exist for sockets only: logged whatever the descriptor is. */
struct probe_record *call_socket(const char name[16], int fd, const void *caller);

/* For functions of all descriptors: logged only on sockets. */
struct probe_record *call_any(const char name[16], int fd, const void *caller);

void call_end(struct probe_record *record, int64_t result);

/* The first call that gives a socket its local port tells it. */
void learn_name(int fd, const struct probe_record *record);

/* Safe for any address: the length that the kernel reports may be more than the program gave room for. */
void put_address(struct probe_record *record, const void *address, socklen_t length);

#endif
