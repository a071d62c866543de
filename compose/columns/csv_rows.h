/* csv_rows.h: columns as rows of CSV, in the way of testbed/report/text/csv_rows.py. */

#ifndef COLUMNS_CSV_ROWS_H
#define COLUMNS_CSV_ROWS_H

#include <stdint.h>

/* A column: a number for each row, INT64_MIN for an empty field. Where there are texts, the number says which: text k is that
 * between ends[k] and ends[k + 1], as the file has it. */
struct csv_column {
	const int64_t *values;
	const uint8_t *texts;
	const int64_t *ends;
};

/* Write the rows and return how many bytes they are: at most 21 for each number, 1 more than its length for each text. */
int64_t csv_rows(const struct csv_column *columns, int64_t count, int64_t rows, uint8_t *out);

#endif
