/* report.h: how launch ends when an order cannot be carried out. */

#ifndef LAUNCH_REPORT_H
#define LAUNCH_REPORT_H

/* Answer with errno and what failed; exit status 1. Processes that we started die with us. */
_Noreturn void fail(const char *what);

/* The same with an errno of ours. */
_Noreturn void fail_with(int error, const char *what);

#endif
