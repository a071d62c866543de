/* readable.h: may the probe read this memory of the program's? A bad pointer must give EFAULT as it does without the probe.
 */

#ifndef PROBE_READABLE_H
#define PROBE_READABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NO_PAGE UINTPTR_MAX

bool readable(const void *memory, size_t size);

/* The same. `page` is one that was found readable just before; it is kept up. */
bool readable_beside(const void *memory, size_t size, uintptr_t *page);

#endif
