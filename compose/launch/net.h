/* net.h: the little of rtnetlink(7) that a lab needs: veth pairs, addresses, routes, interfaces up. All in the present namespace. */

#ifndef LAUNCH_NET_H
#define LAUNCH_NET_H

/* One end here, the other in the namespace that `peer_namespace` is open on. */
void make_veth(const char *name, int peer_namespace, const char *peer_name);

/* Give an interface one more name, by which it can be asked for as well. */
void add_alias(const char *interface, const char *other);

/* `text` is ADDRESS/PREFIX, of either family. */
void add_address(const char *interface, char *text);

/* The route to the network on which an interface is: DESTINATION/PREFIX (IPv4), and how what goes there is controlled. */
void replace_route(const char *interface, char *destination, const char *source, const char *congestion_control);

void interface_up(const char *interface);

/* Wait until packets can pass: until then the kernel drops them in silence. */
void wait_carrier(const char *interface, int milliseconds);

#endif
