/* check.h: what a unit test in C needs: tests that are run by name, and checks that say where they failed. */

#ifndef COMMON_CHECK_H
#define COMMON_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Run one test, a function without arguments. */
#define RUN(test) run_test(#test, test)

#define CHECK(condition) check_true(condition, #condition, __FILE__, __LINE__)
#define SAME(found, expected) check_same((uint64_t)(found), (uint64_t)(expected), #found, __FILE__, __LINE__)
#define SAME_TEXT(found, expected) check_text(found, expected, #found, __FILE__, __LINE__)
#define SAME_BYTES(found, expected, size) check_bytes(found, expected, size, #found, __FILE__, __LINE__)

void run_test(const char *name, void (*test)(void));
void check_true(bool is, const char *what, const char *file, int line);
void check_same(uint64_t found, uint64_t expected, const char *what, const char *file, int line);
void check_text(const char *found, const char *expected, const char *what, const char *file, int line);
void check_bytes(const void *found, const void *expected, size_t size, const char *what, const char *file, int line);

/* What main returns: 1 if a check failed. Prints how many tests ran. */
int end_tests(void);

#endif
