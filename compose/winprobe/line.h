/* line.h: one line of the log, made as text. What does not fit is left out, never half of it.
 *
 * A log is JSON lines in BOTHENDS_LOG_DIR/winsock-PID.jsonl; times are FILETIMEs (100 ns since 1601, UTC):
 *
 *   {"begins":TIME,"pid":N,"program":"server.exe"}
 *   {"k":K,"at":TIME,"tid":N,"call":"recv","fd":N,"sock":[N,"tcp","LOCAL","PEER"],"args":{...}}
 *   {"k":K,"to":TIME,"result":N,"error":N,"moved":N,"data":"HEX","digest":"HEX","sock":[...],"args":{...}}
 *   {"at":TIME,"tid":N,"message":1,"fd":N,"sock":[...],"error":N}          a message that the program has got
 *   {"blind":"overlapped"}                                                 what the log cannot hold: blind.h
 *   {"at":TIME,"tid":N,"ends":1}
 *
 * The second and third line are one call, as it begins and as it returns. `call` is the function of Winsock; a socket has
 * a number of its own in its process, and no addresses where it has none yet. */

#ifndef WINPROBE_LINE_H
#define WINPROBE_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct line {
	size_t used;
	char text[2048];
};

void line_add(struct line *line, const char *format, ...) __attribute__((format(gnu_printf, 2, 3)));

/* A JSON string. */
void line_text(struct line *line, const char *text);

void line_hex(struct line *line, const void *bytes, size_t length);

#endif
