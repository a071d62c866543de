/* winstart: start a Windows program with winprobe.dll in it, and end as it does.
 *
 * usage: winstart PROGRAM ARGUMENT...
 *
 * The program is made suspended, a thread in it loads the library (which lies beside winstart), and it goes on. When
 * winstart ends, however it does, the program is ended with it. Exit status 126: it cannot be started or is a 32-bit
 * program, into which this library cannot be loaded; what is wrong is said on standard error. */
#include <windows.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum { CANNOT = 126, STARTS = 3 };

static const wchar_t library_name[] = L"winprobe.dll";

_Noreturn static void fail(const char *what, DWORD error)
{
	fprintf(stderr, "winstart: %s: Windows error %lu\n", what, error);
	exit(CANNOT);
}

/* The command line without its first word. */
static wchar_t *arguments(wchar_t *line)
{
	wchar_t end = *line == L'"' ? L'"' : L' ';
	line += end == L'"';
	while (*line && *line != end)
		line++;
	line += *line == L'"';
	while (*line == L' ')
		line++;
	return line;
}

/* Wine takes a path of the host for its first program only. */
static wchar_t *with_windows_path(wchar_t *line)
{
	wchar_t *(CDECL * dos_name)(const char *) =
		(void *)GetProcAddress(GetModuleHandleA("kernel32.dll"), "wine_get_dos_file_name");
	size_t start = *line == L'"';
	if (line[start] != L'/' || !dos_name)
		return line;
	size_t length = wcscspn(line + start, start ? L"\"" : L" ");
	char path[MAX_PATH];
	int size = WideCharToMultiByte(CP_UTF8, 0, line + start, (int)length, path, sizeof path - 1, NULL, NULL);
	path[size > 0 ? size : 0] = 0;
	wchar_t *found = size > 0 ? dos_name(path) : NULL;
	if (!found)
		return line;
	const wchar_t *rest = line + start + length + start;
	size_t room = wcslen(found) + wcslen(rest) + 3;
	wchar_t *made = HeapAlloc(GetProcessHeap(), 0, room * sizeof *made);
	if (!made)
		fail("memory", GetLastError());
	swprintf(made, room, L"\"%ls\"%ls", found, rest);
	return made;
}

/* Make the program's process. One that Wine loses before its first instruction (ERROR_INTERNAL_ERROR; seen once in some
 * 400 starts, on a busy machine) is made again: nothing of the program has run. */
static void make_suspended(wchar_t *line, PROCESS_INFORMATION *program)
{
	STARTUPINFOW startup = {.cb = sizeof startup};
	for (int left = STARTS - 1; !CreateProcessW(NULL, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL,
						    &startup, program);
	     left--) {
		DWORD error = GetLastError();
		if (error != ERROR_INTERNAL_ERROR || !left)
			fail("the program cannot be started", error);
	}
}

static HANDLE make_job(void)
{
	JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
	HANDLE job = CreateJobObjectW(NULL, NULL);
	limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
	if (!job || !SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits))
		fail("job", GetLastError());
	return job;
}

static void put_library_into(HANDLE process)
{
	wchar_t path[MAX_PATH];
	DWORD length = GetModuleFileNameW(NULL, path, MAX_PATH), loaded = 0;
	wchar_t *name = wcsrchr(path, L'\\');
	if (!length || !name || name + 1 + wcslen(library_name) >= path + MAX_PATH)
		fail("own path", GetLastError());
	wcscpy(name + 1, library_name);
	size_t size = (wcslen(path) + 1) * sizeof *path;
	void *there = VirtualAllocEx(process, NULL, size, MEM_COMMIT, PAGE_READWRITE);
	if (!there || !WriteProcessMemory(process, there, path, size, NULL))
		fail("memory of the program", GetLastError());
	/* At the same address in every process. */
	LPTHREAD_START_ROUTINE load =
		(LPTHREAD_START_ROUTINE)(void *)GetProcAddress(GetModuleHandleA("kernel32.dll"), "LoadLibraryW");
	HANDLE thread = CreateRemoteThread(process, NULL, 0, load, there, 0, NULL);
	if (!thread)
		fail("thread in the program", GetLastError());
	WaitForSingleObject(thread, INFINITE);
	if (!GetExitCodeThread(thread, &loaded) || !loaded)
		fail("winprobe.dll cannot be loaded", GetLastError());
	CloseHandle(thread);
}

int main(void)
{
	PROCESS_INFORMATION program;
	BOOL is32 = FALSE;
	DWORD status = CANNOT;
	wchar_t *line = with_windows_path(arguments(GetCommandLineW()));
	if (!*line) {
		fprintf(stderr, "usage: winstart PROGRAM ARGUMENT...\n");
		return 2;
	}
	HANDLE job = make_job();
	make_suspended(line, &program);
	if (!AssignProcessToJobObject(job, program.hProcess)) {
		TerminateProcess(program.hProcess, CANNOT);
		fail("job of the program", GetLastError());
	}
	if (IsWow64Process(program.hProcess, &is32) && is32) {
		fprintf(stderr, "winstart: a 32-bit program: its calls cannot be logged\n");
		return CANNOT;
	}
	put_library_into(program.hProcess);
	ResumeThread(program.hThread);
	WaitForSingleObject(program.hProcess, INFINITE);
	GetExitCodeProcess(program.hProcess, &status);
	return (int)status;
}
