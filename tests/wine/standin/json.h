/* SPDX-License-Identifier: GPL-2.0-only */
/* A strict reader of small JSON documents in UTF-16. */
#ifndef UWLAB_JSON_H
#define UWLAB_JSON_H

#include <windows.h>

#include <stdbool.h>
#include <stdint.h>

#define JSON_NODES 64
#define JSON_STRING 128

enum json_kind {
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_TEXT,
	JSON_NUMBER,
	JSON_WORD,                  /* true, false, null: in text */
};

struct json_node {
	enum json_kind kind;
	WCHAR key[JSON_STRING];     /* of a member of an object */
	WCHAR text[JSON_STRING];
	int parent;                 /* -1: the document itself, which is node 0 */
};

struct json {
	struct json_node nodes[JSON_NODES];
	int count;
	const WCHAR *at;
};

/* False: not JSON, a key twice, or larger than this reader's limits. */
bool json_parse(struct json *j, const WCHAR *text);
/* The member of that name, or NULL. */
const struct json_node *json_member(const struct json *j, const struct json_node *parent, const char *key);
/* The n-th child of an object or array, or NULL. */
const struct json_node *json_child(const struct json *j, const struct json_node *parent, int n);

#endif
