/* SPDX-License-Identifier: GPL-2.0-only */
/* "Did you mean": the nearest of some words. */
#ifndef UW_SUGGEST_H
#define UW_SUGGEST_H

#include <stdint.h>

#define UW_SUGGEST_MAX 63u     /* longer words are not looked at */

/* Insertions, deletions, changes, and swaps of neighbours that turn a into b. */
uint32_t uw_suggest_distance(const char *a, const char *b);
/* Is b near enough to a that a may be a slip of it? Keeps the nearest so far: *best starts as NULL. */
void uw_suggest_offer(const char *typed, const char *word, const char **best, uint32_t *distance);

#endif
