/* report.h: how the witness ends when it cannot go on. */

#ifndef WITNESS_REPORT_H
#define WITNESS_REPORT_H

/* Say what failed, and errno, in a frame and on standard error; exit status 1. */
_Noreturn void fail(const char *what);

/* What is undone first, where it is set. */
extern void (*undo)(void);

#endif
