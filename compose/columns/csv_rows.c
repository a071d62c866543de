/* Rows of CSV: numbers in decimal, texts as they are. */

#include <string.h>

#include "columns/csv_rows.h"

enum { LONGEST = 20 }; /* digits of an unsigned 64-bit number */

static uint8_t *put_number(uint8_t *out, int64_t value)
{
	uint8_t digits[LONGEST];
	int at = LONGEST;
	uint64_t rest = (uint64_t)value;
	if (value < 0) {
		*out++ = '-';
		rest = -rest;
	}
	do {
		digits[--at] = (uint8_t)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	memcpy(out, digits + at, (size_t)(LONGEST - at));
	return out + LONGEST - at;
}

static uint8_t *put_text(uint8_t *out, const struct csv_column *column, int64_t which)
{
	int64_t first = column->ends[which], length = column->ends[which + 1] - first;
	memcpy(out, column->texts + first, (size_t)length);
	return out + length;
}

int64_t csv_rows(const struct csv_column *columns, int64_t count, int64_t rows, uint8_t *out)
{
	uint8_t *at = out;
	for (int64_t row = 0; row < rows; row++) {
		for (int64_t k = 0; k < count; k++) {
			int64_t value = columns[k].values[row];
			if (columns[k].texts)
				at = put_text(at, columns + k, value);
			else if (value != INT64_MIN)
				at = put_number(at, value);
			*at++ = k + 1 < count ? ',' : '\n';
		}
	}
	return at - out;
}
