/*
 * probe: a preloaded library that logs every socket API call of a dynamically linked program.
 *
 *     BOTHENDS_LOG_DIR=/log LD_PRELOAD=/opt/bothends/libprobe.so program
 *
 * Each process writes $BOTHENDS_LOG_DIR/<pid>-<start ns>.calls (layout: format.h; decoder:
 * testbed/observe/probe/probe_log.py). A record exists before its call is made and is completed after it, in a file mapped
 * shared: what was logged survives SIGKILL, and a call that never returned shows. A forked child gets a file of its
 * own, and so does the new image after exec. The directory's name must be absolute, and writable for every user that
 * the program becomes. Without it, or with an unwritable one, the program runs as ever and there is no file.
 *
 * The program must not notice: descriptors, errno, signals, cancellation and packets are as without the probe. The
 * log's descriptor is closed before the program can open one. When a log is full (256 MiB) the rest is counted as lost.
 *
 * What it cannot see:
 * - static binaries, Go programs, raw syscall(), io_uring; programs that gain a user, group or capability as they are
 *   executed (the loader ignores LD_PRELOAD there; in a lab's host none gains anything: no_new_privs);
 * - programs of another C library: musl cannot load this one, and the program does not start;
 * - the C library's own calls: stdio on a socket (fdopen and fclose are seen; what is read and written in between is not,
 *   since the library calls its own read and write, which no other definition can stand before), the resolver, syslog; preadv2, pwritev2, vmsplice; calls by the aliases __send, __read and the like;
 * - what a child does between vfork (or posix_spawn, system, popen) and exec: it borrows the parent's memory. Its own close
 *   and dup2 concern its own descriptors only, and the new image logs which sockets it came to hold;
 * - sockets that close_range or closefrom closes and that no call of this process has named before;
 * - bytes that sendfile and splice move: their number is logged, no digest;
 * - a record written while a thread is cancelled in its call stays one that never returned.
 * It needs glibc as new as the one that it was compiled with, and adds system calls (gettid at each call, getsockopt
 * and getsockname at the first use of a descriptor, rt_sigprocmask) that a strict seccomp filter must allow.
 *
 * This file is the life of the process: start, fork, exit. The calls are in sockets.c, options.c, descriptors.c, send.c,
 * receive.c and wait.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "probe/calls.h"
#include "probe/modules.h"
#include "probe/next.h"

static void log_exit(int status, const void *caller)
{
	struct probe_record *record = call_begin(NAME("exit"), -1, (struct fd_known){0, 0}, caller);
	if (!record)
		return;
	record->arg[0] = status;
	log_enter(record);
}

static void at_exit(int status, void *context)
{
	(void)context;
	log_exit(status, NULL);
}

/* The exit handler registered first is the last to run. */
static __attribute__((constructor)) void start(void)
{
	int saved = errno;
	if (!next_table.found)
		next_find();
	const char *directory = getenv("BOTHENDS_LOG_DIR");
	if (directory && !on_exit(at_exit, NULL))
		log_start(directory);
	if (call_log.header) {
		modules_refresh();
		fd_inherited(call_log.header->start);
	}
	errno = saved;
}

EXPORT pid_t fork(void)
{
	struct probe_record *record = call_begin(NAME("fork"), -1, (struct fd_known){0, 0}, CALLER);
	if (record)
		log_enter(record);
	pid_t child = NEXT(fork)();
	if (record && child != 0) /* in the child the record is not mapped any more */
		call_end(record, child);
	return child;
}

EXPORT void _exit(int status)
{
	log_exit(status, CALLER);
	NEXT(_exit)(status);
	__builtin_unreachable();
}

EXPORT void _Exit(int status)
{
	log_exit(status, CALLER);
	NEXT(_Exit)(status);
	__builtin_unreachable();
}
