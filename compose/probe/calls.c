#define _GNU_SOURCE
#include "probe/calls.h"

#include "probe/modules.h"
#include "probe/payload.h"

struct probe_record *call_begin(const char name[16], int fd, struct fd_known known, const void *caller)
{
	if (!log_here())
		return NULL;
	module_note(caller);
	struct probe_record *record = log_record(name, fd, known.cookie, caller);
	if (record && known.kind & FD_STREAM)
		record->marks = known.kind & FD_LOCAL ? PROBE_STREAM | PROBE_LOCAL : PROBE_STREAM;
	return record;
}

struct probe_record *call_socket(const char name[16], int fd, const void *caller)
{
	return call_begin(name, fd, fd_look(fd), caller);
}

struct probe_record *call_any(const char name[16], int fd, const void *caller)
{
	struct fd_known known = fd_look(fd);
	return known.kind & FD_SOCKET ? call_begin(name, fd, known, caller) : NULL;
}

void call_end(struct probe_record *record, int64_t result)
{
	log_return(record, result);
	log_state(record, PROBE_RETURNED);
}

void learn_name(int fd, const struct probe_record *record)
{
	if (record->cookie && !(fd_look(fd).kind & FD_NAMED))
		fd_learn(fd, record->start, NULL, 0);
}

void put_address(struct probe_record *record, const void *address, socklen_t length)
{
	if (length > sizeof record->address)
		length = sizeof record->address;
	if (length && readable(address, length))
		record->address_length = copy_address(record->address, sizeof record->address, address, length);
}
