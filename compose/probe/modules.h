/* modules.h: which executable mappings there are, written to the log so that a return address can be resolved later. */

#ifndef PROBE_MODULES_H
#define PROBE_MODULES_H

/* Log the modules that are not known yet. */
void modules_refresh(void);

/* See that the module of a return address is in the log: libraries come by dlopen at any time. */
void module_note(const void *caller);

#endif
