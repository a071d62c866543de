/* interpose.h: what every file of the probe needs: names of records, who called, and which functions stand before others'. */

#ifndef PROBE_INTERPOSE_H
#define PROBE_INTERPOSE_H

/* A function that the program calls instead of the C library's. All else is hidden (-fvisibility=hidden). */
#define EXPORT __attribute__((visibility("default")))

/* A record's name as its 16 bytes. */
#define NAME(text) ((const char[16]){text})

#define CALLER __builtin_return_address(0)

/* No lazy allocation on the way of a call: it would call malloc, in a signal handler too. */
#define TLS static __thread __attribute__((tls_model("initial-exec")))

#endif
