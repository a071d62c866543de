#define _GNU_SOURCE
#include "agent/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/output.h"
#include "agent/system.h"

enum { TREE_FILE = 4096 }; /* of a file below a tree: the kernel's settings are a line each */

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
	struct gathered *found = gather(id);
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.')
			add_part(found, entry->d_name, strlen(entry->d_name) + 1);
	closedir(directory);
	send_gathered(found);
}

static void add_file(struct gathered *found, int directory, const char *name, const char *path)
{
	char content[TREE_FILE];
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, content, sizeof content);
	if (n >= 0) {
		add_part(found, path, strlen(path) + 1);
		add_part(found, content, (size_t)n);
		add_part(found, "", 1);
	}
	close_fd(&fd);
}

static bool is_among(const char *name, const char *names, size_t size)
{
	for (const char *at = names; at < names + size; at += strlen(at) + 1)
		if (!strcmp(at, name))
			return true;
	return false;
}

static void add_tree(struct gathered *found, char path[PATH_MAX], int fd, const char *without, size_t size)
{
	size_t length = strlen(path);
	DIR *directory = fdopendir(fd);
	if (!directory) {
		close_fd(&fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory)); path[length] = 0) {
		const char *name = entry->d_name;
		if (name[0] == '.' || length + strlen(name) + 2 > PATH_MAX)
			continue;
		path[length] = '/';
		strcpy(path + length + 1, name);
		if (entry->d_type == DT_REG) {
			add_file(found, dirfd(directory), name, path);
		} else if (entry->d_type == DT_DIR && !is_among(name, without, size)) {
			int below = openat(dirfd(directory), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (below >= 0)
				add_tree(found, path, below, without, size);
		}
	}
	closedir(directory);
}

void read_trees(uint32_t id, const char *names, size_t size)
{
	struct gathered *found = gather(id);
	char path[PATH_MAX];
	const char *end = names, *last = names + size;
	while (end < last && *end)
		end += strlen(end) + 1;
	for (const char *at = names; at < end; at += strlen(at) + 1) {
		int fd = strlen(at) < sizeof path ? open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		if (fd < 0) {
			send_error(id, errno, at);
			return;
		}
		strcpy(path, at);
		add_tree(found, path, fd, end + 1, end < last ? (size_t)(last - end) - 1 : 0);
	}
	send_gathered(found);
}
