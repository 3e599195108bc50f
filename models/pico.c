/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A serial port with somebody at the other end: a CDC ACM device that looks and talks like the prompt of a
 * microcontroller running MicroPython, and does sums.
 *
 * Output waits in a ring. While it has no room for the longest answer, bytes to the device wait too, as they do on the
 * real one, which answers NAK; so nothing is lost and memory is bounded. Without a terminal (DTR off) output is
 * dropped.
 */
#include "model.h"
#include "sum.h"

#define RING 4096u                 /* bytes of output, a power of two */
#define LINE 240u                  /* bytes of an input line; what is typed beyond gives a bell */
#define ROOM (UW_SUM_TEXT + 160u)  /* no input byte causes more output: answer or banner, and prompt */

/* CDC PSTN 1.2 table 13 and 6.5.4 */
enum { SEND_BREAK = 0x2123, SET_LINE_CODING = 0x2120, GET_LINE_CODING = 0xa121, SET_CONTROL_LINE_STATE = 0x2122 };
#define DTR 1u
#define CARRIER_AND_READY 3u       /* bRxCarrier and bTxCarrier, which terminals call DCD and DSR */

enum { EP_OUT = 0x02, EP_NOTIFY = 0x81, EP_IN = 0x82 };
enum escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_CODE };

struct pico {
	struct uw_model m;
	uint8_t coding[7];
	bool dtr;
	bool full_packet;          /* the last packet sent was full: an empty one must follow */
	uint8_t notice[10];        /* SERIAL_STATE: PSTN 6.5.4 */
	uint32_t notice_at;        /* bytes of it sent; all of them when there is none */
	uint32_t head, tail;       /* of the ring: positions, counted modulo 2^32 */
	uint8_t ring[RING];
	enum escape escape;
	uint32_t used;             /* bytes in line */
	char line[LINE];
};

static struct pico *pico_of(struct uw_model *m) { return UW_CONTAINER(m, struct pico, m); }

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

/* Eight bytes for a notification of ten, as on the real one: the host must put it together. */
static const struct uw_desc_ep control_ep[] = {
	{ EP_NOTIFY, UW_INTERRUPT, 0, { 16, 8, 8 }, { 8, 8, 8 } },
};

static const struct uw_desc_ep data_ep[] = {
	{ EP_OUT, UW_BULK, 0, { 0, 0, 0 }, { 64, 512, 1024 } },
	{ EP_IN, UW_BULK, 0, { 0, 0, 0 }, { 64, 512, 1024 } },
};

/* CDC 1.2 5.2.3 and PSTN 1.2 5.3. Call management is not handled, line coding and break are. */
static const uint8_t functional[] = {
	5, 0x24, 0x00, 0x20, 0x01,
	5, 0x24, 0x01, 0x00, 1,
	4, 0x24, 0x02, 0x06,
	5, 0x24, 0x06, 0, 1,
};

static const uint8_t association[] = { 8, 11, 0, 2, 2, 2, 0, 0 };

static const struct uw_desc_if interfaces[] = {
	{ .number = 0, .class_code = 2, .subclass = 2, .string = UW_STRING_FIRST, .eps = 1, .ep = control_ep,
	  .head = association, .head_bytes = sizeof(association),
	  .extra = functional, .extra_bytes = sizeof(functional) },
	{ .number = 1, .class_code = 10, .eps = 2, .ep = data_ep },
};

static const struct uw_desc_config config = {
	.value = 1, .attributes = UW_CONFIG_ONE, .milliamps_by_2 = 125, .interfaces = 2,
	.ifs = UW_COUNT_OF(interfaces), .itf = interfaces,
};

static const char *const strings[] = { "MicroPython", "Board in FS mode", "e6614c775b1d0a2f", "Board CDC" };

/* The class triple says that the configuration has interface associations. */
static const struct uw_desc_device device = {
	.vendor = 0x2e8a, .product = 0x0005, .release = 0x0100,
	.class_code = 0xef, .subclass = 2, .protocol = 1,
	.configs = 1, .config = &config, .strings = UW_COUNT_OF(strings), .string = strings,
};

/* ---- output ----------------------------------------------------------------------------------------------------- */

static uint32_t waiting(const struct pico *p) { return p->head - p->tail; }

static void put(struct pico *p, const char *text, uint32_t bytes)
{
	for (uint32_t i = 0; p->dtr && i < bytes && waiting(p) < RING; i++)
		p->ring[p->head++ % RING] = (uint8_t)text[i];
	uw_model_kick(&p->m, EP_IN);
}

#define PUT(p, text) put(p, text, sizeof(text) - 1)

static void prompt(struct pico *p)
{
	PUT(p, ">>> ");
	p->used = 0;
}

static void banner(struct pico *p)
{
	PUT(p, "MicroPython v1.24.0 (UsbWarp model); Raspberry Pi Pico with RP2040\r\n"
	       "Sums only: + - * / // % ( )\r\n");
	prompt(p);
}

/* ---- input ------------------------------------------------------------------------------------------------------ */

static void end_line(struct pico *p)
{
	char text[UW_SUM_TEXT];

	PUT(p, "\r\n");
	put(p, text, uw_sum(p->line, p->used, text));
	prompt(p);
}

static void control_d(struct pico *p)
{
	if (p->used)
		return;
	PUT(p, "\r\nMPY: soft reboot\r\n");
	banner(p);
}

static void rub_out(struct pico *p)
{
	if (!p->used)
		return;
	p->used--;
	PUT(p, "\b \b");
}

static void insert(struct pico *p, char c)
{
	if (p->used == LINE) {
		PUT(p, "\a");
		return;
	}
	p->line[p->used++] = c;
	put(p, &c, 1);
}

/* Arrow keys and the like send ESC [ and a code that ends in a letter or tilde; they do nothing here. */
static bool in_escape(struct pico *p, char c)
{
	if (p->escape == ESCAPE_BEGUN)
		p->escape = c == '[' ? ESCAPE_CODE : ESCAPE_NONE;
	else if (p->escape == ESCAPE_CODE)
		p->escape = c >= '@' ? ESCAPE_NONE : ESCAPE_CODE;
	else if (c == 0x1b)
		p->escape = ESCAPE_BEGUN;
	else
		return false;
	return true;
}

/* CR ends a line; LF does nothing, so that CR LF ends one line and not two. */
static void type(struct pico *p, char c)
{
	if (in_escape(p, c))
		return;
	switch (c) {
	case '\r':
		end_line(p);
		break;
	case 2: /* ^B */
		PUT(p, "\r\n");
		banner(p);
		break;
	case 3: /* ^C */
		PUT(p, "\r\n");
		prompt(p);
		break;
	case 4: /* ^D */
		control_d(p);
		break;
	case '\b':
	case 0x7f:
		rub_out(p);
		break;
	default:
		if ((uint8_t)c >= ' ' || c == '\t')
			insert(p, c);
	}
}

static enum uw_model_end pico_out(struct uw_model *m, struct uw_model_ep *ep, const uint8_t *from, uint32_t bytes,
				  bool ends, uint32_t *moved)
{
	struct pico *p = pico_of(m);

	(void)ep;
	(void)ends;
	while (*moved < bytes) {
		if (RING - waiting(p) < ROOM)
			return UW_END_NAK;
		type(p, (char)from[(*moved)++]);
	}
	return UW_END_MORE;
}

/* ---- towards the host ------------------------------------------------------------------------------------------- */

static enum uw_model_end notify(struct pico *p, struct uw_model_ep *ep, uint8_t *to, uint32_t room, uint32_t *moved)
{
	uint32_t left = sizeof(p->notice) - p->notice_at;
	enum uw_model_end end = uw_model_fit(ep, left, false, room, moved);

	if (*moved)
		uw_copy(to, p->notice + p->notice_at, *moved);
	p->notice_at += end == UW_END_BABBLE ? left : *moved;
	return end;
}

static void copy_out(struct pico *p, uint8_t *to, uint32_t bytes)
{
	uint32_t at = p->tail % RING;
	uint32_t first = uw_min(bytes, RING - at);

	uw_copy(to, p->ring + at, first);
	uw_copy(to + first, p->ring, bytes - first);
	p->tail += bytes;
}

static enum uw_model_end pico_in(struct uw_model *m, struct uw_model_ep *ep, uint8_t *to, uint32_t room,
				 uint32_t *moved)
{
	struct pico *p = pico_of(m);
	enum uw_model_end end;

	if (ep->address == EP_NOTIFY)
		return notify(p, ep, to, room, moved);
	end = uw_model_fit(ep, waiting(p), p->full_packet || waiting(p), room, moved);
	if (*moved)
		copy_out(p, to, *moved);
	if (end != UW_END_NAK)
		p->full_packet = end == UW_END_MORE && !waiting(p);
	uw_model_kick(m, EP_OUT);
	return end;
}

/* ---- control ---------------------------------------------------------------------------------------------------- */

static void report_state(struct pico *p)
{
	static const uint8_t head[] = { 0xa1, 0x20, 0, 0, 0, 0, 2, 0 };

	uw_copy(p->notice, head, sizeof(head));
	p->notice[8] = p->dtr ? CARRIER_AND_READY : 0;
	p->notice[9] = 0;
	p->notice_at = 0;
	uw_model_kick(&p->m, EP_NOTIFY);
}

/* A terminal that comes finds a fresh prompt, and nothing of what the last one left unread. */
static int32_t set_lines(struct pico *p, uint16_t value)
{
	bool dtr = value & DTR;

	if (dtr == p->dtr)
		return 0;
	p->dtr = dtr;
	p->tail = p->head;
	p->used = 0;
	p->full_packet = false;
	p->escape = ESCAPE_NONE;
	report_state(p);
	if (dtr)
		banner(p);
	uw_model_kick(&p->m, EP_OUT);
	return 0;
}

/* PSTN 1.2 table 17: stop bits, parity, data bits. */
static int32_t set_coding(struct pico *p, const struct uw_setup *s, const uint8_t *data)
{
	uint8_t c[sizeof(p->coding)];

	if (s->length != sizeof(c))
		return UW_MODEL_STALL;
	uw_copy(c, data, sizeof(c));
	if (c[4] > 2 || c[5] > 4 || c[6] < 5 || (c[6] > 8 && c[6] != 16))
		return UW_MODEL_STALL;
	uw_copy(p->coding, c, sizeof(c));
	return sizeof(c);
}

static int32_t get_coding(const struct pico *p, const struct uw_setup *s, uint8_t *data)
{
	uint32_t n = uw_min(s->length, sizeof(p->coding));

	if (n)
		uw_copy(data, p->coding, n);
	return (int32_t)n;
}

static int32_t pico_control(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	struct pico *p = pico_of(m);

	if (!m->config || s->index)
		return UW_MODEL_STALL;
	switch (s->type << 8 | s->request) {
	case SET_LINE_CODING:
		return set_coding(p, s, data);
	case GET_LINE_CODING:
		return get_coding(p, s, data);
	case SET_CONTROL_LINE_STATE:
		return set_lines(p, s->value);
	case SEND_BREAK:
		return 0;
	default:
		return UW_MODEL_STALL;
	}
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

static void forget(struct uw_model *m)
{
	static const uint8_t coding[] = { 0x00, 0xc2, 0x01, 0x00, 0, 0, 8 }; /* 115200 8N1 */
	struct pico *p = pico_of(m);

	uw_copy(p->coding, coding, sizeof(coding));
	p->dtr = p->full_packet = false;
	p->head = p->tail = p->used = 0;
	p->escape = ESCAPE_NONE;
	p->notice_at = sizeof(p->notice);
}

static const struct uw_model_class class = {
	.desc = &device,
	.reset = forget,
	.configured = forget,
	.control = pico_control,
	.in = pico_in,
	.out = pico_out,
};

static struct uw_model *pico_init(void *memory, const struct uw_model_options *options)
{
	struct pico *p = memory;

	if (!uw_model_init(&p->m, &class, "pico", UW_SPEED_FULL, options))
		return NULL;
	forget(&p->m);
	return &p->m;
}

const struct uw_model_kind uw_model_pico = {
	.name = "pico",
	.about = "serial port (CDC ACM) with a Python prompt that does sums",
	.size = sizeof(struct pico),
	.speed = UW_SPEED_FULL,
	.init = pico_init,
};
