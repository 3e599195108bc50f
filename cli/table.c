/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables for people: columns as wide as their widest cell. */
#include "table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define GROW 64u

static void add(struct uw_table *t, const char *text)
{
	char clean[512];
	char **cell;

	if (t->cells % GROW == 0) {
		cell = realloc(t->cell, (t->cells + GROW) * sizeof(*cell));
		if (!cell)
			abort();
		t->cell = cell;
	}
	uw_text_clean(clean, sizeof(clean), text);
	t->cell[t->cells] = strdup(clean);
	if (!t->cell[t->cells])
		abort();
	t->cells++;
}

void uw_table_begin(struct uw_table *t, const char *indent, const char *const *headers)
{
	memset(t, 0, sizeof(*t));
	t->indent = indent;
	for (; headers[t->columns]; t->columns++)
		add(t, headers[t->columns]);
}

void uw_table_cell(struct uw_table *t, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	add(t, text);
}

static bool is_right(const struct uw_table *t, uint32_t column)
{
	return t->cell[column][0] == '>';
}

static const char *text_of(const struct uw_table *t, uint32_t i)
{
	return t->cell[i] + (i < t->columns && is_right(t, i));
}

static size_t width_of(const struct uw_table *t, uint32_t column)
{
	size_t width = 0, w;
	uint32_t i;

	for (i = column; i < t->cells; i += t->columns) {
		w = uw_text_width(text_of(t, i));
		width = w > width ? w : width;
	}
	return width;
}

static void print_row(const struct uw_table *t, uint32_t first, const size_t *width, FILE *out)
{
	const char *text;
	uint32_t column;
	int pad;

	fputs(t->indent, out);
	for (column = 0; column < t->columns; column++) {
		text = text_of(t, first + column);
		pad = (int)(width[column] - uw_text_width(text));
		if (is_right(t, column))
			fprintf(out, "%*s%s", pad, "", text);
		else if (column + 1 < t->columns)
			fprintf(out, "%s%*s", text, pad, "");
		else
			fputs(text, out);
		fputs(column + 1 < t->columns ? "  " : "\n", out);
	}
}

void uw_table_end(struct uw_table *t, FILE *out)
{
	size_t width[UW_COLUMNS_MAX];
	uint32_t i;

	for (i = 0; i < t->columns; i++)
		width[i] = width_of(t, i);
	for (i = 0; t->cells > t->columns && i < t->cells; i += t->columns)
		print_row(t, i, width, out);
	for (i = 0; i < t->cells; i++)
		free(t->cell[i]);
	free(t->cell);
}
