#include "witness/memo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "witness/frames.h"

bool has_memo;

static int file = -1;
static char *memo; /* what it is of, which ends in NUL; frames */
static size_t length;

static void add(const void *bytes, size_t size)
{
	memo = grow(memo, length + size);
	memcpy(memo + length, bytes, size);
	length += size;
}

static void add_line(const char *text, size_t size)
{
	add(text, size);
	add("\n", 1);
}

/* Events without their filters: each EVENT, EVENT= or EVENT~FIELD:NAME,NAME. */
static void add_events(char *const *events)
{
	for (; *events; events++) {
		size_t size = strcspn(*events, "=~");
		add_line(*events, (*events)[size] == '~' ? strlen(*events) : size + ((*events)[size] == '='));
	}
}

/* Does the file begin with what this recording is of? Then send its frames. */
static bool sends_same(void)
{
	struct stat found;
	if (fstat(file, &found) || found.st_size < (off_t)length)
		return false;
	size_t size = (size_t)found.st_size;
	char *before = grow(NULL, size);
	bool same = pread(file, before, size, 0) == (ssize_t)size && !memcmp(before, memo, length);
	if (same)
		send_frames(before + length, size - length);
	free(before);
	return same;
}

void take_memo(int fd, const char *kib, char *const *events, char *const *calls, bool are_kept)
{
	file = fd;
	if (file < 0)
		return;
	add_line(kib, strlen(kib));
	add_events(events);
	if (calls) { /* KIB BEGINNING[=] EVENT... */
		add_line("--", 2);
		add_line(calls[0], strlen(calls[0]));
		add_line(calls[1], *calls[1] == '-');
		add_events(calls + 2);
	}
	add("", 1);
	has_memo = are_kept && sends_same();
}

void send_definition(char type, const char *name, size_t size, const char *text)
{
	send_frame(type, name, size, text, strlen(text));
	if (file < 0 || has_memo)
		return;
	unsigned char header[FRAME_HEADER];
	put_frame_header(header, type, size + strlen(text));
	add(header, sizeof header);
	add(name, size);
	add(text, strlen(text));
}

void write_memo(void)
{
	if (file < 0 || has_memo)
		return;
	if (ftruncate(file, 0) || pwrite(file, memo, length, 0) != (ssize_t)length) {
		int forgotten = ftruncate(file, 0); /* then the next recording does without */
		(void)forgotten;
	}
}
