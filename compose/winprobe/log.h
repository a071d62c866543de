/* log.h: the file that lines are added to, one write each: what was logged survives any death of the process. */

#ifndef WINPROBE_LOG_H
#define WINPROBE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "winprobe/line.h"

/* Open the log of this process; false if there is no directory for it. */
bool log_open(void);

/* UTC, 100 ns. */
uint64_t now(void);

/* Write the line, which is ended here. */
void log_line(struct line *line);

/* Say once that the log cannot hold something: "overlapped", "extension" or "child". */
void log_blind(const char *what);

#endif
