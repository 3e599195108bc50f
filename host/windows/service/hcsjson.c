/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host compute service tells of its systems. Only text members of the objects in the outer array are of
 * interest; everything else is skipped by its grammar, to a depth that no document of that service reaches.
 */
#include "hcsjson.h"

#include <stdio.h>

#define DEPTH_MAX 16

static const char *skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What stands behind a backslash; *p is moved to the last character of it. 0: nothing that JSON knows. */
static char escaped(const char **p)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found = **p ? strchr(from, **p) : NULL;
	int i, value = 0, digit;

	if (found)
		return to[found - from];
	if (**p != 'u')
		return 0;
	for (i = 0; i < 4; i++) {
		digit = hex(*++*p);
		if (digit < 0)
			return 0;
		value = value * 16 + digit;
	}
	return value > 0x1f && value < 0x7f ? (char)value : '?';
}

/* p stands at the opening quote. Behind the closing one, or NULL. to may be NULL. */
static const char *take_text(const char *p, char *to, size_t size)
{
	size_t bytes = 0;
	char c;

	for (p++; *p != '"'; p++) {
		c = *p;
		if (c == '\\') {
			p++;
			c = escaped(&p);
		}
		if (!c || (unsigned char)c < 0x20)
			return NULL;
		if (to && bytes + 1 < size)
			to[bytes++] = c;
	}
	if (to)
		to[bytes] = 0;
	return p + 1;
}

static const char *skip_value(const char *p, int depth);

static const char *skip_members(const char *p, char end, int depth)
{
	p = skip_space(p + 1);
	if (*p == end)
		return p + 1;
	for (;;) {
		if (end == '}') {
			p = *p == '"' ? take_text(p, NULL, 0) : NULL;
			p = p ? skip_space(p) : NULL;
			if (!p || *p++ != ':')
				return NULL;
		}
		p = skip_value(skip_space(p), depth + 1);
		p = p ? skip_space(p) : NULL;
		if (!p || (*p != ',' && *p != end))
			return NULL;
		if (*p++ == end)
			return p;
		p = skip_space(p);
	}
}

static const char *skip_value(const char *p, int depth)
{
	const char *start = p;

	if (depth > DEPTH_MAX)
		return NULL;
	if (*p == '"')
		return take_text(p, NULL, 0);
	if (*p == '{' || *p == '[')
		return skip_members(p, *p == '{' ? '}' : ']', depth);
	while ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == '.' || *p == 'E')
		p++;
	return p > start ? p : NULL;
}

static char *member(struct uw_system *s, const char *key)
{
	const struct {
		const char *key;
		char *at;
	} known[] = {
		{ "Id", s->id },	 { "RuntimeId", s->runtime },	 { "Owner", s->owner },
		{ "Name", s->name }, { "SystemType", s->type }, { "State", s->state },
	};
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(known); i++)
		if (!strcmp(known[i].key, key))
			return known[i].at;
	return NULL;
}

static const char *take_system(const char *p, struct uw_system *s)
{
	char key[UW_HCS_ID], *to;

	memset(s, 0, sizeof(*s));
	p = skip_space(p + 1);
	if (*p == '}')
		return p + 1;
	for (;;) {
		p = *p == '"' ? take_text(p, key, sizeof(key)) : NULL;
		p = p ? skip_space(p) : NULL;
		if (!p || *p++ != ':')
			return NULL;
		p = skip_space(p);
		to = member(s, key);
		p = to && *p == '"' ? take_text(p, to, UW_HCS_ID) : skip_value(p, 2);
		p = p ? skip_space(p) : NULL;
		if (!p || (*p != ',' && *p != '}'))
			return NULL;
		if (*p++ == '}')
			return p;
		p = skip_space(p);
	}
}

int uw_hcs_parse(const char *text, struct uw_system *systems, int max)
{
	struct uw_system spare;
	const char *p = skip_space(text);
	int count = 0;

	if (*p != '[')
		return -1;
	p = skip_space(p + 1);
	if (*p == ']')
		return *skip_space(p + 1) ? -1 : 0;
	for (;;) {
		p = *p == '{' ? take_system(p, count < max ? &systems[count] : &spare) : NULL;
		count += count < max;
		p = p ? skip_space(p) : NULL;
		if (!p || (*p != ',' && *p != ']'))
			return -1;
		if (*p++ == ']')
			return *skip_space(p) ? -1 : count;
		p = skip_space(p);
	}
}

bool uw_guid_parse(const char *text, uint8_t guid[16])
{
	/* Where the digits' bytes go: the first three fields are little-endian numbers. */
	static const uint8_t place[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	uint32_t i;
	bool brace = *text == '{';

	text += brace;
	for (i = 0; i < 16; i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return false;
		high = hex(text[0]);
		low = high < 0 ? -1 : hex(text[1]);
		if (low < 0)
			return false;
		guid[place[i]] = (uint8_t)(high * 16 + low);
		text += 2;
	}
	return brace ? text[0] == '}' && !text[1] : !text[0];
}

void uw_guid_sid(const uint8_t guid[16], char *to, size_t size)
{
	uint32_t part[4];

	memcpy(part, guid, sizeof(part));
	snprintf(to, size, "S-1-5-83-1-%u-%u-%u-%u", part[0], part[1], part[2], part[3]);
}
