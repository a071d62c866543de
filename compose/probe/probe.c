/*
 * probe: a preloaded library that logs every socket API call of a dynamically linked program.
 *
 *     BOTHENDS_LOG_DIR=/log LD_PRELOAD=/opt/bothends/libprobe.so program
 *
 * Each process writes $BOTHENDS_LOG_DIR/<pid>-<start ns>.calls (layout: probe_format.h; decoder:
 * testbed/observe/probe.py). A record exists before its call is made and is completed after it, in a file mapped
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
 * - the C library's own calls: stdio on a socket (fdopen; fclose is seen, what it flushes is not), the resolver,
 *   syslog; preadv2, pwritev2, vmsplice; calls by the aliases __send, __read and the like;
 * - what a child does between vfork (or posix_spawn) and exec: it borrows the parent's memory. Its own close and dup2
 *   concern its own descriptors only;
 * - sockets that close_range or closefrom closes and that no call of this process has named before;
 * - bytes that sendfile and splice move: their number is logged, no digest;
 * - a record written while a thread is cancelled in its call stays one that never returned.
 * It needs glibc as new as the one that it was compiled with, and adds system calls (gettid at each call, getsockopt
 * and getsockname at the first use of a descriptor, rt_sigprocmask) that a strict seccomp filter must allow.
 *
 *     cc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o libprobe.so probe.c probe_digest_avx*.c -ldl -pthread
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE /* it would define some of our functions inline */

#include <pthread.h>
#include <stdarg.h>

#include "probe_calls.h"
#include "probe_next.h"

#define EXPORT __attribute__((visibility("default")))

#include "probe_process.h"
#include "probe_sockets.h"
#include "probe_descriptors.h"
#include "probe_data.h"
#include "probe_wait.h"
