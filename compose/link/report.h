/* report.h: how the link program ends when it cannot go on. */

#ifndef LINK_REPORT_H
#define LINK_REPORT_H

/* Say what failed, and errno, on standard error; exit status 70. */
_Noreturn void die(const char *what);

#endif
