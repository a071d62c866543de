#include "agent/sentinel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/output.h"
#include "agent/system.h"

enum { SENTINEL_PORT = 9 }; /* discard */

static int sentinel4 = -1, sentinel6 = -1;

void open_sentinel(uint32_t id)
{
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(SENTINEL_PORT)};
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(SENTINEL_PORT)};
	int one = 1;

	close_fd(&sentinel4);
	close_fd(&sentinel6);
	sentinel4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sentinel4 < 0 || bind(sentinel4, (struct sockaddr *)&any4, sizeof any4)) {
		send_error(id, errno, "bind UDP port 9");
		return;
	}
	sentinel6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sentinel6 >= 0 && (setsockopt(sentinel6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) ||
	                       bind(sentinel6, (struct sockaddr *)&any6, sizeof any6)))
		close_fd(&sentinel6); /* no IPv6 in this host: only asked for where there is */
	send_frame('k', id, NULL, 0);
}

void send_sentinel(uint32_t id, const char *address, const char *text)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(SENTINEL_PORT)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(SENTINEL_PORT)};
	ssize_t n = -1;

	errno = EINVAL;
	if (inet_pton(AF_INET, address, &to4.sin_addr) == 1)
		n = sendto(sentinel4, text, strlen(text), 0, (struct sockaddr *)&to4, sizeof to4);
	else if (inet_pton(AF_INET6, address, &to6.sin6_addr) == 1)
		n = sendto(sentinel6, text, strlen(text), 0, (struct sockaddr *)&to6, sizeof to6);
	if (n < 0)
		send_error(id, errno, "send the sentinel");
	else
		send_frame('k', id, NULL, 0);
}
