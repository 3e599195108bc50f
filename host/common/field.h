/* SPDX-License-Identifier: GPL-2.0-only */
/* Text in fixed fields: cut at a whole character, padded with zeros. */
#ifndef UW_FIELD_H
#define UW_FIELD_H

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

#endif
