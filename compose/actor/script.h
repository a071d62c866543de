/* script.h: reading the script and checking it whole before its first step runs. The grammar is docs/protocols.md,
 * "Actor script". */

#ifndef ACTOR_SCRIPT_H
#define ACTOR_SCRIPT_H

#include <stdio.h>

#include "actor/step.h"

#define FILE_CHUNK 65536 /* how much of a file is written at once */

struct fork_begun;

struct script {
	struct step *steps;
	size_t count, room;
	struct sock *sockets;
	const char **barriers; /* the names of all barriers, each once; parts of their steps' lines */
	size_t barrier_count;
	struct fork_begun *forks; /* while checking: those that have not ended, the innermost first */
	uint64_t buffer_size; /* the largest that a step uses, 1 at least */
	unsigned long line_number;
	bool bad;     /* some line was wrong */
	FILE *errors; /* where wrong lines are reported */
};

void begin_script(struct script *script, FILE *errors);

/* Read the next line, which is the script's from then on; NULL: there is none. False at the end of the script. */
bool script_line(struct script *script, char *line);

void free_script(struct script *script);

#endif
