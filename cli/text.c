/* SPDX-License-Identifier: GPL-2.0-only */
/* Text that came from elsewhere: UTF-8 is decoded strictly, and nothing in it reaches a terminal as a control. */
#include "text.h"

/* How many bytes follow a first byte, and its payload bits: RFC 3629, section 3. -1: cannot come first. */
static int tail_of(uint8_t first, uint32_t *bits)
{
	static const struct {
		uint8_t mask, mark;
	} forms[] = { { 0x80, 0x00 }, { 0xe0, 0xc0 }, { 0xf0, 0xe0 }, { 0xf8, 0xf0 } };
	int i;

	for (i = 0; i < 4; i++) {
		if ((first & forms[i].mask) == forms[i].mark) {
			*bits = first & (uint8_t)~forms[i].mask;
			return i;
		}
	}
	return -1;
}

uint32_t uw_utf8_next(const char **at)
{
	static const uint32_t shortest[] = { 0, 0x80, 0x800, 0x10000 };
	const uint8_t *p = (const uint8_t *)*at;
	uint32_t c;
	int i, tail;

	if (!*p)
		return 0;
	(*at)++;
	tail = tail_of(*p, &c);
	if (tail < 0)
		return UW_REPLACEMENT;
	for (i = 1; i <= tail; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return UW_REPLACEMENT;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < shortest[tail] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return UW_REPLACEMENT;
	*at += tail;
	return c;
}

size_t uw_utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* C0, DEL, C1, and the marks that turn the direction of what follows. */
static int is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void uw_text_clean(char *to, size_t size, const char *from)
{
	size_t used = 0;
	uint32_t c;

	while (used + 4 < size && (c = uw_utf8_next(&from)) != 0)
		used += uw_utf8_put(to + used, is_control(c) ? UW_REPLACEMENT : c);
	to[used] = 0;
}

size_t uw_text_width(const char *text)
{
	size_t width = 0;

	while (uw_utf8_next(&text))
		width++;
	return width;
}
