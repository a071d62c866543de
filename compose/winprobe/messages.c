#include "winprobe/messages.h"

#include "winprobe/log.h"
#include "winprobe/sockets.h"

enum { MOST = 64 };

static struct {
	HWND window;
	UINT message;
} expected[MOST];
static DWORD threads[MOST];
static volatile LONG expected_count, threads_count;
static CRITICAL_SECTION lock;

/* user32 is not linked to: a program without windows must not get it by being observed. */
static struct {
	LRESULT(WINAPI *CallNextHookEx)(HHOOK, int, WPARAM, LPARAM);
	HHOOK(WINAPI *SetWindowsHookExW)(int, HOOKPROC, HINSTANCE, DWORD);
	DWORD(WINAPI *GetWindowThreadProcessId)(HWND, LPDWORD);
} user32;

void messages_start(void)
{
	InitializeCriticalSection(&lock);
}

static void log_message(const MSG *message)
{
	struct line line = {0};
	DWORD error = GetLastError();
	line_add(&line, "{\"at\":%llu,\"tid\":%lu,\"message\":%d,\"fd\":%lld,\"error\":%d", (unsigned long long)now(),
	         GetCurrentThreadId(), WSAGETSELECTEVENT(message->lParam), (long long)message->wParam,
	         WSAGETSELECTERROR(message->lParam));
	socket_add(&line, (SOCKET)message->wParam);
	line_add(&line, "}");
	log_line(&line);
	SetLastError(error);
}

/* WH_GETMESSAGE: a message was taken from the queue, or only looked at. Modal loops of Windows' own come here as well. */
static LRESULT CALLBACK take(int code, WPARAM removed, LPARAM where)
{
	const MSG *message = (const MSG *)where;
	for (LONG i = 0; code == HC_ACTION && removed == PM_REMOVE && i < expected_count; i++)
		if (expected[i].window == message->hwnd && expected[i].message == message->message) {
			log_message(message);
			break;
		}
	return user32.CallNextHookEx(NULL, code, removed, where);
}

static void watch(DWORD thread)
{
	for (LONG i = 0; i < threads_count; i++)
		if (threads[i] == thread)
			return;
	if (threads_count < MOST && user32.SetWindowsHookExW(WH_GETMESSAGE, take, NULL, thread))
		threads[threads_count++] = thread;
	else
		log_blind("messages");
}

void messages_expect(HWND window, UINT message)
{
	HMODULE library = GetModuleHandleA("user32.dll");
	if (!library)
		return;
	EnterCriticalSection(&lock);
	user32.CallNextHookEx = (void *)GetProcAddress(library, "CallNextHookEx");
	user32.SetWindowsHookExW = (void *)GetProcAddress(library, "SetWindowsHookExW");
	user32.GetWindowThreadProcessId = (void *)GetProcAddress(library, "GetWindowThreadProcessId");
	LONG i = 0;
	while (i < expected_count && (expected[i].window != window || expected[i].message != message))
		i++;
	if (i == MOST) {
		log_blind("messages");
	} else if (i == expected_count) {
		expected[i].window = window;
		expected[i].message = message;
		expected_count++;
		DWORD process, thread = user32.GetWindowThreadProcessId(window, &process);
		if (process == GetCurrentProcessId())
			watch(thread);
		else
			log_blind("messages"); /* to a window of another process */
	}
	LeaveCriticalSection(&lock);
}
