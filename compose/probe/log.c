#define _GNU_SOURCE
#include "probe/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define LOG_SPACE (256u << 20) /* address space, and the largest file */
#define LOG_LITTLE (16u << 20) /* the same in a program that limits its address space */
#define LOG_FIRST (64u << 10)
#define LOG_STEP (256u << 10)

struct call_log call_log;

TLS pid_t my_tid;

uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Make the file `size` bytes long with its pages present. A later write then cannot raise SIGBUS for want of space
 * (kernels before 5.14 do not know MADV_POPULATE_WRITE and give no such promise), and RLIMIT_FSIZE no SIGXFSZ. */
static bool log_resize(size_t size)
{
	struct rlimit limit;
	if (size > call_log.space || getrlimit(RLIMIT_FSIZE, &limit) || size > limit.rlim_cur)
		return false;
	if (syscall(SYS_truncate, call_log.path, (off_t)size))
		return false;
	char *from = (char *)call_log.header + call_log.size;
	if (madvise(from, size - call_log.size, MADV_POPULATE_WRITE) && errno != EINVAL)
		return false;
	call_log.size = size;
	atomic_store_explicit(&call_log.capacity, (size - sizeof(struct probe_header)) / sizeof(struct probe_record),
	                      memory_order_release);
	return true;
}

static size_t space_wanted(void)
{
	struct rlimit limit;
	return getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY ? LOG_SPACE : LOG_LITTLE;
}

static void hold_growth(void)
{
	while (atomic_exchange(&call_log.growing, true))
		sched_yield();
}

/* Room for slot number `last`. By path, not by descriptor: the program must not meet one that it did not open.
 * Signals are held back so that no handler of this thread waits here for the thread itself. */
static bool log_grow(uint64_t last)
{
	int saved = errno;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	hold_growth();
	while (!call_log.full && last >= call_log.capacity)
		if (!log_resize(call_log.size + LOG_STEP))
			call_log.full = true;
	atomic_store(&call_log.growing, false);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return last < call_log.capacity;
}

struct probe_record *log_slots(uint64_t count)
{
	struct probe_header *header = call_log.header;
	if (!atomic_load_explicit(&call_log.full, memory_order_relaxed)) {
		uint64_t first = atomic_fetch_add_explicit(&header->used, count, memory_order_relaxed);
		uint64_t last = first + count - 1;
		if (last < atomic_load_explicit(&call_log.capacity, memory_order_acquire) || log_grow(last)) {
			/* The next one comes into the cache while this call is in the kernel. Beyond the end nothing happens. */
			for (size_t line = 0; line < sizeof(struct probe_record); line += 64)
				__builtin_prefetch((const char *)&call_log.records[last + 1] + line, 1);
			return &call_log.records[first];
		}
	}
	atomic_fetch_add_explicit(&header->lost, 1, memory_order_relaxed);
	return NULL;
}

void log_give_space(void)
{
	if (!call_log.header)
		return;
	int saved = errno;
	hold_growth();
	size_t kept = call_log.size > LOG_LITTLE ? (call_log.size + 4095) & ~(size_t)4095 : LOG_LITTLE;
	if (kept < call_log.space && !munmap((char *)call_log.header + kept, call_log.space - kept))
		call_log.space = kept;
	atomic_store(&call_log.growing, false);
	errno = saved;
}

/* Open a log for this process. On any failure nothing is logged: the missing or headless file tells. */
static void log_open(uint64_t forked_from)
{
	int saved = errno;
	if (call_log.header)
		munmap(call_log.header, call_log.space); /* a parent's */
	call_log.header = NULL;
	call_log.size = 0;
	call_log.space = space_wanted();
	call_log.capacity = 0;
	call_log.full = false;
	call_log.growing = false;
	call_log.pid = getpid();
	call_log.generation++;
	uint64_t start = now();
	int length = snprintf(call_log.path, sizeof call_log.path, "%s/%d-%llu.calls", call_log.directory, call_log.pid,
	                      (unsigned long long)start);
	if (length < 0 || (size_t)length >= sizeof call_log.path)
		goto out;
	int fd = open(call_log.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0)
		goto out;
	/* Whatever user the program becomes must still be able to grow the file. */
	int mode = fchmod(fd, 0666);
	void *map = mmap(NULL, call_log.space, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	syscall(SYS_close, fd);
	if (mode || map == MAP_FAILED) {
		if (map != MAP_FAILED)
			munmap(map, call_log.space);
		goto out;
	}
	call_log.header = map;
	call_log.records = (struct probe_record *)(call_log.header + 1);
	madvise(map, call_log.space, MADV_DONTDUMP); /* advice: a core dump without it is only larger */
	if (!log_resize(LOG_FIRST)) {
		munmap(map, call_log.space);
		call_log.header = NULL;
		goto out;
	}
	struct probe_header *header = call_log.header;
	header->version = PROBE_VERSION;
	header->header_size = sizeof *header;
	header->record_size = sizeof(struct probe_record);
	header->pid = call_log.pid;
	header->parent = getppid();
	header->start = start;
	header->forked_from = forked_from;
	memcpy(header->program, call_log.program, sizeof header->program);
	atomic_thread_fence(memory_order_release);
	memcpy(header->magic, PROBE_MAGIC, sizeof header->magic);
out:
	errno = saved;
}

static void log_forked(void)
{
	if (!call_log.header)
		return;
	*call_log.alive = 1;
	log_open(call_log.header->start);
}

void log_start(const char *directory)
{
	size_t size = strlen(directory) + 1;
	if (*directory != '/' || size > sizeof call_log.directory)
		return;
	memcpy(call_log.directory, directory, size);
	if (readlink("/proc/self/exe", call_log.program, sizeof call_log.program - 1) < 0)
		memcpy(call_log.program, "?", 2);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return;
	madvise(page, 4096, MADV_WIPEONFORK); /* before Linux 4.14 the handler below must do */
	call_log.alive = page;
	*call_log.alive = 1;
	if (!pthread_atfork(NULL, NULL, log_forked))
		log_open(0);
}

bool log_here(void)
{
	if (!call_log.header)
		return false;
	if (!*call_log.alive)
		log_forked(); /* a fork that ran no handlers: _Fork or clone */
	pid_t tid = (pid_t)syscall(SYS_gettid);
	if (tid == my_tid)
		return call_log.header != NULL;
	if (getpid() != call_log.pid)
		return false;
	my_tid = tid;
	return call_log.header != NULL;
}

struct probe_record *log_record(const char name[16], int fd, uint64_t cookie, const void *caller)
{
	struct probe_record *record = log_slots(1);
	if (!record)
		return NULL;
	memcpy(record->name, name, sizeof record->name);
	record->tid = my_tid;
	record->fd = fd;
	record->cookie = cookie;
	record->caller = (uintptr_t)caller;
	return record;
}

void log_state(struct probe_record *record, enum probe_state state)
{
	atomic_store_explicit(&record->state, state, memory_order_release);
}

void log_enter(struct probe_record *record)
{
	record->start = now();
	log_state(record, PROBE_ENTERED);
}

void log_return(struct probe_record *record, int64_t result)
{
	record->end = now();
	record->result = result;
	record->error = result < 0 ? errno : 0;
}
