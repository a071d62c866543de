/* A Windows client that does what is hard to observe: windows.exe ADDRESS PORT late|old|overlapped|child|crash|orphan
 *
 *   late        finds Winsock's functions by LoadLibrary and GetProcAddress
 *   old         the same in wsock32, as programs of Winsock 1.1 do
 *   overlapped  waits for its answer by an overlapped WSARecv
 *   child       has its child make the connection
 *   crash       reads through a null pointer once it is connected
 *   orphan      kills Wine's server once it is connected, by a Linux program
 */
#include <winsock2.h>
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    int(WSAAPI *WSAStartup)(WORD, LPWSADATA);
    SOCKET(WSAAPI *socket)(int, int, int);
    int(WSAAPI *connect)(SOCKET, const struct sockaddr *, int);
    int(WSAAPI *send)(SOCKET, const char *, int, int);
    int(WSAAPI *recv)(SOCKET, char *, int, int);
    int(WSAAPI *shutdown)(SOCKET, int);
    int(WSAAPI *closesocket)(SOCKET);
} winsock;

static void *find(HMODULE library, const char *name)
{
    void *found = (void *)GetProcAddress(library, name);
    if (!found)
        exit(3);
    return found;
}

static void load(const char *name)
{
    HMODULE library = LoadLibraryA(name);
    if (!library)
        exit(3);
    winsock.WSAStartup = find(library, "WSAStartup");
    winsock.socket = find(library, "socket");
    winsock.connect = find(library, "connect");
    winsock.send = find(library, "send");
    winsock.recv = find(library, "recv");
    winsock.shutdown = find(library, "shutdown");
    winsock.closesocket = find(library, "closesocket");
}

static void run(char *command)
{
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION program;
    if (CreateProcessA(NULL, command, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &program))
        WaitForSingleObject(program.hProcess, 5000);
}

static int receive_later(SOCKET connection)
{
    char buffer[16];
    WSABUF one = {sizeof buffer, buffer};
    DWORD flags = 0, got = 0;
    WSAOVERLAPPED overlapped = {.hEvent = WSACreateEvent()};
    if (WSARecv(connection, &one, 1, NULL, &flags, &overlapped, NULL) != 0 && WSAGetLastError() != WSA_IO_PENDING)
        return -1;
    WSAGetOverlappedResult(connection, &overlapped, &got, TRUE, &flags);
    return (int)got;
}

int main(int argc, char **argv)
{
    WSADATA about;
    char buffer[16], command[512];
    int got;
    if (argc != 4)
        return 2;
    if (!strcmp(argv[3], "child")) {
        snprintf(command, sizeof command, "\"%s\" %s %s late", argv[0], argv[1], argv[2]);
        run(command);
        return 0;
    }
    load(strcmp(argv[3], "old") ? "ws2_32.dll" : "wsock32.dll");
    if (winsock.WSAStartup(MAKEWORD(1, 1), &about) != 0)
        return 1;
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons((u_short)atoi(argv[2])), .sin_addr.s_addr = inet_addr(argv[1])};
    SOCKET connection = winsock.socket(AF_INET, SOCK_STREAM, 0);
    if (winsock.connect(connection, (struct sockaddr *)&server, sizeof server) != 0)
        return 1;
    winsock.send(connection, "question", 8, 0);
    if (!strcmp(argv[3], "crash"))
        *(volatile int *)0 = 1;
    if (!strcmp(argv[3], "orphan")) {
        strcpy(command, "Z:\\usr\\bin\\sh -c \"pkill -KILL wineserver\"");
        run(command);
        Sleep(5000); /* needs the server */
    }
    winsock.shutdown(connection, SD_SEND);
    if (!strcmp(argv[3], "overlapped"))
        got = receive_later(connection);
    else
        while ((got = winsock.recv(connection, buffer, sizeof buffer, 0)) > 0)
            ;
    winsock.closesocket(connection);
    return got < 0;
}
