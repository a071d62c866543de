/* The client of the experiment: three sends, then an immediate close.
 *
 * usage: client ADDRESS PORT
 *
 * A plain program: it knows nothing of the testbed. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void send_text(int fd, const char *text)
{
    size_t length = strlen(text);
    ssize_t sent = send(fd, text, length, 0);

    if (sent < 0)
        fail("send");
    if ((size_t)sent != length) {
        fprintf(stderr, "send: %zd of %zu bytes\n", sent, length);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s ADDRESS PORT\n", argv[0]);
        return 2;
    }

    struct sockaddr_in server = {.sin_family = AF_INET};
    char *end;
    long port = strtol(argv[2], &end, 10);

    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || *end != '\0' || port < 1 || port > 65535) {
        fprintf(stderr, "%s: not an IPv4 address and a port: %s %s\n", argv[0], argv[1], argv[2]);
        return 2;
    }
    server.sin_port = htons((in_port_t)port);

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        fail("connect");
    send_text(fd, "c");
    send_text(fd, "c");
    send_text(fd, "string");
    if (close(fd) < 0)
        fail("close");
    return 0;
}
