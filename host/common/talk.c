// SPDX-License-Identifier: GPL-2.0-only
/* A server's side of one conversation in the format of usbwarp/ctl.h, over any stream. */
#include "talk.h"

#include <stdio.h>
#include <stdlib.h>

#include "field.h"
#include "stats.h"

#define OUT_MAX (4u << 20)           /* bytes of one answer, far above what the most VMs and devices make */
#define OUT_FIRST 16384u
#define OUT_REST 4096u               /* kept free by a stream, for what is put without asking */

/* ---- answers ---- */

static bool make_room(struct uw_talk *t, size_t bytes)
{
	size_t room = t->out_room ? t->out_room : OUT_FIRST;
	uint8_t *out;

	while (room < t->out_bytes + bytes)
		room *= 2;
	if (room == t->out_room)
		return true;
	out = room <= OUT_MAX ? realloc(t->out, room) : NULL;
	if (!out)
		return false;
	t->out = out;
	t->out_room = room;
	return true;
}

void uw_talk_put(struct uw_talk *t, uint16_t type, const void *body, uint32_t bytes)
{
	struct uw_ctl_header header = {
		.magic = uw_put32(UW_CTL_MAGIC),
		.version = uw_put16(UW_CTL_VERSION),
		.type = uw_put16(type),
		.id = uw_put32(t->id),
		.length = uw_put32(bytes),
	};

	if (t->failed || !make_room(t, sizeof(header) + bytes)) {
		t->failed = true;
		return;
	}
	uw_copy(t->out + t->out_bytes, &header, sizeof(header));
	uw_copy(t->out + t->out_bytes + sizeof(header), body, bytes);
	t->out_bytes += sizeof(header) + bytes;
}

/* What was sent goes only when it is half of all, so that bytes move once on average. */
bool uw_talk_room(struct uw_talk *t, size_t bytes)
{
	if (t->out_sent > OUT_MAX / 2) {
		t->out_bytes -= t->out_sent;
		memmove(t->out, t->out + t->out_sent, t->out_bytes);
		t->out_sent = 0;
	}
	return bytes <= OUT_MAX - OUT_REST && t->out_bytes <= OUT_MAX - OUT_REST - bytes && make_room(t, bytes + OUT_REST);
}

_Static_assert(UW_STAT_COUNT <= UW_CTL_VALUES_MAX, "a record holds all counters");

void uw_talk_put_counters(struct uw_talk *t)
{
	uint16_t i;

	for (i = 0; i < UW_STAT_COUNT; i++) {
		struct uw_ctl_counter counter = { .index = uw_put16(i) };

		UW_TEXT_PUT(counter.name, uw_counter_text[i].name);
		UW_TEXT_PUT(counter.unit, uw_counter_text[i].unit);
		UW_TEXT_PUT(counter.meaning, uw_counter_text[i].meaning);
		UW_TALK_PUT(t, UW_CTL_COUNTER, counter);
	}
}

void uw_talk_end(struct uw_talk *t, uint16_t status, const char *text)
{
	struct uw_ctl_end end = { .status = uw_put16(status) };

	UW_TEXT_PUT(end.text, text);
	UW_TALK_PUT(t, UW_CTL_END, end);
}

void uw_talk_malformed(struct uw_talk *t)
{
	uw_talk_end(t, UW_CTL_MALFORMED, "the message breaks the format of docs/CONTROL.md");
}

void uw_talk_clear(struct uw_talk *t)
{
	free(t->out);
	t->out = NULL;
	t->out_bytes = t->out_sent = t->out_room = 0;
}

/* ---- commands ---- */

bool uw_talk_is_name(const uint8_t field[UW_CTL_NAME], bool may_be_empty)
{
	size_t bytes, i;

	for (bytes = 0; bytes < UW_CTL_NAME && field[bytes] > 0x20 && field[bytes] < 0x7f; bytes++)
		;
	for (i = bytes; i < UW_CTL_NAME; i++)
		if (field[i])
			return false;
	return bytes < UW_CTL_NAME && (bytes || may_be_empty);
}

bool uw_talk_is_zero(const uint8_t *bytes, size_t count)
{
	while (count && !*bytes) {
		bytes++;
		count--;
	}
	return !count;
}

static void end_about(struct uw_talk *t, uint16_t status, const char *format)
{
	char text[UW_CTL_TEXT];

	snprintf(text, sizeof(text), format, t->server);
	uw_talk_end(t, status, text);
}

/* What of a header makes the bytes after it meaningless ends the connection. */
static bool header_good(struct uw_talk *t)
{
	const struct uw_ctl_header *h = &t->in.header;

	t->closing = true;
	if (uw_get32(h->magic) != UW_CTL_MAGIC || uw_get32(h->length) > UW_CTL_BODY_MAX)
		uw_talk_malformed(t);
	else if (uw_get16(h->version) != UW_CTL_VERSION)
		end_about(t, UW_CTL_BAD_VERSION, "usbwarp and %s speak different versions; install both from one release");
	else
		t->closing = false;
	return !t->closing;
}

static void run_command(struct uw_talk *t, const struct uw_talk_command *commands, uint32_t count,
			struct uw_client *client)
{
	uint16_t type = uw_get16(t->in.header.type);

	if (type >= count || !commands[type].run)
		end_about(t, UW_CTL_UNKNOWN, "this %s does not know the command; is it older than usbwarp?");
	else if (uw_get32(t->in.header.length) != commands[type].length)
		uw_talk_malformed(t);
	else
		commands[type].run(client);
}

bool uw_talk_take(struct uw_talk *t, const struct uw_talk_command *commands, uint32_t count, struct uw_client *client)
{
	uint32_t bytes;

	if (t->have < sizeof(t->in.header))
		return false;
	t->id = uw_get32(t->in.header.id);
	if (!header_good(t))
		return false;
	bytes = (uint32_t)sizeof(t->in.header) + uw_get32(t->in.header.length);
	if (t->have < bytes)
		return false;
	run_command(t, commands, count, client);
	t->have -= bytes;
	memmove(&t->in, (uint8_t *)&t->in + bytes, t->have);
	return true;
}
