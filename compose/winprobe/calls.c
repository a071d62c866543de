/* The calls that are logged, a function for each. It is long because there are so many of them. */
#include "winprobe/calls.h"

#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>

#include <string.h>

#include "winprobe/log.h"
#include "winprobe/logged.h"
#include "winprobe/messages.h"
#include "winprobe/sockets.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static struct {
	SOCKET(WSAAPI *socket)(int, int, int);
	SOCKET(WSAAPI *WSASocketA)(int, int, int, LPWSAPROTOCOL_INFOA, GROUP, DWORD);
	SOCKET(WSAAPI *WSASocketW)(int, int, int, LPWSAPROTOCOL_INFOW, GROUP, DWORD);
	int(WSAAPI *bind)(SOCKET, const struct sockaddr *, int);
	int(WSAAPI *listen)(SOCKET, int);
	SOCKET(WSAAPI *accept)(SOCKET, struct sockaddr *, int *);
	SOCKET(WSAAPI *WSAAccept)(SOCKET, struct sockaddr *, LPINT, LPCONDITIONPROC, DWORD_PTR);
	int(WSAAPI *connect)(SOCKET, const struct sockaddr *, int);
	int(WSAAPI *WSAConnect)(SOCKET, const struct sockaddr *, int, LPWSABUF, LPWSABUF, LPQOS, LPQOS);
	int(WSAAPI *shutdown)(SOCKET, int);
	int(WSAAPI *closesocket)(SOCKET);
	int(WSAAPI *send)(SOCKET, const char *, int, int);
	int(WSAAPI *sendto)(SOCKET, const char *, int, int, const struct sockaddr *, int);
	int(WSAAPI *WSASend)(SOCKET, LPWSABUF, DWORD, LPDWORD, DWORD, LPWSAOVERLAPPED, LPWSAOVERLAPPED_COMPLETION_ROUTINE);
	int(WSAAPI *WSASendTo)(SOCKET, LPWSABUF, DWORD, LPDWORD, DWORD, const struct sockaddr *, int, LPWSAOVERLAPPED,
	                       LPWSAOVERLAPPED_COMPLETION_ROUTINE);
	int(WSAAPI *recv)(SOCKET, char *, int, int);
	int(WSAAPI *recvfrom)(SOCKET, char *, int, int, struct sockaddr *, int *);
	int(WSAAPI *WSARecv)(SOCKET, LPWSABUF, DWORD, LPDWORD, LPDWORD, LPWSAOVERLAPPED, LPWSAOVERLAPPED_COMPLETION_ROUTINE);
	int(WSAAPI *WSARecvFrom)(SOCKET, LPWSABUF, DWORD, LPDWORD, LPDWORD, struct sockaddr *, LPINT, LPWSAOVERLAPPED,
	                         LPWSAOVERLAPPED_COMPLETION_ROUTINE);
	int(WSAAPI *setsockopt)(SOCKET, int, int, const char *, int);
	int(WSAAPI *getsockopt)(SOCKET, int, int, char *, int *);
	int(WSAAPI *ioctlsocket)(SOCKET, long, u_long *);
	int(WSAAPI *WSAIoctl)(SOCKET, DWORD, LPVOID, DWORD, LPVOID, DWORD, LPDWORD, LPWSAOVERLAPPED,
	                      LPWSAOVERLAPPED_COMPLETION_ROUTINE);
	int(WSAAPI *WSAAsyncSelect)(SOCKET, HWND, u_int, long);
	int(WSAAPI *WSAEventSelect)(SOCKET, WSAEVENT, long);
	int(WSAAPI *WSAEnumNetworkEvents)(SOCKET, WSAEVENT, LPWSANETWORKEVENTS);
	int(WSAAPI *select)(int, fd_set *, fd_set *, fd_set *, const struct timeval *);
	int(WSAAPI *WSAPoll)(LPWSAPOLLFD, ULONG, INT);
} real;

/* A call that takes no bytes and gives none. */
static int plain(struct logged *call, int result, SOCKET handle)
{
	logged_return(call, result, result == SOCKET_ERROR, handle);
	logged_end(call);
	return result;
}

static SOCKET made(struct logged *call, SOCKET handle)
{
	if (handle != INVALID_SOCKET)
		socket_made(handle);
	logged_return(call, (long long)handle, handle == INVALID_SOCKET, handle);
	logged_end(call);
	return handle;
}

static void begin_socket(struct logged *call, const char *name, int family, int type, int protocol)
{
	logged_begin(call, name, INVALID_SOCKET);
	logged_argument(call, "domain", family);
	logged_argument(call, "type", type);
	logged_argument(call, "protocol", protocol);
	logged_enter(call);
}

static SOCKET WSAAPI our_socket(int family, int type, int protocol)
{
	struct logged call;
	begin_socket(&call, "socket", family, type, protocol);
	return made(&call, real.socket(family, type, protocol));
}

static SOCKET WSAAPI our_WSASocketA(int family, int type, int protocol, LPWSAPROTOCOL_INFOA info, GROUP group,
                                    DWORD flags)
{
	struct logged call;
	begin_socket(&call, "WSASocket", family, type, protocol);
	return made(&call, real.WSASocketA(family, type, protocol, info, group, flags));
}

static SOCKET WSAAPI our_WSASocketW(int family, int type, int protocol, LPWSAPROTOCOL_INFOW info, GROUP group,
                                    DWORD flags)
{
	struct logged call;
	begin_socket(&call, "WSASocket", family, type, protocol);
	return made(&call, real.WSASocketW(family, type, protocol, info, group, flags));
}

static void begin_address(struct logged *call, const char *name, SOCKET handle, const struct sockaddr *address, int length)
{
	logged_begin(call, name, handle);
	logged_address(call, "address", address, length);
	logged_enter(call);
}

static int WSAAPI our_bind(SOCKET handle, const struct sockaddr *address, int length)
{
	struct logged call;
	begin_address(&call, "bind", handle, address, length);
	return plain(&call, real.bind(handle, address, length), handle);
}

static int WSAAPI our_connect(SOCKET handle, const struct sockaddr *address, int length)
{
	struct logged call;
	begin_address(&call, "connect", handle, address, length);
	return plain(&call, real.connect(handle, address, length), handle);
}

static int WSAAPI our_WSAConnect(SOCKET handle, const struct sockaddr *address, int length, LPWSABUF in, LPWSABUF out,
                                 LPQOS send_qos, LPQOS group_qos)
{
	struct logged call;
	begin_address(&call, "WSAConnect", handle, address, length);
	return plain(&call, real.WSAConnect(handle, address, length, in, out, send_qos, group_qos), handle);
}

static int WSAAPI our_listen(SOCKET handle, int backlog)
{
	struct logged call;
	logged_begin(&call, "listen", handle);
	logged_argument(&call, "backlog", backlog);
	logged_enter(&call);
	return plain(&call, real.listen(handle, backlog), handle);
}

/* The line as it returns is about the connection. */
static SOCKET WSAAPI our_accept(SOCKET handle, struct sockaddr *address, int *length)
{
	struct logged call;
	logged_begin(&call, "accept", handle);
	logged_enter(&call);
	return made(&call, real.accept(handle, address, length));
}

static SOCKET WSAAPI our_WSAAccept(SOCKET handle, struct sockaddr *address, LPINT length, LPCONDITIONPROC condition,
                                   DWORD_PTR data)
{
	struct logged call;
	logged_begin(&call, "WSAAccept", handle);
	logged_enter(&call);
	return made(&call, real.WSAAccept(handle, address, length, condition, data));
}

static int WSAAPI our_shutdown(SOCKET handle, int how)
{
	struct logged call;
	logged_begin(&call, "shutdown", handle);
	logged_argument(&call, "how", how);
	logged_enter(&call);
	return plain(&call, real.shutdown(handle, how), handle);
}

static int WSAAPI our_closesocket(SOCKET handle)
{
	struct logged call;
	logged_begin(&call, "closesocket", handle);
	logged_enter(&call);
	return plain(&call, real.closesocket(handle), INVALID_SOCKET);
}

/* Bytes: the plain functions take one buffer, the others several, and may complete later. */

static void begin_bytes(struct logged *call, const char *name, SOCKET handle, const WSABUF *buffers, DWORD count,
                        long long flags)
{
	long long size = 0;
	for (DWORD i = 0; i < count; i++)
		size += buffers[i].len;
	logged_begin(call, name, handle);
	logged_argument(call, "size", size);
	if (flags)
		logged_argument(call, "flags", flags);
}

static int moved(struct logged *call, int result, SOCKET handle, const void *buffer)
{
	logged_return(call, result, result == SOCKET_ERROR, handle);
	if (result > 0) {
		WSABUF one = {(u_long)result, (char *)buffer};
		logged_moved(call, &one, 1, (size_t)result);
	}
	logged_end(call);
	return result;
}

static int moved_several(struct logged *call, int result, SOCKET handle, const WSABUF *buffers, DWORD count,
                         const DWORD *bytes, bool overlapped)
{
	bool later = overlapped && (!bytes || (result == SOCKET_ERROR && GetLastError() == WSA_IO_PENDING));
	logged_return(call, result == SOCKET_ERROR || !bytes ? result : (long long)*bytes, result == SOCKET_ERROR, handle);
	if (later)
		log_blind("overlapped");
	else if (result == 0 && bytes)
		logged_moved(call, buffers, count, *bytes);
	logged_end(call);
	return result;
}

static int WSAAPI our_send(SOCKET handle, const char *buffer, int length, int flags)
{
	struct logged call;
	WSABUF one = {(u_long)length, (char *)buffer};
	begin_bytes(&call, "send", handle, &one, 1, flags);
	logged_enter(&call);
	return moved(&call, real.send(handle, buffer, length, flags), handle, buffer);
}

static int WSAAPI our_sendto(SOCKET handle, const char *buffer, int length, int flags, const struct sockaddr *to,
                             int to_length)
{
	struct logged call;
	WSABUF one = {(u_long)length, (char *)buffer};
	begin_bytes(&call, "sendto", handle, &one, 1, flags);
	if (to)
		logged_address(&call, "address", to, to_length);
	logged_enter(&call);
	return moved(&call, real.sendto(handle, buffer, length, flags, to, to_length), handle, buffer);
}

static int WSAAPI our_recv(SOCKET handle, char *buffer, int length, int flags)
{
	struct logged call;
	WSABUF one = {(u_long)length, buffer};
	begin_bytes(&call, "recv", handle, &one, 1, flags);
	logged_enter(&call);
	return moved(&call, real.recv(handle, buffer, length, flags), handle, buffer);
}

static int WSAAPI our_recvfrom(SOCKET handle, char *buffer, int length, int flags, struct sockaddr *from, int *from_length)
{
	struct logged call;
	WSABUF one = {(u_long)length, buffer};
	begin_bytes(&call, "recvfrom", handle, &one, 1, flags);
	logged_enter(&call);
	int result = real.recvfrom(handle, buffer, length, flags, from, from_length);
	logged_return(&call, result, result == SOCKET_ERROR, handle);
	if (result > 0) {
		one.len = (u_long)result;
		logged_moved(&call, &one, 1, (size_t)result);
	}
	if (result >= 0 && from && from_length)
		logged_address(&call, "address", from, *from_length);
	logged_end(&call);
	return result;
}

static int WSAAPI our_WSASend(SOCKET handle, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags,
                              LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
	struct logged call;
	begin_bytes(&call, "WSASend", handle, buffers, count, flags);
	logged_enter(&call);
	int result = real.WSASend(handle, buffers, count, sent, flags, overlapped, routine);
	return moved_several(&call, result, handle, buffers, count, sent, overlapped);
}

static int WSAAPI our_WSASendTo(SOCKET handle, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags,
                                const struct sockaddr *to, int to_length, LPWSAOVERLAPPED overlapped,
                                LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
	struct logged call;
	begin_bytes(&call, "WSASendTo", handle, buffers, count, flags);
	if (to)
		logged_address(&call, "address", to, to_length);
	logged_enter(&call);
	int result = real.WSASendTo(handle, buffers, count, sent, flags, to, to_length, overlapped, routine);
	return moved_several(&call, result, handle, buffers, count, sent, overlapped);
}

static int WSAAPI our_WSARecv(SOCKET handle, LPWSABUF buffers, DWORD count, LPDWORD got, LPDWORD flags,
                              LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
	struct logged call;
	begin_bytes(&call, "WSARecv", handle, buffers, count, flags ? *flags : 0);
	logged_enter(&call);
	int result = real.WSARecv(handle, buffers, count, got, flags, overlapped, routine);
	return moved_several(&call, result, handle, buffers, count, got, overlapped);
}

static int WSAAPI our_WSARecvFrom(SOCKET handle, LPWSABUF buffers, DWORD count, LPDWORD got, LPDWORD flags,
                                  struct sockaddr *from, LPINT from_length, LPWSAOVERLAPPED overlapped,
                                  LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
	struct logged call;
	begin_bytes(&call, "WSARecvFrom", handle, buffers, count, flags ? *flags : 0);
	logged_enter(&call);
	int result = real.WSARecvFrom(handle, buffers, count, got, flags, from, from_length, overlapped, routine);
	return moved_several(&call, result, handle, buffers, count, got, overlapped);
}

static int WSAAPI our_setsockopt(SOCKET handle, int level, int option, const char *value, int length)
{
	struct logged call;
	logged_begin(&call, "setsockopt", handle);
	logged_argument(&call, "level", level);
	logged_argument(&call, "option", option);
	logged_bytes(&call, "value", value, length);
	logged_enter(&call);
	return plain(&call, real.setsockopt(handle, level, option, value, length), handle);
}

static int WSAAPI our_getsockopt(SOCKET handle, int level, int option, char *value, int *length)
{
	struct logged call;
	logged_begin(&call, "getsockopt", handle);
	logged_argument(&call, "level", level);
	logged_argument(&call, "option", option);
	logged_enter(&call);
	int result = real.getsockopt(handle, level, option, value, length);
	logged_return(&call, result, result == SOCKET_ERROR, handle);
	if (result == 0 && length)
		logged_bytes(&call, "value", value, *length);
	logged_end(&call);
	return result;
}

static int WSAAPI our_ioctlsocket(SOCKET handle, long request, u_long *argument)
{
	struct logged call;
	logged_begin(&call, "ioctlsocket", handle);
	logged_argument(&call, "request", (u_long)request);
	if (argument && (u_long)request == FIONBIO)
		logged_argument(&call, "value", *argument);
	logged_enter(&call);
	int result = real.ioctlsocket(handle, request, argument);
	logged_return(&call, result, result == SOCKET_ERROR, handle);
	if (result == 0 && argument && (u_long)request == FIONREAD)
		logged_argument(&call, "value", *argument);
	logged_end(&call);
	return result;
}

/* By it a program asks for functions that are no exports, whose calls nobody sees. */
static int WSAAPI our_WSAIoctl(SOCKET handle, DWORD request, LPVOID in, DWORD in_length, LPVOID out, DWORD out_length,
                               LPDWORD returned, LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE routine)
{
	struct logged call;
	logged_begin(&call, "WSAIoctl", handle);
	logged_argument(&call, "request", request);
	if (request == SIO_GET_EXTENSION_FUNCTION_POINTER && call.number)
		log_blind("extension");
	logged_enter(&call);
	int result = real.WSAIoctl(handle, request, in, in_length, out, out_length, returned, overlapped, routine);
	return plain(&call, result, handle);
}

static int WSAAPI our_WSAAsyncSelect(SOCKET handle, HWND window, u_int message, long events)
{
	struct logged call;
	logged_begin(&call, "WSAAsyncSelect", handle);
	logged_argument(&call, "events", events);
	if (events)
		messages_expect(window, message);
	logged_enter(&call);
	return plain(&call, real.WSAAsyncSelect(handle, window, message, events), handle);
}

static int WSAAPI our_WSAEventSelect(SOCKET handle, WSAEVENT event, long events)
{
	struct logged call;
	logged_begin(&call, "WSAEventSelect", handle);
	logged_argument(&call, "events", events);
	logged_enter(&call);
	return plain(&call, real.WSAEventSelect(handle, event, events), handle);
}

static int WSAAPI our_WSAEnumNetworkEvents(SOCKET handle, WSAEVENT event, LPWSANETWORKEVENTS events)
{
	struct logged call;
	logged_begin(&call, "WSAEnumNetworkEvents", handle);
	logged_enter(&call);
	int result = real.WSAEnumNetworkEvents(handle, event, events);
	logged_return(&call, result, result == SOCKET_ERROR, handle);
	if (result == 0)
		logged_argument(&call, "events", events->lNetworkEvents);
	logged_end(&call);
	return result;
}

static int WSAAPI our_select(int count, fd_set *reading, fd_set *writing, fd_set *errors, const struct timeval *timeout)
{
	struct logged call;
	logged_begin(&call, "select", INVALID_SOCKET);
	logged_enter(&call);
	return plain(&call, real.select(count, reading, writing, errors, timeout), INVALID_SOCKET);
}

static int WSAAPI our_WSAPoll(LPWSAPOLLFD descriptors, ULONG count, INT timeout)
{
	struct logged call;
	logged_begin(&call, "WSAPoll", INVALID_SOCKET);
	logged_argument(&call, "count", count);
	logged_enter(&call);
	return plain(&call, real.WSAPoll(descriptors, count, timeout), INVALID_SOCKET);
}

#define HOOK(name) {#name, (void *)our_##name, (void **)&real.name}

const struct hook calls[] = {
	HOOK(socket),       HOOK(WSASocketA),     HOOK(WSASocketW),     HOOK(bind),
	HOOK(listen),       HOOK(accept),         HOOK(WSAAccept),      HOOK(connect),
	HOOK(WSAConnect),   HOOK(shutdown),       HOOK(closesocket),    HOOK(send),
	HOOK(sendto),       HOOK(WSASend),        HOOK(WSASendTo),      HOOK(recv),
	HOOK(recvfrom),     HOOK(WSARecv),        HOOK(WSARecvFrom),    HOOK(setsockopt),
	HOOK(getsockopt),   HOOK(ioctlsocket),    HOOK(WSAIoctl),       HOOK(WSAAsyncSelect),
	HOOK(WSAEventSelect), HOOK(WSAEnumNetworkEvents), HOOK(select), HOOK(WSAPoll),
};
const size_t calls_count = LENGTH(calls);
