/* A Windows server for the experiment's client, with the events of Delphi's ScktComp: it shows what OnRead got.
 *
 * usage: server PORT nothing|first|byte|byte-close|all [MILLISECONDS]
 *
 * WSAAsyncSelect has Windows post the events of the sockets to a window as messages, and the program handles one message
 * at a time: FD_ACCEPT is OnConnect, FD_READ is OnRead, once and without a loop; FD_CLOSE is OnDisconnect and closesocket
 * at once. The window is message-only, so that no display is needed. The second argument is what OnRead reads:
 *
 *   nothing      it reads nothing
 *   first        the first OnRead reads one byte, those after it nothing
 *   byte         one byte
 *   byte-close   one byte, and closes the socket
 *   all          what ReceiveText reads: FIONREAD, then one recv of so many bytes
 *
 * It takes one connection and ends with it, or MILLISECONDS after the last event, as when somebody closes the window.
 *
 * A plain program: it knows nothing of the testbed. */
#include <winsock2.h>
#include <windows.h>

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOCKET_MESSAGE = WM_USER + 1, READ_AT_MOST = 4096 };

enum mode { NOTHING, FIRST, BYTE_EACH, BYTE_CLOSE, ALL, MODES };

static const char *const mode_names[MODES] = {"nothing", "first", "byte", "byte-close", "all"};
static enum mode mode;
static unsigned lifetime;
static int reads;
static SOCKET listener = INVALID_SOCKET, connection = INVALID_SOCKET;

static void fail(const char *what)
{
    fprintf(stderr, "%s: Winsock error %d\n", what, WSAGetLastError());
    exit(1);
}

static void say(const char *text)
{
    if (puts(text) < 0 || fflush(stdout) != 0)
        exit(1);
}

static void receive(u_long length)
{
    static char buffer[READ_AT_MOST];
    int got = recv(connection, buffer, length < sizeof buffer ? (int)length : (int)sizeof buffer, 0);

    if (got < 0)
        fail("recv");
    printf("OnRead \"%.*s\"\n", got, buffer);
    fflush(stdout);
}

static void on_connect(void)
{
    connection = accept(listener, NULL, NULL);
    if (connection == INVALID_SOCKET)
        fail("accept");
    say("OnConnect");
}

static void close_and_end(void)
{
    if (closesocket(connection) != 0)
        fail("closesocket");
    connection = INVALID_SOCKET;
    PostQuitMessage(0);
}

static void on_read(void)
{
    u_long length = 0;

    reads++;
    switch (mode) {
    case ALL:
        if (ioctlsocket(connection, FIONREAD, &length) != 0)
            fail("ioctlsocket");
        receive(length);
        break;
    case BYTE_EACH:
        receive(1);
        break;
    case BYTE_CLOSE:
        receive(1);
        close_and_end();
        break;
    case FIRST:
        if (reads == 1) {
            receive(1);
            break;
        }
        /* fall through */
    default:
        say("OnRead");
    }
}

static void on_socket_message(HWND window, SOCKET socket, LPARAM event)
{
    /* What was posted before closesocket comes all the same. */
    if (socket != listener && socket != connection)
        return;
    if (lifetime)
        SetTimer(window, 1, lifetime, NULL); /* from now on */
    if (WSAGETSELECTERROR(event) != 0) {
        printf("OnError %d\n", WSAGETSELECTERROR(event));
        fflush(stdout);
        if (WSAGETSELECTEVENT(event) != FD_CLOSE)
            return;
    }
    switch (WSAGETSELECTEVENT(event)) {
    case FD_ACCEPT:
        on_connect();
        break;
    case FD_READ:
        on_read();
        break;
    case FD_CLOSE:
        say("OnDisconnect");
        close_and_end();
        break;
    default:
        break;
    }
}

static LRESULT CALLBACK window_procedure(HWND window, UINT message, WPARAM wide, LPARAM parameter)
{
    switch (message) {
    case SOCKET_MESSAGE:
        on_socket_message(window, (SOCKET)wide, parameter);
        return 0;
    case WM_TIMER: /* the sockets are closed with the program */
        PostQuitMessage(0);
        return 0;
    default:
        return DefWindowProcA(window, message, wide, parameter);
    }
}

static HWND make_window(void)
{
    WNDCLASSA class = {.lpfnWndProc = window_procedure, .lpszClassName = "server"};

    if (!RegisterClassA(&class))
        fail("RegisterClass");
    HWND window = CreateWindowA(class.lpszClassName, "", 0, 0, 0, 0, 0, HWND_MESSAGE, NULL, NULL, NULL);
    if (window == NULL)
        fail("CreateWindow");
    return window;
}

static void listen_at(unsigned short port, HWND window)
{
    struct sockaddr_in here = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };

    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener == INVALID_SOCKET)
        fail("socket");
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0)
        fail("bind");
    /* What is accepted inherits it. */
    if (WSAAsyncSelect(listener, window, SOCKET_MESSAGE, FD_ACCEPT | FD_READ | FD_CLOSE) != 0)
        fail("WSAAsyncSelect");
    if (listen(listener, 1) != 0)
        fail("listen");
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long port = argc > 1 ? strtol(argv[1], &end, 10) : 0;

    for (mode = 0; argc > 2 && mode < MODES && strcmp(mode_names[mode], argv[2]) != 0;)
        mode++;
    if (argc < 3 || argc > 4 || *end != '\0' || port < 1 || port > 65535 || mode == MODES) {
        fprintf(stderr, "usage: %s PORT nothing|first|byte|byte-close|all [MILLISECONDS]\n", argv[0]);
        return 2;
    }
    if (argc > 3)
        lifetime = (unsigned)strtoul(argv[3], NULL, 10);

    _setmode(_fileno(stdout), _O_BINARY); /* lines end as they do on the other hosts */
    WSADATA about;
    if (WSAStartup(MAKEWORD(1, 1), &about) != 0)
        fail("WSAStartup");
    listen_at((unsigned short)port, make_window());

    MSG message;
    while (GetMessageA(&message, NULL, 0, 0) > 0)
        DispatchMessageA(&message);
    return 0;
}
