/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A JSON writer (RFC 8259): what --json prints. Our own, since the same source is built for Windows, where no library
 * comes with the compiler, and writing is the small half of JSON.
 */
#ifndef UW_JSON_H
#define UW_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct uw_json {
	FILE *out;
	uint32_t depth;
	bool more;             /* something stands before, at this depth */
};

/* key: NULL inside an array, and for the outermost value. */
void uw_json_open(struct uw_json *j, const char *key, char bracket); /* '{' or '[' */
void uw_json_close(struct uw_json *j, char bracket);                 /* '}' or ']' */
void uw_json_text(struct uw_json *j, const char *key, const char *text);
void uw_json_number(struct uw_json *j, const char *key, uint64_t number);
void uw_json_bool(struct uw_json *j, const char *key, bool value);

#endif
