#define _GNU_SOURCE /* strsep */
#include "link/plan_values.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void report_error(struct plan *plan, const char *format, ...)
{
	va_list arguments;
	fprintf(plan->errors, "line %u: ", plan->line);
	va_start(arguments, format);
	vfprintf(plan->errors, format, arguments);
	va_end(arguments);
	fputc('\n', plan->errors);
	plan->failed = true;
}

bool is(const char *key, const char *name)
{
	return !strcmp(key, name);
}

bool next_pair(struct plan *plan, char **rest, char **key, char **value)
{
	char *token = strsep(rest, " ");
	if (!token)
		return false;
	*key = strsep(&token, "=");
	*value = token;
	if (!token) {
		static char nothing[1];
		report_error(plan, "`%s` is not key=value", *key);
		*value = nothing;
	}
	return true;
}

uint64_t parse_number(struct plan *plan, const char *key, const char *text, uint64_t most)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (!*text || *text == '-' || *end || errno || value > most)
		report_error(plan, "%s=%s is not a number up to %llu", key, text, (unsigned long long)most);
	return value;
}

double parse_probability(struct plan *plan, const char *key, const char *text)
{
	char *end;
	double value = strtod(text, &end);
	if (!*text || *end || !(value >= 0 && value <= 1))
		report_error(plan, "%s=%s is not a probability from 0 to 1", key, text);
	return value;
}

int parse_word(struct plan *plan, const char *key, const char *text, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (is(text, words[i]))
			return i;
	report_error(plan, "%s=%s is not known", key, text);
	return 0;
}

int parse_flags(struct plan *plan, const char *text)
{
	int flags = 0;
	for (; *text; text++) {
		const char *at = strchr(flag_letters, *text);
		if (!at)
			report_error(plan, "%c is no TCP flag", *text);
		else
			flags |= 1 << (at - flag_letters);
	}
	return flags;
}

struct blob parse_hex(struct plan *plan, const char *key, const char *text)
{
	size_t size = strlen(text) / 2;
	if (!size || strlen(text) % 2 || size > MAX_HEX || strspn(text, "0123456789abcdef") != 2 * size) {
		report_error(plan, "%s is not 1 to %d bytes in small hex digits", key, MAX_HEX);
		return (struct blob){NULL, 0};
	}
	struct blob blob = {grow(NULL, size), size};
	for (size_t i = 0; i < size; i++) {
		const char pair[3] = {text[2 * i], text[2 * i + 1], 0};
		blob.bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return blob;
}
