/* Calls that make the process another program. A child of vfork borrows this memory and logs nothing: what it becomes logs
 * itself which sockets it holds (probe.c). */

#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>

#include "probe/calls.h"
#include "probe/next.h"

static struct probe_record *exec_begin(const void *caller)
{
	struct probe_record *record = call_begin(NAME("execve"), -1, (struct fd_known){0, 0}, caller);
	if (record)
		log_enter(record);
	return record;
}

/* Only what failed returns. */
static int exec_end(struct probe_record *record, int result)
{
	if (record)
		call_end(record, result);
	return result;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	struct probe_record *record = exec_begin(CALLER);
	return exec_end(record, NEXT(execve)(path, argv, envp));
}

EXPORT int execv(const char *path, char *const argv[])
{
	struct probe_record *record = exec_begin(CALLER);
	return exec_end(record, NEXT(execv)(path, argv));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	struct probe_record *record = exec_begin(CALLER);
	return exec_end(record, NEXT(execvp)(file, argv));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct probe_record *record = exec_begin(CALLER);
	return exec_end(record, NEXT(execvpe)(file, argv, envp));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct probe_record *record = exec_begin(CALLER);
	return exec_end(record, NEXT(fexecve)(fd, argv, envp));
}

EXPORT int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	struct probe_record *record = exec_begin(CALLER);
	return exec_end(record, NEXT(execveat)(fd, path, argv, envp, flags));
}

/* How many arguments there are, without the NULL at their end. */
static size_t count_arguments(const char *first, va_list list)
{
	size_t count = 0;
	for (const char *each = first; each; each = va_arg(list, const char *))
		count++;
	return count;
}

/* On the stack, as the C library does it: a child of vfork must not allocate. */
#define ARGUMENTS(argv, first)                                                          \
	va_list list;                                                                   \
	va_start(list, first);                                                          \
	size_t count = count_arguments(first, list);                                    \
	va_end(list);                                                                   \
	char **argv = __builtin_alloca((count + 1) * sizeof *argv);                     \
	va_start(list, first);                                                          \
	argv[0] = (char *)(uintptr_t)first;                                             \
	for (size_t at = 1; at <= count; at++)                                          \
		argv[at] = va_arg(list, char *)

EXPORT int execl(const char *path, const char *first, ...)
{
	struct probe_record *record = exec_begin(CALLER);
	ARGUMENTS(argv, first);
	va_end(list);
	return exec_end(record, NEXT(execv)(path, argv));
}

EXPORT int execlp(const char *file, const char *first, ...)
{
	struct probe_record *record = exec_begin(CALLER);
	ARGUMENTS(argv, first);
	va_end(list);
	return exec_end(record, NEXT(execvp)(file, argv));
}

EXPORT int execle(const char *path, const char *first, ...)
{
	struct probe_record *record = exec_begin(CALLER);
	ARGUMENTS(argv, first);
	char *const *envp = va_arg(list, char *const *);
	va_end(list);
	return exec_end(record, NEXT(execve)(path, argv, envp));
}
