/* hooks.h: put functions of ours in the place of a library's, for all modules of the process but this one.
 *
 * Modules that are loaded have addresses of functions in their import tables, which are overwritten; modules that are
 * loaded later, and GetProcAddress, take them from the library's export table, which is changed too. The library's own
 * calls of its functions are not seen, and need not be: they are no calls of the program. */

#ifndef WINPROBE_HOOKS_H
#define WINPROBE_HOOKS_H

#include <winsock2.h>

#include <windows.h>

struct hook {
	const char *name;
	void *replacement;
	void **original; /* set to the library's function, NULL where it has none */
};

void hook_library(HMODULE library, HMODULE ours, const struct hook *hooks, size_t count);

#endif
