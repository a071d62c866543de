/* The life of the process: start, fork, exit. */
#ifndef PROBE_PROCESS_H
#define PROBE_PROCESS_H

static void log_forked(void)
{
	if (!call_log.header)
		return;
	*call_log.alive = 1;
	modules.busy = false; /* whoever was at it is not in this process */
	log_open(call_log.header->start);
}

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

static __attribute__((constructor)) void start(void)
{
	int saved = errno;
	if (!next_table.found)
		next_find();
	const char *directory = getenv("BOTHENDS_LOG_DIR");
	if (!directory || *directory != '/' || strlen(directory) >= sizeof call_log.directory)
		goto out;
	strcpy(call_log.directory, directory);
	ssize_t length = readlink("/proc/self/exe", call_log.program, sizeof call_log.program - 1);
	if (length < 0)
		strcpy(call_log.program, "?");
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		goto out;
	madvise(page, 4096, MADV_WIPEONFORK); /* before Linux 4.14 the handler below must do */
	call_log.alive = page;
	*call_log.alive = 1;
	/* The handler registered first is the last to run at exit, and the first in a forked child. */
	if (pthread_atfork(NULL, NULL, log_forked) || on_exit(at_exit, NULL))
		goto out;
	log_open(0);
	if (call_log.header)
		modules_refresh();
out:
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

#endif
