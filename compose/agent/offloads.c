#include "agent/offloads.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "agent/output.h"
#include "agent/system.h"
#include "common/memory.h"

/* Groups of features, with ethtool(8)'s long names; the kernel names the single ones itself. */
static const struct {
	const char *name;
	uint32_t get, set; /* set 0: left as it is */
} groups[] = {
	{"rx-checksumming", ETHTOOL_GRXCSUM, 0},
	{"tx-checksumming", ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM},
	{"scatter-gather", ETHTOOL_GSG, 0},
	{"tcp-segmentation-offload", ETHTOOL_GTSO, ETHTOOL_STSO},
	{"generic-segmentation-offload", ETHTOOL_GGSO, ETHTOOL_SGSO},
	{"generic-receive-offload", ETHTOOL_GGRO, ETHTOOL_SGRO},
};
enum { GROUPS = sizeof groups / sizeof *groups };

/* One request of ethtool's; -1 and errno. */
static int ask(int fd, const char *interface, void *request)
{
	struct ifreq about = {.ifr_data = request};
	if (strlen(interface) >= sizeof about.ifr_name) {
		errno = ENODEV;
		return -1;
	}
	strcpy(about.ifr_name, interface);
	return ioctl(fd, SIOCETHTOOL, &about);
}

static bool off(int fd, const char *interface, uint32_t get, uint32_t set)
{
	struct ethtool_value value = {.cmd = get};
	if (ask(fd, interface, &value))
		return false;
	if (!value.data) /* a feature that is fixed cannot be set, not even to what it is */
		return true;
	value = (struct ethtool_value){.cmd = set};
	return !ask(fd, interface, &value);
}

void turn_off_offloads(uint32_t id, const char *interface)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *refused = fd < 0 ? interface : NULL;
	for (int i = 0; i < GROUPS && !refused; i++)
		if (groups[i].set && !off(fd, interface, groups[i].get, groups[i].set))
			refused = groups[i].name;
	if (refused)
		send_error(id, errno, refused);
	else
		send_frame('k', id, NULL, 0);
	close_fd(&fd);
}

static void add_feature(struct gathered *found, const char *name, bool on)
{
	char text[ETH_GSTRING_LEN + 8];
	int length = snprintf(text, sizeof text, "%.*s=%s", ETH_GSTRING_LEN, name, on ? "on" : "off");
	add_part(found, text, (size_t)length + 1);
}

/* How many features the kernel has names for; -1 and errno. */
static int count_features(int fd, const char *interface)
{
	struct ethtool_sset_info *sets = grow(NULL, sizeof *sets + sizeof *sets->data);
	*sets = (struct ethtool_sset_info){.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1u << ETH_SS_FEATURES};
	sets->data[0] = 0;
	int count = ask(fd, interface, sets) ? -1 : sets->sset_mask ? (int)sets->data[0] : 0;
	int error = errno;
	free(sets);
	errno = error;
	return count;
}

/* The features that the kernel names; false and errno. */
static bool add_named(struct gathered *found, int fd, const char *interface)
{
	int count = count_features(fd, interface);
	if (count <= 0)
		return count == 0;
	size_t words = ((size_t)count + 31) / 32;
	struct ethtool_gstrings *names = grow(NULL, sizeof *names + (size_t)count * ETH_GSTRING_LEN);
	struct ethtool_gfeatures *values = grow(NULL, sizeof *values + words * sizeof *values->features);
	*names = (struct ethtool_gstrings){.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = (uint32_t)count};
	*values = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = (uint32_t)words};
	bool works = !ask(fd, interface, names) && !ask(fd, interface, values);
	for (int i = 0; works && i < count; i++) {
		const char *name = (const char *)names->data + (size_t)i * ETH_GSTRING_LEN;
		if (*name)
			add_feature(found, name, values->features[i / 32].active >> i % 32 & 1);
	}
	int error = errno;
	free(names);
	free(values);
	errno = error;
	return works;
}

void list_offloads(uint32_t id, const char *interface)
{
	struct gathered *found = gather(id);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool works = fd >= 0 && add_named(found, fd, interface);
	for (int i = 0; i < GROUPS && works; i++) {
		struct ethtool_value value = {.cmd = groups[i].get};
		works = !ask(fd, interface, &value);
		if (works)
			add_feature(found, groups[i].name, value.data);
	}
	if (works)
		send_gathered(found);
	else
		send_error(id, errno, interface);
	close_fd(&fd);
}
