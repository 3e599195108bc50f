/* SPDX-License-Identifier: GPL-2.0-only */
/* "Did you mean": the nearest of some words. */
#include "suggest.h"

#include <stddef.h>
#include <string.h>

static uint32_t least(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Optimal string alignment, with three rows of the usual table. */
uint32_t uw_suggest_distance(const char *a, const char *b)
{
	uint32_t rows[3][UW_SUGGEST_MAX + 1];
	uint32_t *before = rows[0], *last = rows[1], *row = rows[2], *swap;
	size_t m = strlen(a), n = strlen(b), i, j;

	if (m > UW_SUGGEST_MAX || n > UW_SUGGEST_MAX)
		return UINT32_MAX;
	memset(rows, 0, sizeof(rows));
	for (j = 0; j <= n; j++)
		row[j] = (uint32_t)j;
	for (i = 1; i <= m; i++) {
		swap = before;
		before = last;
		last = row;
		row = swap;
		row[0] = (uint32_t)i;
		for (j = 1; j <= n; j++) {
			row[j] = least(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1, UINT32_MAX);
		}
	}
	return row[n];
}

void uw_suggest_offer(const char *typed, const char *word, const char **best, uint32_t *distance)
{
	uint32_t d = uw_suggest_distance(typed, word);

	if (d > 1 + strlen(typed) / 3 || (*best && d >= *distance))
		return;
	*best = word;
	*distance = d;
}
