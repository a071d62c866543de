/* A server for the experiment's client: takes one connection, prints what arrives, reads until end of file.
 *
 * usage: server PORT
 *
 * A plain program: it knows nothing of the testbed. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }

    char *end;
    long port = strtol(argv[1], &end, 10);
    if (*end != '\0' || port < 1 || port > 65535) {
        fprintf(stderr, "%s: not a port: %s\n", argv[0], argv[1]);
        return 2;
    }

    struct sockaddr_in here = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)port),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0)
        fail("socket");
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0)
        fail("bind");
    if (listen(listener, 1) < 0)
        fail("listen");

    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        fail("accept");

    char buffer[4096];
    ssize_t got;
    while ((got = recv(fd, buffer, sizeof buffer, 0)) > 0) {
        if (fwrite(buffer, 1, (size_t)got, stdout) != (size_t)got || fflush(stdout) != 0)
            fail("standard output");
    }
    if (got < 0)
        fail("recv");
    if (close(fd) < 0 || close(listener) < 0)
        fail("close");
    return 0;
}
