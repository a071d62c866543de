/* Files and directories of the host, for the runner to read. */

#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include <dirent.h>
#include <fcntl.h>

#include "agent_frames.h"

/* Send a file, or the `length` bytes of it that start at `offset` (fewer where it ends before). */
static void read_file(uint32_t id, const char *path, const char *offset, const char *length)
{
	static char buffer[CHUNK];
	uint64_t left = *length ? strtoull(length, NULL, 10) : UINT64_MAX;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	if (fd >= 0 && *offset && lseek(fd, (off_t)strtoull(offset, NULL, 10), SEEK_SET) < 0) {
		send_error(id, errno, path);
		close_fd(&fd);
		return;
	}
	while (fd >= 0 && (n = read(fd, buffer, left < sizeof buffer ? (size_t)left : sizeof buffer)) > 0) {
		send_frame('f', id, buffer, (size_t)n);
		left -= (uint64_t)n;
	}
	if (fd < 0 || n < 0)
		send_error(id, errno, path);
	else
		send_frame('k', id, NULL, 0);
	close_fd(&fd);
}

static void list_directory(uint32_t id, const char *path)
{
	DIR *directory = opendir(path);
	if (!directory) {
		send_error(id, errno, path);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.')
			send_frame('f', id, entry->d_name, strlen(entry->d_name) + 1);
	closedir(directory);
	send_frame('k', id, NULL, 0);
}

#endif
