/* SPDX-License-Identifier: GPL-2.0-only */
/* A JSON writer (RFC 8259): what --json prints. */
#include "json.h"

#include "text.h"

static void put_quoted(struct uw_json *j, const char *text)
{
	char bytes[4];
	uint32_t c;

	putc('"', j->out);
	while ((c = uw_utf8_next(&text)) != 0) {
		if (c == '"' || c == '\\')
			fprintf(j->out, "\\%c", (int)c);
		else if (c < 0x20 || c == 0x7f || c == 0x2028 || c == 0x2029)
			fprintf(j->out, "\\u%04x", c);
		else
			fwrite(bytes, 1, uw_utf8_put(bytes, c), j->out);
	}
	putc('"', j->out);
}

static void begin(struct uw_json *j, const char *key)
{
	if (j->more)
		putc(',', j->out);
	if (j->depth)
		fprintf(j->out, "\n%*s", (int)(2 * j->depth), "");
	if (key) {
		put_quoted(j, key);
		fputs(": ", j->out);
	}
	j->more = true;
}

void uw_json_open(struct uw_json *j, const char *key, char bracket)
{
	begin(j, key);
	putc(bracket, j->out);
	j->depth++;
	j->more = false;
}

void uw_json_close(struct uw_json *j, char bracket)
{
	j->depth--;
	if (j->more)
		fprintf(j->out, "\n%*s", (int)(2 * j->depth), "");
	putc(bracket, j->out);
	j->more = true;
	if (!j->depth)
		putc('\n', j->out);
}

void uw_json_text(struct uw_json *j, const char *key, const char *text)
{
	begin(j, key);
	put_quoted(j, text);
}

void uw_json_number(struct uw_json *j, const char *key, uint64_t number)
{
	begin(j, key);
	fprintf(j->out, "%llu", (unsigned long long)number);
}

void uw_json_bool(struct uw_json *j, const char *key, bool value)
{
	begin(j, key);
	fputs(value ? "true" : "false", j->out);
}
