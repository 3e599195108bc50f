// SPDX-License-Identifier: GPL-2.0-only
/* A strict reader of small JSON documents: RFC 8259 without surrogate escapes, in fixed memory. */
#include "json.h"

#include <string.h>

static bool value(struct json *j, int parent, const WCHAR *key, int depth);

static void space(struct json *j)
{
	while (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r')
		j->at++;
}

static bool take(struct json *j, WCHAR c)
{
	space(j);
	if (*j->at != c)
		return false;
	j->at++;
	return true;
}

static int hex(WCHAR c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool escape(struct json *j, WCHAR *c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	int i, digit, v = 0;

	if (*j->at == 'u') {
		for (i = 1; i <= 4; i++) {
			digit = hex(j->at[i]);
			if (digit < 0)
				return false;
			v = v << 4 | digit;
		}
		j->at += 5;
		*c = (WCHAR)v;
		return true;
	}
	found = *j->at && *j->at < 128 ? strchr(from, *j->at) : NULL;
	if (!found)
		return false;
	*c = to[found - from];
	j->at++;
	return true;
}

/* Behind the opening quote. */
static bool string(struct json *j, WCHAR out[JSON_STRING])
{
	int length = 0;

	while (*j->at != '"') {
		WCHAR c = *j->at;

		if (c < 0x20 || length == JSON_STRING - 1)
			return false;
		j->at++;
		if (c == '\\' && !escape(j, &c))
			return false;
		out[length++] = c;
	}
	out[length] = 0;
	j->at++;
	return true;
}

static bool digits(struct json *j)
{
	const WCHAR *start = j->at;

	while (*j->at >= '0' && *j->at <= '9')
		j->at++;
	return j->at != start;
}

static bool number(struct json *j, WCHAR out[JSON_STRING])
{
	const WCHAR *start = j->at;
	bool good;

	if (*j->at == '-')
		j->at++;
	good = *j->at != '0' || j->at[1] < '0' || j->at[1] > '9';
	good = digits(j) && good;
	if (good && *j->at == '.') {
		j->at++;
		good = digits(j);
	}
	if (good && (*j->at | 0x20) == 'e') {
		j->at += j->at[1] == '+' || j->at[1] == '-' ? 2 : 1;
		good = digits(j);
	}
	if (!good || j->at - start >= JSON_STRING)
		return false;
	memcpy(out, start, (j->at - start) * sizeof(*out));
	out[j->at - start] = 0;
	return true;
}

static bool word(struct json *j, WCHAR out[JSON_STRING])
{
	static const WCHAR *const words[] = { L"true", L"false", L"null" };
	int i;

	for (i = 0; i < 3; i++)
		if (!wcsncmp(j->at, words[i], wcslen(words[i]))) {
			wcscpy(out, words[i]);
			j->at += wcslen(words[i]);
			return true;
		}
	return false;
}

static bool has_key(const struct json *j, int parent, const WCHAR *key)
{
	int i;

	for (i = 0; i < j->count; i++)
		if (j->nodes[i].parent == parent && !wcscmp(j->nodes[i].key, key))
			return true;
	return false;
}

/* Behind the opening bracket, up to and with the closing one. */
static bool members(struct json *j, int parent, bool object, int depth)
{
	WCHAR key[JSON_STRING] = L"", end = object ? '}' : ']';

	if (take(j, end))
		return true;
	do {
		if (object && !(take(j, '"') && string(j, key) && !has_key(j, parent, key) && take(j, ':')))
			return false;
		if (!value(j, parent, key, depth + 1))
			return false;
	} while (take(j, ','));
	return take(j, end);
}

static bool value(struct json *j, int parent, const WCHAR *key, int depth)
{
	struct json_node *n = &j->nodes[j->count];
	int self = j->count;

	if (self == JSON_NODES || depth > 8)
		return false;
	j->count++;
	memset(n, 0, sizeof(*n));
	n->parent = parent;
	wcscpy(n->key, key);
	if (take(j, '{')) {
		n->kind = JSON_OBJECT;
		return members(j, self, true, depth);
	}
	if (take(j, '[')) {
		n->kind = JSON_ARRAY;
		return members(j, self, false, depth);
	}
	if (take(j, '"')) {
		n->kind = JSON_TEXT;
		return string(j, n->text);
	}
	n->kind = *j->at == '-' || (*j->at >= '0' && *j->at <= '9') ? JSON_NUMBER : JSON_WORD;
	return n->kind == JSON_NUMBER ? number(j, n->text) : word(j, n->text);
}

bool json_parse(struct json *j, const WCHAR *text)
{
	j->count = 0;
	j->at = text;
	if (!value(j, -1, L"", 0))
		return false;
	space(j);
	return !*j->at;
}

const struct json_node *json_child(const struct json *j, const struct json_node *parent, int n)
{
	int i;

	for (i = 0; i < j->count; i++)
		if (j->nodes[i].parent == parent - j->nodes && n-- == 0)
			return &j->nodes[i];
	return NULL;
}

const struct json_node *json_member(const struct json *j, const struct json_node *parent, const char *key)
{
	const struct json_node *n;
	int i, k;

	for (i = 0; (n = json_child(j, parent, i)); i++) {
		for (k = 0; key[k] && n->key[k] == (WCHAR)key[k]; k++)
			;
		if (!key[k] && !n->key[k])
			return n;
	}
	return NULL;
}
