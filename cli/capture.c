/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * usbwarp capture: what passes between VMs and devices, into a file that Wireshark reads.
 *
 * The daemon's stream has no end. To end it in good order another command is sent: what was captured before that still
 * comes, and then the end of the answer. Nothing waits for the answer to that command.
 */
#include "capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pcapng.h"
#include "transport.h"
#include "usbmon.h"

#define CHUNK (1u << 16)       /* bytes read at once: many records */
#define PATIENCE 30000u        /* milliseconds for the first record, and for the rest when it is to end */
#define LOOK 500u              /* milliseconds between two looks at what may end it */
#define BODY_MAX (UW_CAPTURE_PACKET_MAX - sizeof(struct uw_usbmon))

struct stream {
	struct uw_capture *c;
	struct uw_reply *r;
	FILE *out;             /* NULL: not begun */
	struct uw_pcapng file;
	uint64_t end;          /* of uw_transport_clock: when to end */
	bool leaving;          /* the daemon has been told */
	bool over;
	uint32_t have;         /* bytes of in */
	uint32_t got;          /* bytes of body */
	struct uw_ctl_packet packet;
	uint8_t body[BODY_MAX];
	uint8_t in[CHUNK];
};

/* ---- the file ---- */

static void fail_file(struct stream *s)
{
	s->r->code = UW_EXIT_REFUSED;
	snprintf(s->r->text, sizeof(s->r->text), "%s: %s", s->c->file ? s->c->file : "standard output", strerror(errno));
	s->over = true;
}

/* Only now, so that a refusal leaves an older file as it was. */
static void begin_file(struct stream *s)
{
	const struct uw_capture *c = s->c;

	s->out = c->file ? uw_transport_create(c->file) : stdout;
	if (!s->out) {
		fail_file(s);
		return;
	}
	uw_pcapng_begin(&s->file, s->out, UW_LINKTYPE_USB_LINUX_MMAPPED, c->snaplen, "usbwarp " USBWARP_RELEASE,
			*c->vm ? (const char *)c->vm : "usbwarp", uw_transport_time());
	fprintf(stderr, "usbwarp: capturing%s%s; Ctrl-C ends it\n", c->file ? " to " : "", c->file ? c->file : "");
	s->end = c->seconds ? uw_transport_clock() + c->seconds * 1000000000 : UINT64_MAX;
}

/* A reader that has seen enough is no failure. */
static void flush_file(struct stream *s)
{
	if (!s->out || (!fflush(s->out) && !ferror(s->out)))
		return;
	if (errno == EPIPE)
		s->over = true;
	else if (!s->r->code)
		fail_file(s);
}

static void end_file(struct stream *s)
{
	if (!s->out)
		return;
	uw_pcapng_end(&s->file, uw_transport_time());
	flush_file(s);
	if (s->c->file && fclose(s->out) && !s->r->code)
		fail_file(s);
	s->c->packets = s->file.packets;
	s->c->dropped = s->file.dropped;
}

static void write_packet(struct stream *s)
{
	struct uw_usbmon header;
	struct uw_pcapng_packet packet = {
		.time = s->packet.time,
		.head = &header,
		.head_bytes = sizeof(header),
		.body = s->body,
		.body_bytes = s->got,
		.original = (uint32_t)sizeof(header) + s->packet.bytes,
	};

	uw_usbmon_header(&header, &s->packet);
	uw_pcapng_packet(&s->file, &packet);
	if (s->file.packets == s->c->count)
		s->over = true;
}

/* ---- records ---- */

static void complain(struct stream *s)
{
	s->r->code = UW_EXIT_PROTOCOL;
	snprintf(s->r->text, sizeof(s->r->text), "%s does not keep to the format of captures; install both programs from "
		 "one release", uw_transport_peer);
	s->over = true;
}

static void take_end(struct stream *s, const struct uw_ctl_end *end)
{
	s->over = true;
	s->r->status = end->status;
	if (end->status == UW_CTL_OK)
		return;
	s->r->code = end->status == UW_CTL_BAD_VERSION ? UW_EXIT_PROTOCOL : UW_EXIT_REFUSED;
	if (end->status == UW_CTL_UNKNOWN)
		snprintf(s->r->text, sizeof(s->r->text), "%s cannot capture; usbwarpd on Linux can, from this release on",
			 uw_transport_peer);
	else
		snprintf(s->r->text, sizeof(s->r->text), "%.*s", (int)sizeof(end->text) - 1, (const char *)end->text);
}

static bool whole(const struct stream *s)
{
	return s->got == s->packet.captured;
}

static void take_packet(struct stream *s, const void *body)
{
	const struct uw_ctl_packet *p = &s->packet;

	memcpy(&s->packet, body, sizeof(s->packet));
	s->got = 0;
	if (p->captured > s->c->snaplen - sizeof(struct uw_usbmon) || p->captured > p->bytes ||
	    p->descriptors * sizeof(struct uw_ctl_descriptor) > p->captured || p->transfer > UW_INTERRUPT)
		complain(s);
	else if (whole(s))
		write_packet(s);
}

static void take_data(struct stream *s, const void *body, uint32_t bytes)
{
	if (!bytes || bytes > s->packet.captured - s->got) {
		complain(s);
		return;
	}
	memcpy(s->body + s->got, body, bytes);
	s->got += bytes;
	if (whole(s))
		write_packet(s);
}

static void take_dropped(struct stream *s, const struct uw_ctl_dropped *dropped)
{
	if (!s->out)
		begin_file(s);
	else
		uw_pcapng_lost(&s->file, dropped->packets);
}

static void take_record(struct stream *s, const struct uw_ctl_header *h, const void *body)
{
	bool between = whole(s);

	if (h->type == UW_CTL_END && h->length == sizeof(struct uw_ctl_end) && between)
		take_end(s, body);
	else if (h->type == UW_CTL_DROPPED && h->length == sizeof(struct uw_ctl_dropped) && between)
		take_dropped(s, body);
	else if (h->type == UW_CTL_PACKET && h->length == sizeof(struct uw_ctl_packet) && between && s->out)
		take_packet(s, body);
	else if (h->type == UW_CTL_DATA && !between)
		take_data(s, body, h->length);
	else
		complain(s);
}

/* What of in is whole. */
static void take_records(struct stream *s)
{
	/* Aligned for any record, which in is not. */
	union {
		uint64_t alignment;
		uint8_t bytes[UW_CTL_BODY_MAX];
	} body;
	struct uw_ctl_header h;
	uint32_t at = 0;

	while (!s->over && s->have - at >= sizeof(h)) {
		memcpy(&h, s->in + at, sizeof(h));
		if (h.magic != UW_CTL_MAGIC || h.version != UW_CTL_VERSION || h.length > UW_CTL_BODY_MAX) {
			complain(s);
			break;
		}
		if (s->have - at < sizeof(h) + h.length)
			break;
		memcpy(body.bytes, s->in + at + sizeof(h), h.length);
		take_record(s, &h, body.bytes);
		at += (uint32_t)sizeof(h) + h.length;
	}
	s->have -= at;
	memmove(s->in, s->in + at, s->have);
}

/* ---- the whole ---- */

/* A second interruption, or a daemon that does not come to an end, is not waited for. */
static void leave(struct stream *s)
{
	if (s->leaving || !s->out || !uw_client_send(s->c->where, UW_CTL_LIST, NULL, 0, s->r)) {
		s->over = true;
		return;
	}
	s->leaving = true;
	s->end = uw_transport_clock() + PATIENCE * 1000000ull;
}

static uint32_t wait_for(const struct stream *s)
{
	uint64_t now = uw_transport_clock(), left = s->end > now ? (s->end - now) / 1000000 + 1 : 0;

	return left < LOOK ? (uint32_t)left : LOOK;
}

static void gone(struct stream *s)
{
	s->over = true;
	s->r->code = UW_EXIT_UNREACHABLE;
	snprintf(s->r->text, sizeof(s->r->text), "%s went away; see its log, and try again", uw_transport_peer);
}

/* Whatever may end it but the daemon. */
static void look(struct stream *s)
{
	bool late = uw_transport_clock() >= s->end;

	if (s->over)
		return;
	if (late && !s->out)
		gone(s);
	else if (s->out && !s->c->file && uw_transport_unread())
		s->over = true;
	else if (late || uw_transport_interrupted())
		leave(s);
}

static void follow(struct stream *s)
{
	int got;

	s->end = uw_transport_clock() + PATIENCE * 1000000ull;
	while (!s->over) {
		got = uw_transport_some(s->in + s->have, CHUNK - s->have, wait_for(s));
		if (got < 0) {
			gone(s);
			break;
		}
		s->have += (uint32_t)got;
		take_records(s);
		flush_file(s);
		look(s);
	}
	end_file(s);
}

void uw_capture_run(struct uw_capture *c, struct uw_reply *r)
{
	struct uw_ctl_capture ask = { .snaplen = c->snaplen - (uint32_t)sizeof(struct uw_usbmon) };
	struct stream *s = calloc(1, sizeof(*s));

	memcpy(ask.bus_id, c->bus_id, sizeof(ask.bus_id));
	memcpy(ask.vm, c->vm, sizeof(ask.vm));
	memset(r, 0, sizeof(*r));
	if (!s) {
		r->code = UW_EXIT_REFUSED;
		snprintf(r->text, sizeof(r->text), "not enough memory");
		return;
	}
	s->c = c;
	s->r = r;
	uw_transport_catch();
	if (uw_client_send(c->where, UW_CTL_CAPTURE, &ask, sizeof(ask), r))
		follow(s);
	free(s);
}
