/* A client that looks for a connection whose sequence numbers wrap soon, and sends until they have. The kernel draws the
 * first number of each connection (secure_tcp_seq), so one in 512 begins in the last 8 MiB. Arguments: server, port.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEAR (8 << 20)
#define PIECE (64 << 10)
#define TRIES 8000

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int count, char **words)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	struct linger reset = {1, 0};
	static char piece[PIECE];
	uint64_t left;

	server.sin_port = htons(atoi(words[count - 1]));
	inet_pton(AF_INET, words[1], &server.sin_addr);
	memset(piece, 'x', sizeof piece);
	for (int k = 0; k < TRIES; k++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server))
			die("connect");
		if (recv(fd, &left, sizeof left, MSG_WAITALL) != sizeof left)
			die("recv");
		if (be64toh(left) > NEAR) {
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
			close(fd);
			continue;
		}
		for (uint64_t sent = 0; sent < be64toh(left) + 2 * PIECE; sent += PIECE) {
			snprintf(piece, sizeof piece, "at %llu", (unsigned long long)sent);
			piece[strlen(piece)] = ';';
			for (size_t done = 0; done < PIECE;) {
				ssize_t more = send(fd, piece + done, PIECE - done, 0);

				if (more < 0)
					die("send");
				done += more;
			}
		}
		char byte;
		if (shutdown(fd, SHUT_WR) || recv(fd, &byte, 1, 0) || close(fd))
			die("finish");
		return 0;
	}
	fprintf(stderr, "no number near 2^32 in %d connections\n", TRIES);
	return 1;
}
