#include "winprobe/logged.h"

#include <windows.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "winprobe/log.h"
#include "winprobe/sockets.h"

enum { SHOWN = 64 };

static volatile LONG numbers;
static DWORD within; /* by thread: not NULL while a logged call is made */

void logged_start(void)
{
	within = TlsAlloc();
}

void logged_begin(struct logged *call, const char *name, SOCKET handle)
{
	call->error = GetLastError();
	call->has_args = false;
	call->line.used = 0;
	call->number = TlsGetValue(within) ? 0 : InterlockedIncrement(&numbers);
	if (!call->number)
		return;
	TlsSetValue(within, call);
	line_add(&call->line, "{\"k\":%ld,\"tid\":%lu,\"call\":\"%s\",\"fd\":%lld", call->number, GetCurrentThreadId(), name,
	         (long long)handle);
	if (handle != INVALID_SOCKET)
		socket_add(&call->line, handle);
}

static void argument(struct logged *call, const char *name)
{
	line_add(&call->line, "%s\"%s\":", call->has_args ? "," : ",\"args\":{", name);
	call->has_args = true;
}

void logged_argument(struct logged *call, const char *name, long long value)
{
	argument(call, name);
	line_add(&call->line, "%lld", value);
}

void logged_address(struct logged *call, const char *name, const struct sockaddr *address, int length)
{
	argument(call, name);
	address_add(&call->line, address, length);
}

void logged_bytes(struct logged *call, const char *name, const void *bytes, int length)
{
	argument(call, name);
	line_hex(&call->line, bytes, length > SHOWN ? SHOWN : (size_t)(length > 0 && bytes ? length : 0));
}

void logged_enter(struct logged *call)
{
	if (call->number) {
		line_add(&call->line, "%s,\"at\":%llu}", call->has_args ? "}" : "", (unsigned long long)now());
		log_line(&call->line);
	}
	SetLastError(call->error);
}

void logged_return(struct logged *call, long long result, bool failed, SOCKET handle)
{
	call->error = GetLastError();
	call->has_args = false;
	call->line.used = 0;
	if (!call->number)
		return;
	line_add(&call->line, "{\"k\":%ld,\"to\":%llu,\"result\":%lld,\"error\":%lu", call->number, (unsigned long long)now(),
	         result, failed ? call->error : 0);
	if (handle != INVALID_SOCKET)
		socket_add(&call->line, handle);
}

void logged_moved(struct logged *call, const WSABUF *buffers, DWORD count, size_t moved)
{
	size_t left = moved;
	if (!call->number || !moved || !count)
		return;
	line_add(&call->line, ",\"moved\":%zu,\"data\":", moved);
	/* The first bytes are those of the first buffer: a program that scatters them shows fewer. */
	size_t first = buffers->len < moved ? buffers->len : moved;
	line_hex(&call->line, buffers->buf, first < SHOWN ? first : SHOWN);
	XXH3_state_t state;
	XXH3_64bits_reset(&state);
	for (; left && count; buffers++, count--) {
		size_t size = buffers->len < left ? buffers->len : left;
		XXH3_64bits_update(&state, buffers->buf, size);
		left -= size;
	}
	line_add(&call->line, ",\"digest\":\"%016llx\"", (unsigned long long)XXH3_64bits_digest(&state));
}

void logged_end(struct logged *call)
{
	if (call->number) {
		line_add(&call->line, "%s}", call->has_args ? "}" : "");
		log_line(&call->line);
		TlsSetValue(within, NULL);
	}
	SetLastError(call->error);
}
