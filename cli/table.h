/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables for people: columns as wide as their widest cell. */
#ifndef UW_TABLE_H
#define UW_TABLE_H

#include <stdint.h>
#include <stdio.h>

#define UW_COLUMNS_MAX 8

struct uw_table {
	const char *indent;
	uint32_t columns;
	uint32_t cells;        /* filled, the header's too */
	char **cell;
};

/* headers end with NULL. A header that begins with '>' is of a column of numbers, set to the right. */
void uw_table_begin(struct uw_table *t, const char *indent, const char *const *headers);
/* The next cell, row by row; text from anywhere is made safe. */
void uw_table_cell(struct uw_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the table, if it has rows, and frees it. */
void uw_table_end(struct uw_table *t, FILE *out);

#endif
