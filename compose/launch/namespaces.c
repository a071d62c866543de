#define _GNU_SOURCE
#include "launch/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"
#include "launch/net.h"
#include "launch/report.h"

enum { MAX_NAMESPACES = 8, MAX_LINKS = 16, CARRIER_MS = 5000 };

static const char CONNECTION_BUCKETS[] = "4096";

static struct {
	char *name;
	int fd;
} namespaces[MAX_NAMESPACES];

static struct {
	char *namespace, *name;
} raised[MAX_LINKS];

static int namespace_count, raised_count;

int namespace_fd(const char *name)
{
	for (int i = 0; i < namespace_count; i++)
		if (!strcmp(namespaces[i].name, name))
			return namespaces[i].fd;
	fail_with(ENOENT, name);
}

const char *last_namespace(void)
{
	if (!namespace_count)
		fail_with(EINVAL, "agent");
	return namespaces[namespace_count - 1].name;
}

void go_into(const char *name)
{
	if (setns(namespace_fd(name), CLONE_NEWNET))
		fail("setns");
}

static int new_network(void)
{
	if (unshare(CLONE_NEWNET))
		fail("network namespace");
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("/proc/self/ns/net");
	return fd;
}

void add_namespace(const char *name)
{
	static int origin = -1;

	if (namespace_count == MAX_NAMESPACES)
		fail_with(ENOSPC, "namespace");
	/* Namespaces that are made from this one have a table of connections of their own. In the table that all share,
	 * hundreds of thousands of buckets, /proc/net/tcp takes milliseconds to read and a namespace to remove.
	 * Only Linux 6.1 and newer know the setting. */
	if (origin < 0) {
		origin = new_network();
		int fd = open("/proc/sys/net/ipv4/tcp_child_ehash_entries", O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			if (write(fd, CONNECTION_BUCKETS, strlen(CONNECTION_BUCKETS)) < 0)
				fail("tcp_child_ehash_entries");
			close(fd);
		}
	}
	if (setns(origin, CLONE_NEWNET))
		fail("setns");
	int fd = new_network();
	namespaces[namespace_count].name = copy_text(name);
	namespaces[namespace_count++].fd = fd;
	interface_up("lo");
}

void set_sysctl(const char *name, const char *value)
{
	char path[512];
	int length = snprintf(path, sizeof path, "/proc/sys/%s", name);
	if (length < 0 || (size_t)length >= sizeof path)
		fail_with(ENAMETOOLONG, name);
	for (char *at = path + strlen("/proc/sys/"); *at; at++)
		if (*at == '.')
			*at = '/';
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0) {
		snprintf(path, sizeof path, "sysctl %s", name);
		fail(path);
	}
	close(fd);
}

void raise_interface(const char *namespace, const char *interface)
{
	if (raised_count == MAX_LINKS)
		fail_with(ENOSPC, "up");
	go_into(namespace);
	interface_up(interface);
	raised[raised_count].namespace = copy_text(namespace);
	raised[raised_count++].name = copy_text(interface);
}

void wait_carriers(void)
{
	for (int i = 0; i < raised_count; i++) {
		go_into(raised[i].namespace);
		wait_carrier(raised[i].name, CARRIER_MS);
	}
}
