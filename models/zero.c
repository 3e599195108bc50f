/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device that Linux's usbtest drives: it sources and sinks data over every transfer type, loops data back in its
 * second configuration, and keeps a buffer for control transfers.
 *
 * A real device does not know how much the host asks for, so that a request which is not a multiple of the packet size
 * babbles. By default this one lets its last packet fit, so that any length can be tested; option babble is the truth.
 */
#include "model.h"

#define PERIODIC 1024u             /* bytes of an isochronous or interrupt packet above full speed */
#ifndef UW_ZERO_INTERVAL
#define UW_ZERO_INTERVAL 4u        /* bInterval of isochronous endpoints above full speed: 4 is one packet in a frame */
#endif
#define SLOT 4096u                 /* loopback: bytes of a message, a multiple of every packet size */
#define SLOTS 4u

enum { PATTERN_ZERO, PATTERN_MOD63, PATTERN_NONE };
enum { CONFIG_SOURCE_SINK = 3, CONFIG_LOOPBACK = 2 };
enum { EP_OUT = 0x01, EP_IN = 0x81, ISO_OUT = 0x02, ISO_IN = 0x82, INT_OUT = 0x03, INT_IN = 0x83 };
enum { CONTROL_WRITE = 0x405b, CONTROL_READ = 0xc05c };

/* Loopback: what came in up to a short packet, or SLOT bytes, goes out the same way. */
struct message {
	uint32_t used, sent;
	bool ended;                /* by a short or empty packet, not for want of room */
	uint8_t data[SLOT];
};

struct zero {
	struct uw_model m;
	uint8_t pattern;
	bool babble;
	uint32_t autoresume;       /* milliseconds */
	uint64_t errors;           /* bytes that were not what the pattern says */
	uint32_t head, tail;       /* of the messages: positions */
	struct message message[SLOTS];
	uint8_t buffer[65536];     /* of the control requests */
};

static struct zero *zero_of(struct uw_model *m) { return UW_CONTAINER(m, struct zero, m); }

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

/* Every periodic endpoint comes once in a frame, whatever the speed. */
static const struct uw_desc_ep endpoints[] = {
	{ EP_IN, UW_BULK, 3, { 0, 0, 0 }, { 64, 512, 1024 } },
	{ EP_OUT, UW_BULK, 3, { 0, 0, 0 }, { 64, 512, 1024 } },
	{ ISO_IN, UW_ISOCH, 0, { 1, UW_ZERO_INTERVAL, UW_ZERO_INTERVAL }, { 256, PERIODIC, PERIODIC } },
	{ ISO_OUT, UW_ISOCH, 0, { 1, UW_ZERO_INTERVAL, UW_ZERO_INTERVAL }, { 256, PERIODIC, PERIODIC } },
	{ INT_IN, UW_INTERRUPT, 0, { 1, 4, 4 }, { 64, PERIODIC, PERIODIC } },
	{ INT_OUT, UW_INTERRUPT, 0, { 1, 4, 4 }, { 64, PERIODIC, PERIODIC } },
};

static const struct uw_desc_if source_sink[] = {
	{ .alternate = 0, .class_code = 0xff, .string = UW_STRING_FIRST, .eps = 2, .ep = endpoints },
	{ .alternate = 1, .class_code = 0xff, .string = UW_STRING_FIRST, .eps = UW_COUNT_OF(endpoints), .ep = endpoints },
};

static const struct uw_desc_if loopback[] = {
	{ .class_code = 0xff, .string = UW_STRING_FIRST + 1, .eps = 2, .ep = endpoints },
};

static const struct uw_desc_config configs[] = {
	{ .value = CONFIG_SOURCE_SINK, .attributes = UW_CONFIG_ONE | UW_CONFIG_SELF | UW_CONFIG_WAKEUP,
	  .milliamps_by_2 = 1, .string = UW_STRING_FIRST, .interfaces = 1, .ifs = 2, .itf = source_sink },
	{ .value = CONFIG_LOOPBACK, .attributes = UW_CONFIG_ONE | UW_CONFIG_SELF | UW_CONFIG_WAKEUP,
	  .milliamps_by_2 = 1, .string = UW_STRING_FIRST + 1, .interfaces = 1, .ifs = 1, .itf = loopback },
};

static const char *const strings[] = {
	"UsbWarp", "Model Zero", "0123456789.0123456789.0123456789", "source and sink data", "loop input to output",
};

static const struct uw_desc_device device = {
	.vendor = 0x0525, .product = 0xa4a0, .release = 0x0100, .class_code = 0xff, .configs = 2, .dual_speed = true,
	.config = configs, .strings = UW_COUNT_OF(strings), .string = strings,
};

/* ---- source and sink -------------------------------------------------------------------------------------------- */

/* Every packet begins the pattern anew, so that short packets do not shift it. */
static void fill(const struct zero *z, uint8_t *to, uint32_t bytes, uint32_t packet)
{
	if (z->pattern == PATTERN_ZERO) {
		uw_zero(to, bytes);
		return;
	}
	for (uint32_t i = 0; z->pattern == PATTERN_MOD63 && i < bytes; i++)
		to[i] = (uint8_t)(i % packet % 63);
}

static uint32_t count_bad(const struct zero *z, const uint8_t *from, uint32_t bytes, uint32_t packet)
{
	uint32_t bad = 0;

	if (z->pattern == PATTERN_ZERO)
		for (uint32_t i = 0; i < bytes; i++)
			bad += from[i] != 0;
	else if (z->pattern == PATTERN_MOD63)
		for (uint32_t i = 0; i < bytes; i++)
			bad += from[i] != (uint8_t)(i % packet % 63);
	return bad;
}

/* There is always more. */
static enum uw_model_end source(struct zero *z, struct uw_model_ep *ep, uint8_t *to, uint32_t room, uint32_t *moved)
{
	uint32_t ready = ep->type == UW_ISOCH ? ep->service : UINT32_MAX;
	enum uw_model_end end = uw_model_fit(ep, ready, false, room, moved);

	if (*moved)
		fill(z, to, *moved, ep->packet);
	return z->babble ? end : UW_END_MORE;
}

/* USB 2.0 5.6.4: an isochronous endpoint cannot halt. */
static enum uw_model_end sink(struct zero *z, struct uw_model_ep *ep, const uint8_t *from, uint32_t bytes,
			      uint32_t *moved)
{
	uint32_t bad = count_bad(z, from, bytes, ep->packet);

	*moved = bytes;
	z->errors += bad;
	return bad && ep->type != UW_ISOCH ? UW_END_STALL : UW_END_MORE;
}

/* ---- loopback --------------------------------------------------------------------------------------------------- */

/* Puts what fits into the message under construction. */
static uint32_t gather(struct zero *z, const uint8_t *from, uint32_t bytes, bool ends)
{
	struct message *g = &z->message[z->head % SLOTS];
	uint32_t n = uw_min(bytes, SLOT - g->used);

	if (n)
		uw_copy(g->data + g->used, from, n);
	g->used += n;
	g->ended = ends && n == bytes;
	if (g->ended || g->used == SLOT)
		z->head++;
	return n;
}

static enum uw_model_end loop_out(struct zero *z, const uint8_t *from, uint32_t bytes, bool ends, uint32_t *moved)
{
	enum uw_model_end end = UW_END_MORE;

	do {
		if (z->head - z->tail == SLOTS) {
			end = UW_END_NAK;
			break;
		}
		*moved += gather(z, bytes ? from + *moved : NULL, bytes - *moved, ends);
	} while (*moved < bytes);
	uw_model_kick(&z->m, EP_IN);
	return end;
}

static void drop_message(struct zero *z)
{
	struct message *g = &z->message[z->tail++ % SLOTS];

	g->used = g->sent = 0;
	g->ended = false;
	uw_model_kick(&z->m, EP_OUT);
}

/* A message cut for want of room goes on with the next one; one that ended ends the transfer too. */
static enum uw_model_end loop_in(struct zero *z, struct uw_model_ep *ep, uint8_t *to, uint32_t room, uint32_t *moved)
{
	struct message *g = &z->message[z->tail % SLOTS];
	enum uw_model_end end;

	if (z->head == z->tail)
		return UW_END_NAK;
	end = uw_model_fit(ep, g->used - g->sent, g->ended, room, moved);
	if (*moved)
		uw_copy(to, g->data + g->sent, *moved);
	g->sent += *moved;
	if (end == UW_END_SHORT || end == UW_END_BABBLE || (g->sent == g->used && !g->ended))
		drop_message(z);
	return end == UW_END_NAK ? UW_END_MORE : end;
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

static bool looping(const struct uw_model *m) { return m->config && m->config->value == CONFIG_LOOPBACK; }

static enum uw_model_end zero_in(struct uw_model *m, struct uw_model_ep *ep, uint8_t *to, uint32_t room,
				 uint32_t *moved)
{
	struct zero *z = zero_of(m);

	return looping(m) ? loop_in(z, ep, to, room, moved) : source(z, ep, to, room, moved);
}

static enum uw_model_end zero_out(struct uw_model *m, struct uw_model_ep *ep, const uint8_t *from, uint32_t bytes,
				  bool ends, uint32_t *moved)
{
	struct zero *z = zero_of(m);

	return looping(m) ? loop_out(z, from, bytes, ends, moved) : sink(z, ep, from, bytes, moved);
}

/* The requests of Intel's USB 2.0 compliance device: fill the buffer, give it back. */
static int32_t zero_control(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	struct zero *z = zero_of(m);

	if (!m->config || s->value || s->index)
		return UW_MODEL_STALL;
	switch (s->type << 8 | s->request) {
	case CONTROL_WRITE:
		if (s->length)
			uw_copy(z->buffer, data, s->length);
		return s->length;
	case CONTROL_READ:
		if (s->length)
			uw_copy(data, z->buffer, s->length);
		return s->length;
	default:
		return UW_MODEL_STALL;
	}
}

static void zero_configured(struct uw_model *m)
{
	struct zero *z = zero_of(m);

	z->head = z->tail = 0;
	for (uint32_t i = 0; i < SLOTS; i++) {
		z->message[i].used = z->message[i].sent = 0;
		z->message[i].ended = false;
	}
}

static void zero_reset(struct uw_model *m)
{
	uw_zero(zero_of(m)->buffer, sizeof(zero_of(m)->buffer));
}

static void zero_suspended(struct uw_model *m)
{
	struct zero *z = zero_of(m);

	if (z->autoresume && m->wakeup)
		uw_model_alarm(m, m->dev.host->now(&m->dev) + z->autoresume * UW_MS);
}

static void zero_alarm(struct uw_model *m)
{
	uw_model_wake(m);
}

uint64_t uw_zero_errors(const struct uw_model *m)
{
	return UW_CONTAINER(m, const struct zero, m)->errors;
}

static const struct uw_model_class class = {
	.desc = &device,
	.reset = zero_reset,
	.configured = zero_configured,
	.suspended = zero_suspended,
	.alarm = zero_alarm,
	.control = zero_control,
	.in = zero_in,
	.out = zero_out,
};

static struct uw_model *zero_init(void *memory, const struct uw_model_options *options)
{
	struct zero *z = memory;

	if (options->pattern > PATTERN_NONE || !uw_model_init(&z->m, &class, "zero", UW_SPEED_HIGH, options))
		return NULL;
	z->pattern = options->pattern;
	z->babble = options->babble;
	z->autoresume = options->autoresume;
	z->errors = 0;
	zero_reset(&z->m);
	zero_configured(&z->m);
	return &z->m;
}

const struct uw_model_kind uw_model_zero = {
	.name = "zero",
	.about = "source, sink and loopback of test data, for Linux's usbtest",
	.size = sizeof(struct zero),
	.options = UW_MODEL_PATTERN | UW_MODEL_BABBLE | UW_MODEL_STREAMS | UW_MODEL_AUTORESUME,
	.speed = UW_SPEED_HIGH,
	.init = zero_init,
};
