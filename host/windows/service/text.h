/* SPDX-License-Identifier: GPL-2.0-only */
/* Text in fixed fields: cut at a whole character, padded with zeros. */
#ifndef UW_TEXT_H
#define UW_TEXT_H

#include "base.h"

/* size counts at least one zero at the end. */
static inline void uw_text_put(void *field, size_t size, const char *text)
{
	size_t bytes = 0;

	while (bytes < size && text[bytes])
		bytes++;
	if (bytes == size)
		for (bytes--; bytes && ((unsigned char)text[bytes] & 0xc0) == 0x80; bytes--)
			;
	uw_copy(field, text, bytes);
	uw_zero((char *)field + bytes, size - bytes);
}

#define UW_TEXT_PUT(field, text) uw_text_put(field, sizeof(field), text)

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
