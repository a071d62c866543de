#define _GNU_SOURCE
#include "launch/root.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/mount.h>

#include "common/memory.h"
#include "launch/privilege.h"
#include "launch/report.h"

/* <sys/mount.h> and <linux/mount.h> cannot both be included with every C library. */
extern int mount(const char *, const char *, const char *, unsigned long, const void *);
extern int umount2(const char *, int);

/* Where the root is put together: a directory that every Linux has and that holds nothing a lab is made of. */
static const char STAGE[] = "/sys";
/* Where files that only some processes see are kept; these never see it: a scratch file system lies over it. */
static const char STAGED[] = "/.own";
enum { DETACH = 2 /* MNT_DETACH */, MAX_SCRATCH = 16, MAX_PLACES = 256, PATH_SIZE = 640 };

static struct {
	char *path, *options;
} scratch[MAX_SCRATCH];
static int scratch_count;

static struct {
	char *name, *path;
} places[MAX_PLACES];
static int place_count;

static void make_parents(const char *path)
{
	char part[512];
	size_t length = strlen(path);
	if (path[0] != '/' || length >= sizeof part)
		fail_with(EINVAL, path);
	for (size_t i = 1; i < length; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdir(part + 1, 0755) && errno != EEXIST) /* the stage is the current directory */
			fail(path);
	}
}

static void make_directory(const char *path)
{
	make_parents(path);
	if (mkdir(path + 1, 0755) && errno != EEXIST)
		fail(path);
}

void begin_root(void)
{
	umask(0);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("root", STAGE, "tmpfs", MS_NOSUID, "mode=0755") ||
	    chdir(STAGE))
		fail("root");
	/* Kept in sight: a user namespace may mount /proc anew only where it sees a whole one (mount_too_revealing). */
	make_directory("/proc");
	if (mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL))
		fail("/proc");
}

void bind_into_root(const char *source, const char *target)
{
	struct stat found;
	if (stat(source, &found))
		fail(source);
	if (S_ISDIR(found.st_mode)) {
		make_directory(target);
	} else {
		make_parents(target);
		int fd = open(target + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			fail(target);
		close(fd);
	}
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
	if (mount(source, target + 1, NULL, MS_BIND | MS_REC, NULL))
		fail(source);
	if (syscall(SYS_mount_setattr, AT_FDCWD, target + 1, AT_RECURSIVE, &attributes, sizeof attributes))
		fail("mount_setattr (Linux 5.12)");
}

void link_in_root(const char *text, const char *path)
{
	make_parents(path);
	if (symlink(text, path + 1))
		fail(path);
}

void file_in_root(const char *path, mode_t mode, size_t size, FILE *from)
{
	make_parents(path);
	int fd = open(path + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file)
		fail(path);
	for (; size; size--) {
		int byte = getc(from);
		if (byte == EOF || putc(byte, file) == EOF)
			fail(path);
	}
	if (fclose(file))
		fail(path);
}

static const char *staged(const char *name, const char *path)
{
	static char full[PATH_SIZE];
	int length = snprintf(full, sizeof full, "%s/%s%s", STAGED, name, path);
	if (length < 0 || (size_t)length >= sizeof full)
		fail_with(ENAMETOOLONG, path);
	return full;
}

void own_file_in_root(const char *name, const char *path, mode_t mode, size_t size, FILE *from)
{
	const char *full = staged(name, path);
	file_in_root(full, mode, size, from);
	if (chown(full + 1, NOBODY, NOBODY)) /* whose the programs are */
		fail(full);
}

void place_in_root(const char *name, const char *path)
{
	struct stat kept, there;
	if (place_count == MAX_PLACES)
		fail_with(ENOSPC, path);
	if (path[0] != '/' || stat(staged(name, path) + 1, &kept))
		fail(path);
	/* What is there already may be in a part of the machine's, where nothing can be made. */
	if (stat(path + 1, &there)) {
		if (S_ISDIR(kept.st_mode)) {
			make_directory(path);
		} else {
			make_parents(path);
			int fd = open(path + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
			if (fd < 0)
				fail(path);
			close(fd);
		}
	}
	places[place_count].name = copy_text(name);
	places[place_count++].path = copy_text(path);
}

void scratch_in_root(const char *path, const char *options)
{
	if (scratch_count == MAX_SCRATCH)
		fail_with(ENOSPC, path);
	make_directory(path);
	scratch[scratch_count].path = copy_text(path);
	scratch[scratch_count].options = copy_text(options);
	scratch_count++;
}

void enter_root(void)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
	/* pivot_root(2): with "." twice the old root lies over the new one until it is detached. */
	if (syscall(SYS_pivot_root, ".", ".") || umount2(".", DETACH) || chdir("/"))
		fail("pivot_root");
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes))
		fail("mount_setattr (Linux 5.12)");
}

const char *mount_own_parts(const char *name)
{
	/* Read-only, as the root is that they are a part of. */
	for (int i = 0; i < place_count; i++)
		if (!strcmp(places[i].name, name) && mount(staged(name, places[i].path), places[i].path, NULL, MS_BIND, NULL))
			return places[i].path;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return "/proc";
	for (int i = 0; i < scratch_count; i++) {
		/* One may lie in another, where it does not exist yet. */
		if (mkdir(scratch[i].path, 0755) && errno != EEXIST && errno != EROFS)
			return scratch[i].path;
		if (mount("scratch", scratch[i].path, "tmpfs", MS_NOSUID | MS_NODEV, scratch[i].options))
			return scratch[i].path;
	}
	return NULL;
}
