/* frames.h: frames to the runner, on standard output: type (1 byte), length (4 bytes, big endian), payload. */

#ifndef WITNESS_FRAMES_H
#define WITNESS_FRAMES_H

#include <stddef.h>

enum { FRAME_HEADER = 5 };

/* Write a frame's header into memory. */
void put_frame_header(unsigned char to[FRAME_HEADER], char type, size_t size);

/* Send one frame whose payload has two parts. Frames wait for each other until flush_frames: a write for each would cost
 * more than what they say. */
void send_frame(char type, const void *first, size_t first_size, const void *second, size_t second_size);
void send_text(char type, const char *text);

/* Send frames that are whole already. */
void send_frames(const void *frames, size_t size);

/* Write what waits: before anything that may take time, and at the end. */
void flush_frames(void);

#endif
