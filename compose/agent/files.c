#define _GNU_SOURCE
#include "agent/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/output.h"
#include "agent/system.h"

void read_file(uint32_t id, const char *path, const char *offset, const char *length)
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

void list_directory(uint32_t id, const char *path)
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
