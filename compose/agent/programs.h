/* programs.h: programs, started in process groups of their own, fed, listened to, reaped. */

#ifndef AGENT_PROGRAMS_H
#define AGENT_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_PROGRAMS = 32 };

struct program {
	uint32_t id;
	pid_t pid; /* 0: free slot */
	bool ended;
	int in, out, err; /* our ends of its pipes, -1 when closed */
	char *pending;    /* input that its pipe did not take yet */
	size_t pending_size;
	bool end_input;
};

extern struct program programs[MAX_PROGRAMS];

struct program *find_program(uint32_t id);

/* Start what the request in the payload says. A NUL must follow the payload. */
void start_program(uint32_t id, char *payload, size_t size);

/* Give a program what its pipe takes now of its input, and the end if it is over. */
void feed(struct program *p);
void add_input(struct program *p, const void *data, size_t size);

/* Pass on at most `rounds` chunks of a program's output; close the pipe at its end. */
void pass_output(struct program *p, int *fd, char type, int rounds);

/* Free the slot of a program that has ended and whose output is read. */
void free_if_over(struct program *p);

/* Take the status of each child that has ended. */
void reap(void);

/* Send a signal to a program's process group; id 0: to every process of the namespace. */
void send_signal(uint32_t id, int number);

#endif
