#define _GNU_SOURCE
#include "launch/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "launch/report.h"

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	close(fd);
}

bool take_namespaces(void)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (uid == 0 && !unshare(CLONE_NEWNS))
		return false;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		fail("user namespace");
	write_text("/proc/self/setgroups", "deny"); /* user_namespaces(7): else no group may be mapped */
	snprintf(map, sizeof map, "%d %u 1", NOBODY, uid);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof map, "%d %u 1", NOBODY, gid);
	write_text("/proc/self/gid_map", map);
	return true;
}

const char *drop_privileges(bool tap, bool in_user_namespace)
{
	uint64_t keep = tap ? 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW : 0;
	for (int capability = 0;; capability++) {
		if (keep >> capability & 1)
			continue;
		if (!prctl(PR_CAPBSET_DROP, capability))
			continue;
		if (errno == EINVAL && capability > CAP_NET_RAW)
			break; /* that was the last one */
		return "bounding set";
	}
	if (!in_user_namespace) {
		if (prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY))
			return "user";
	}
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
	    {.effective = (uint32_t)keep, .permitted = (uint32_t)keep, .inheritable = (uint32_t)keep}};
	if (syscall(SYS_capset, &header, data))
		return "capabilities";
	for (int capability = 0; capability < 32; capability++)
		if (keep >> capability & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))
			return "ambient capabilities";
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? "no_new_privs" : NULL;
}

pid_t spawn(unsigned long namespaces)
{
	return (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, NULL);
}
