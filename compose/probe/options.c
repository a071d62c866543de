/* Calls that change sockets. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "probe/calls.h"
#include "probe/next.h"

static void put_option(struct probe_record *record, const void *value, socklen_t length)
{
	record->arg[2] = length;
	record->kept = (uint16_t)(length < 16 ? length : 16);
	memcpy(record->blob, value, record->kept);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	struct probe_record *record = call_socket(NAME("setsockopt"), fd, CALLER);
	if (record) {
		record->arg[0] = level;
		record->arg[1] = name;
		record->arg[2] = length;
		if (readable(value, length < 16 ? length : 16))
			put_option(record, value, length);
		log_enter(record);
	}
	int result = NEXT(setsockopt)(fd, level, name, value, length);
	if (record)
		call_end(record, result);
	return result;
}

EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
	struct probe_record *record = call_socket(NAME("getsockopt"), fd, CALLER);
	if (record) {
		record->arg[0] = level;
		record->arg[1] = name;
		log_enter(record);
	}
	int result = NEXT(getsockopt)(fd, level, name, value, length);
	if (record) {
		log_return(record, result);
		if (!result)
			put_option(record, value, *length);
		log_state(record, PROBE_RETURNED);
	}
	return result;
}

static int control(int (*function)(int, int, ...), int fd, int command, void *argument, const void *caller)
{
	bool copies = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
	struct probe_record *record = copies || command == F_SETFL ? call_any(NAME("fcntl"), fd, caller) : NULL;
	if (record) {
		record->arg[0] = command;
		record->arg[1] = (int)(intptr_t)argument;
		log_enter(record);
	}
	int result = function(fd, command, argument);
	if (copies && result >= 0 && log_here())
		fd_same(fd, result);
	if (record)
		call_end(record, result);
	return result;
}

EXPORT int fcntl(int fd, int command, ...)
{
	va_list rest;
	va_start(rest, command);
	void *argument = va_arg(rest, void *); /* an int comes in the same register */
	va_end(rest);
	return control(NEXT(fcntl), fd, command, argument, CALLER);
}

EXPORT int fcntl64(int fd, int command, ...)
{
	va_list rest;
	va_start(rest, command);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	return control(NEXT(fcntl64), fd, command, argument, CALLER);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	va_start(rest, request);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	bool sets = request == FIONBIO, asks = request == FIONREAD;
	struct probe_record *record = sets || asks ? call_any(NAME("ioctl"), fd, CALLER) : NULL;
	if (record) {
		record->arg[0] = (int64_t)request;
		if (sets && readable(argument, sizeof(int)))
			record->arg[1] = *(int *)argument;
		log_enter(record);
	}
	int result = NEXT(ioctl)(fd, request, argument);
	if (record) {
		log_return(record, result);
		if (asks && !result)
			record->arg[1] = *(int *)argument;
		log_state(record, PROBE_RETURNED);
	}
	return result;
}
