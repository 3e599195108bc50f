/* SPDX-License-Identifier: GPL-2.0-only */
/* Text of Windows' objects, and text in fixed fields. */
#ifndef UW_TEXT_H
#define UW_TEXT_H

#include "field.h"

/* Names of Windows' objects compare without case; only ASCII letters are folded, which is all they are made of. */
static inline bool uw_text_same(const char *a, const char *b)
{
	for (; *a || *b; a++, b++) {
		char x = *a >= 'a' && *a <= 'z' ? (char)(*a - 32) : *a;
		char y = *b >= 'a' && *b <= 'z' ? (char)(*b - 32) : *b;

		if (x != y)
			return false;
	}
	return true;
}

/* Does text begin with start, without case? */
static inline bool uw_text_begins(const char *text, const char *start)
{
	for (; *start; text++, start++) {
		char x = *text >= 'a' && *text <= 'z' ? (char)(*text - 32) : *text;
		char y = *start >= 'a' && *start <= 'z' ? (char)(*start - 32) : *start;

		if (x != y)
			return false;
	}
	return true;
}

#endif
