/* messages.h: the messages of WSAAsyncSelect that the program gets, seen as it takes them from its queue. */

#ifndef WINPROBE_MESSAGES_H
#define WINPROBE_MESSAGES_H

#include <winsock2.h>

#include <windows.h>

void messages_start(void);

/* WSAAsyncSelect has worked: this message to this window is one of a socket's. */
void messages_expect(HWND window, UINT message);

#endif
