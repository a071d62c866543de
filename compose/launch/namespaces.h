/* namespaces.h: the network namespaces of a lab, by name. */

#ifndef LAUNCH_NAMESPACES_H
#define LAUNCH_NAMESPACES_H

void add_namespace(const char *name);

/* The namespace that was added last; fails if there is none. */
const char *last_namespace(void);

/* Go into a namespace. */
void go_into(const char *name);

/* A descriptor of a namespace. */
int namespace_fd(const char *name);

/* Set a sysctl of the present namespace. */
void set_sysctl(const char *name, const char *value);

/* Raise an interface, and remember it for wait_carriers. */
void raise_interface(const char *namespace, const char *interface);

/* Wait until all interfaces that were raised can carry packets. */
void wait_carriers(void);

#endif
