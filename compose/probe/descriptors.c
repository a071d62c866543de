/* Calls that copy and close descriptors. */

#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>

#include <linux/close_range.h>

#include "probe/calls.h"
#include "probe/next.h"

EXPORT int dup(int fd)
{
	struct probe_record *record = call_any(NAME("dup"), fd, CALLER);
	if (record)
		log_enter(record);
	int copy = NEXT(dup)(fd);
	if (copy >= 0 && log_here())
		fd_same(fd, copy);
	if (record)
		call_end(record, copy);
	return copy;
}

/* dup2 and dup3: `to` is closed if it was open, so a socket behind it is part of the record (arg[2]: its cookie). */
static struct probe_record *replace_begin(const char name[16], int fd, int to, int flags, const void *caller)
{
	if (!log_here())
		return NULL;
	struct fd_known known = fd_look(fd);
	struct fd_known old = fd == to ? (struct fd_known){0, 0} : fd_look(to);
	if (fd != to)
		fd_forget(to);
	if (!((known.kind | old.kind) & FD_SOCKET))
		return NULL;
	struct probe_record *record = call_begin(name, fd, known, caller);
	if (record) {
		record->arg[0] = to;
		record->arg[1] = flags;
		record->arg[2] = (int64_t)old.cookie;
		log_enter(record);
	}
	return record;
}

static int replace_end(struct probe_record *record, int fd, int result)
{
	if (result >= 0 && result != fd && log_here())
		fd_same(fd, result);
	if (record)
		call_end(record, result);
	return result;
}

EXPORT int dup2(int fd, int to)
{
	struct probe_record *record = replace_begin(NAME("dup2"), fd, to, 0, CALLER);
	return replace_end(record, fd, NEXT(dup2)(fd, to));
}

EXPORT int dup3(int fd, int to, int flags)
{
	struct probe_record *record = replace_begin(NAME("dup3"), fd, to, flags, CALLER);
	return replace_end(record, fd, NEXT(dup3)(fd, to, flags));
}

/* ---------------------------------------------------------------- closing
 * A descriptor is forgotten before it is closed: after that, another thread may get its number. */

EXPORT int shutdown(int fd, int how)
{
	struct probe_record *record = call_socket(NAME("shutdown"), fd, CALLER);
	if (record) {
		record->arg[0] = how;
		log_enter(record);
	}
	int result = NEXT(shutdown)(fd, how);
	if (record)
		call_end(record, result);
	return result;
}

EXPORT int close(int fd)
{
	struct probe_record *record = call_any(NAME("close"), fd, CALLER);
	if (record)
		log_enter(record);
	fd_forget(fd);
	int result = NEXT(close)(fd);
	if (record)
		call_end(record, result);
	return result;
}

/* From here on the C library reads and writes by itself, unseen. */
EXPORT FILE *fdopen(int fd, const char *mode)
{
	struct probe_record *record = call_any(NAME("fdopen"), fd, CALLER);
	if (record)
		log_enter(record);
	FILE *stream = NEXT(fdopen)(fd, mode);
	if (record)
		call_end(record, stream ? 0 : -1);
	return stream;
}

EXPORT int fclose(FILE *stream)
{
	int fd = fileno_unlocked(stream);
	struct probe_record *record = call_any(NAME("fclose"), fd, CALLER);
	if (record)
		log_enter(record);
	fd_forget(fd);
	int result = NEXT(fclose)(stream);
	if (record)
		call_end(record, result);
	return result;
}

/* One record for each socket known in the range; they share the one call. arg[2] chains them until it returns. */
static struct probe_record *range_begin(const char name[16], unsigned first, unsigned last, const void *caller)
{
	struct probe_record *chain = NULL;
	if (!log_here())
		return NULL;
	unsigned highest = (unsigned)fd_highest_known();
	for (unsigned fd = first; fd <= last && fd <= highest; fd++) {
		unsigned kind = fd_remembered((int)fd);
		struct probe_record *record = kind & FD_SOCKET ? call_any(name, (int)fd, caller) : NULL;
		if (record) {
			record->arg[0] = first;
			record->arg[1] = last;
			record->arg[2] = (intptr_t)chain;
			log_enter(record);
			chain = record;
		}
		if (kind)
			fd_forget((int)fd);
	}
	return chain;
}

static void range_end(struct probe_record *chain, int result)
{
	while (chain) {
		struct probe_record *record = chain;
		chain = (struct probe_record *)(intptr_t)record->arg[2];
		record->arg[2] = 0;
		call_end(record, result);
	}
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	bool marks_only = flags & CLOSE_RANGE_CLOEXEC;
	struct probe_record *chain = marks_only ? NULL : range_begin(NAME("close_range"), first, last, CALLER);
	int result = NEXT(close_range)(first, last, flags);
	range_end(chain, result);
	return result;
}

EXPORT void closefrom(int first)
{
	struct probe_record *chain = range_begin(NAME("closefrom"), first < 0 ? 0 : (unsigned)first, UINT_MAX, CALLER);
	NEXT(closefrom)(first);
	range_end(chain, 0);
}
