#include "winprobe/log.h"

#include <windows.h>

#include <stdio.h>
#include <string.h>

static HANDLE file = INVALID_HANDLE_VALUE;

uint64_t now(void)
{
	FILETIME time;
	GetSystemTimePreciseAsFileTime(&time);
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

bool log_open(void)
{
	char directory[MAX_PATH], path[MAX_PATH + 64];
	DWORD length = GetEnvironmentVariableA("BOTHENDS_LOG_DIR", directory, sizeof directory);
	if (length == 0 || length >= sizeof directory)
		return false;
	/* Wine has a name for each file of the host, whatever drives there are. */
	const char *unix_root = *directory == '/' ? "\\\\?\\unix" : "";
	snprintf(path, sizeof path, "%s%s/winsock-%lu.jsonl", unix_root, directory, GetCurrentProcessId());
	for (char *at = path + strlen(unix_root); *at; at++)
		if (*unix_root && *at == '/')
			*at = '\\';
	file = CreateFileA(path, FILE_APPEND_DATA | SYNCHRONIZE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_ALWAYS,
	                   FILE_ATTRIBUTE_NORMAL, NULL);
	return file != INVALID_HANDLE_VALUE;
}

void log_line(struct line *line)
{
	DWORD written;
	line_add(line, "\n");
	if (file != INVALID_HANDLE_VALUE)
		WriteFile(file, line->text, (DWORD)line->used, &written, NULL);
}

void log_blind(const char *what)
{
	static volatile LONG said[256];
	if (InterlockedExchange(&said[(unsigned char)*what], 1))
		return;
	struct line line = {0};
	line_add(&line, "{\"blind\":\"%s\"}", what);
	log_line(&line);
}
