#include "common/tests/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static const char *running = "";
static int tests, failures;

/* Where a test is not linked with a program that says it in its own way. */
__attribute__((weak)) void out_of_memory(void)
{
	abort();
}

static void report_failure(const char *what, const char *file, int line)
{
	failures++;
	fprintf(stderr, "%s:%d: %s: %s", file, line, running, what);
}

void run_test(const char *name, void (*test)(void))
{
	running = name;
	tests++;
	test();
}

void check_true(bool is, const char *what, const char *file, int line)
{
	if (is)
		return;
	report_failure(what, file, line);
	fputs(" is false\n", stderr);
}

void check_same(uint64_t found, uint64_t expected, const char *what, const char *file, int line)
{
	if (found == expected)
		return;
	report_failure(what, file, line);
	fprintf(stderr, " is %" PRIu64 " (%#" PRIx64 "), not %" PRIu64 " (%#" PRIx64 ")\n", found, found, expected, expected);
}

void check_text(const char *found, const char *expected, const char *what, const char *file, int line)
{
	if (found && !strcmp(found, expected))
		return;
	report_failure(what, file, line);
	fprintf(stderr, " is\n  `%s`, not\n  `%s`\n", found ? found : "(nothing)", expected);
}

void check_bytes(const void *found, const void *expected, size_t size, const char *what, const char *file, int line)
{
	const unsigned char *a = found, *b = expected;
	for (size_t i = 0; i < size; i++)
		if (a[i] != b[i]) {
			report_failure(what, file, line);
			fprintf(stderr, ": byte %zu is %02x, not %02x\n", i, a[i], b[i]);
			return;
		}
}

int end_tests(void)
{
	printf("%d tests, %d failures\n", tests, failures);
	return failures != 0;
}
