#define _GNU_SOURCE /* unshare */
#include "witness/tracefs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "witness/memo.h"
#include "witness/names.h"
#include "witness/report.h"

enum { TRACEFS = 0x74726163, TEXT_SIZE = 65536 };

static const char *tracefs;

void find_tracefs(void)
{
	static const char *const places[] = {"/tracing", "/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	struct statfs found;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (!statfs(places[i], &found) && found.f_type == TRACEFS) {
			tracefs = places[i];
			return;
		}
	tracefs = places[1];
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("nodev", tracefs, "tracefs", 0, NULL))
		fail("tracefs is not mounted, and mounting it");
}

const char *path_of(const char *format, ...)
{
	static char path[PATH_SIZE];
	int start = snprintf(path, sizeof path, "%s/", tracefs);
	va_list rest;
	va_start(rest, format);
	int length = vsnprintf(path + start, sizeof path - (size_t)start, format, rest);
	va_end(rest);
	if (length < 0 || (size_t)(start + length) >= sizeof path) {
		errno = ENAMETOOLONG;
		fail("path");
	}
	return path;
}

static bool put_text(const char *path, const char *text, int flag)
{
	int fd = open(path, O_WRONLY | flag | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int error = errno;
	close(fd);
	errno = error;
	return done;
}

bool write_text(const char *path, const char *text)
{
	return put_text(path, text, O_TRUNC);
}

bool append_text(const char *path, const char *text)
{
	return put_text(path, text, O_APPEND);
}

const char *read_text(const char *path)
{
	static char text[TEXT_SIZE];
	size_t length = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	ssize_t n;
	while (length < sizeof text - 1 && (n = read(fd, text + length, sizeof text - 1 - length)) > 0)
		length += (size_t)n;
	close(fd);
	text[length] = 0;
	return text;
}

void send_format(const char *event)
{
	const char *text = read_text(path_of("events/%s/format", event));
	if (!text)
		fail(event);
	send_definition('F', event, strlen(event) + 1, text);
}

void each_instance(void (*each)(const char *name))
{
	DIR *directory = opendir(path_of("instances"));
	if (!directory)
		fail("list the instances");
	for (struct dirent *entry; (entry = readdir(directory));)
		if (is_ours(entry->d_name))
			each(entry->d_name);
	closedir(directory);
}

bool remove_instance(const char *name)
{
	write_text(path_of("instances/%s/events/enable", name), "0");
	for (int attempt = 0; attempt < 100; attempt++) {
		if (!rmdir(path_of("instances/%s", name)) || errno == ENOENT)
			return true;
		if (errno != EBUSY)
			return false;
		usleep(10000);
	}
	return false;
}
