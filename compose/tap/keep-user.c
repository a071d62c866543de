/* tcpdump started by root always calls initgroups(3), even with `-Z root`, and gives up when that fails. It needs
 * CAP_SETGID, which a tap does not have: with NET_RAW and NET_ADMIN alone there is no other user to become. */
#include <grp.h>
#include <sys/types.h>

int initgroups(const char *user, gid_t group)
{
    (void)user;
    (void)group;
    return 0;
}
