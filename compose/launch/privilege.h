/* privilege.h: what a process of the lab may do: a user namespace where we are not root, and no capability that it does not
 * need. */

#ifndef LAUNCH_PRIVILEGE_H
#define LAUNCH_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

enum { NOBODY = 65534 };

/* Get a mount namespace, and a user namespace if that takes one; returns whether it did. */
bool take_namespaces(void);

/* Become nobody with no capability, or with the two of a tap, for good; NULL, or what failed. */
const char *drop_privileges(bool tap, bool in_user_namespace);

/* fork(2) into new namespaces. */
pid_t spawn(unsigned long namespaces);

#endif
