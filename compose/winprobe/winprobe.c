/* winprobe: a library for Windows programs that logs which calls of Winsock they make, and which messages they get.
 *
 * winstart brings it into a program before that begins (compose/winstart). It uses documented functions of Windows only
 * and nothing of Wine's but the name of a file. The log's lines are described in line.h.
 *
 * Not seen: 32-bit programs, children of the program, ReadFile and WriteFile on a socket, and what is said where it
 * happens (log_blind): overlapped calls that complete later, AcceptEx, ConnectEx, TransmitFile and their like. */
#include <winsock2.h>

#include <windows.h>

#include <string.h>

#include "winprobe/calls.h"
#include "winprobe/hooks.h"
#include "winprobe/log.h"
#include "winprobe/logged.h"
#include "winprobe/messages.h"
#include "winprobe/sockets.h"

static void begin(HINSTANCE ours)
{
	HMODULE winsock = LoadLibraryA("ws2_32.dll");
	if (!winsock || !log_open())
		return;
	char path[MAX_PATH];
	GetModuleFileNameA(NULL, path, sizeof path);
	const char *name = strrchr(path, '\\');
	struct line line = {0};
	line_add(&line, "{\"begins\":%llu,\"pid\":%lu,\"program\":", (unsigned long long)now(), GetCurrentProcessId());
	line_text(&line, name ? name + 1 : path);
	line_add(&line, "}");
	log_line(&line);
	sockets_start();
	messages_start();
	logged_start();
	ask.getsockname = (void *)GetProcAddress(winsock, "getsockname");
	ask.getpeername = (void *)GetProcAddress(winsock, "getpeername");
	ask.getsockopt = (void *)GetProcAddress(winsock, "getsockopt");
	hook_library(winsock, ours, calls, calls_count);
}

BOOL WINAPI DllMain(HINSTANCE ours, DWORD reason, LPVOID reserved);
BOOL WINAPI DllMain(HINSTANCE ours, DWORD reason, LPVOID reserved)
{
	(void)reserved;
	if (reason == DLL_PROCESS_ATTACH) {
		DisableThreadLibraryCalls(ours);
		begin(ours);
	} else if (reason == DLL_PROCESS_DETACH) {
		struct line line = {0};
		line_add(&line, "{\"at\":%llu,\"tid\":%lu,\"ends\":1}", (unsigned long long)now(), GetCurrentThreadId());
		log_line(&line);
	}
	return TRUE;
}
