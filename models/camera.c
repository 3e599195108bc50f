/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A webcam with a microphone: an uncompressed picture (USB Video 1.0) and one channel of sound (USB Audio 1.0), both by
 * isochronous transfers, one packet in a millisecond. Each frame tells its number by its colours and each sample
 * continues the one before, so whoever receives them can see whether anything is missing.
 */
#include "model.h"

#define WIDTH 160u
#define HEIGHT 120u
#define FRAME (WIDTH * HEIGHT * 2u) /* bytes, as YUY2 */
#define FRAME_TIME 50u             /* milliseconds, and packets: 20 frames in a second */
#define PACKET 1023u               /* bytes of the picture's packets, as full speed allows */
#define HEADER 2u                  /* bytes of a payload header: USB Video 1.0 2.4.3.3 */
#define RATE 48000u                /* samples in a second, of 16 bits */
#define SOUND (RATE / 1000u * 2u)  /* bytes in a packet */

enum { VIDEO_CONTROL, VIDEO, AUDIO_CONTROL, AUDIO };
enum { EP_VIDEO = 0x81, EP_AUDIO = 0x82 };
/* USB Video 1.0 table 2-5: bits of bmHeaderInfo */
enum { FRAME_ID = 0x01, END_OF_FRAME = 0x02, END_OF_HEADER = 0x80 };
/* USB Video 1.0 4.2.1.1, with bmRequestType, and table 4-46 */
enum { SET_CUR = 0x2101, GET_CUR = 0xa181, GET_MIN, GET_MAX, GET_RES, GET_LEN, GET_INFO, GET_DEF };
enum { PROBE = 1, COMMIT = 2 };

struct camera {
	struct uw_model m;
	bool films, records;       /* the interface has its endpoint */
	uint8_t frame;             /* number, modulo 256 */
	uint32_t sent;             /* bytes of the frame */
	uint32_t time;             /* packets since it began */
	uint16_t sample;           /* the next one */
};

static struct camera *camera_of(struct uw_model *m) { return UW_CONTAINER(m, struct camera, m); }

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

#define LE16(x) ((x) & 0xffu), ((x) >> 8 & 0xffu)
#define LE24(x) LE16(x), ((x) >> 16 & 0xffu)
#define LE32(x) LE24(x), ((x) >> 24 & 0xffu)
#define INTERVAL (FRAME_TIME * 10000u) /* the unit is 100 ns */

static const uint8_t video_association[] = { 8, 11, VIDEO_CONTROL, 2, 0x0e, 3, 0, UW_STRING_PRODUCT };

/* USB Video 1.0 3.7.2: header, camera terminal, output terminal. */
static const uint8_t video_control[] = {
	13, 0x24, 1, LE16(0x0100), LE16(39), LE32(1000000), 1, VIDEO,
	17, 0x24, 2, 1, LE16(0x0201), 0, 0, LE16(0), LE16(0), LE16(0), 2, LE16(0),
	9, 0x24, 3, 2, LE16(0x0101), 0, 1, 0,
};

/* USB Video 1.0 3.9.2 and its uncompressed payload 3.1: input header, format, frame, colours as of BT.601. */
static const uint8_t video_format[] = {
	14, 0x24, 1, 1, LE16(77), EP_VIDEO, 0, 2, 0, 0, 0, 1, 0,
	27, 0x24, 4, 1, 1,
	'Y', 'U', 'Y', '2', 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71, 16, 1, 0, 0, 0, 0,
	30, 0x24, 5, 1, 0, LE16(WIDTH), LE16(HEIGHT), LE32(FRAME * 8 * 1000 / FRAME_TIME),
	LE32(FRAME * 8 * 1000 / FRAME_TIME), LE32(FRAME), LE32(INTERVAL), 1, LE32(INTERVAL),
	6, 0x24, 13, 1, 1, 4,
};

static const uint8_t audio_association[] = { 8, 11, AUDIO_CONTROL, 2, 1, 2, 0, UW_STRING_FIRST };

/* USB Audio 1.0 4.3.2: header, microphone, output terminal. */
static const uint8_t audio_control[] = {
	9, 0x24, 1, LE16(0x0100), LE16(30), 1, AUDIO,
	12, 0x24, 2, 1, LE16(0x0201), 0, 1, LE16(0), 0, 0,
	9, 0x24, 3, 2, LE16(0x0101), 0, 1, 0,
};

/* USB Audio 1.0 4.5.2 and its formats 2.2.5: PCM of one channel, 16 bits, at one rate. */
static const uint8_t audio_format[] = {
	7, 0x24, 1, 2, 1, LE16(1),
	11, 0x24, 2, 1, 1, 2, 16, 1, LE24(RATE),
};

static const uint8_t audio_data[] = { 7, 0x25, 1, 0, 0, LE16(0) }; /* USB Audio 1.0 4.6.1.2 */

/* Isochronous: the picture asynchronous, the sound in step with the bus. */
static const struct uw_desc_ep video_ep[] = { { EP_VIDEO, UW_ISOCH | 1 << 2, 0, { 1, 4, 4 }, { PACKET, PACKET, PACKET } } };
static const struct uw_desc_ep audio_ep[] = { { EP_AUDIO, UW_ISOCH | 3 << 2, 0, { 1, 4, 4 }, { SOUND, SOUND, SOUND } } };

static const struct uw_desc_if interfaces[] = {
	{ .number = VIDEO_CONTROL, .class_code = 0x0e, .subclass = 1, .string = UW_STRING_PRODUCT,
	  .head = video_association, .head_bytes = sizeof(video_association),
	  .extra = video_control, .extra_bytes = sizeof(video_control) },
	{ .number = VIDEO, .class_code = 0x0e, .subclass = 2,
	  .extra = video_format, .extra_bytes = sizeof(video_format) },
	{ .number = VIDEO, .alternate = 1, .class_code = 0x0e, .subclass = 2, .eps = 1, .ep = video_ep },
	{ .number = AUDIO_CONTROL, .class_code = 1, .subclass = 1, .string = UW_STRING_FIRST,
	  .head = audio_association, .head_bytes = sizeof(audio_association),
	  .extra = audio_control, .extra_bytes = sizeof(audio_control) },
	{ .number = AUDIO, .class_code = 1, .subclass = 2 },
	{ .number = AUDIO, .alternate = 1, .class_code = 1, .subclass = 2, .eps = 1, .ep = audio_ep,
	  .extra = audio_format, .extra_bytes = sizeof(audio_format), .tail = audio_data, .tail_bytes = sizeof(audio_data) },
};

static const struct uw_desc_config config = {
	.value = 1, .attributes = UW_CONFIG_ONE, .milliamps_by_2 = 100, .interfaces = 4,
	.ifs = UW_COUNT_OF(interfaces), .itf = interfaces,
};

static const char *const strings[] = { "UsbWarp", "Model Camera", "camera0001", "Model Microphone" };

/* One more of the numbers that pid.codes keeps for tests. */
static const struct uw_desc_device device = {
	.vendor = 0x1209, .product = 0x0003, .release = 0x0100, .class_code = 0xef, .subclass = 2, .protocol = 1,
	.configs = 1, .config = &config, .strings = UW_COUNT_OF(strings), .string = strings,
};

/* ---- picture and sound ------------------------------------------------------------------------------------------ */

/* A byte of a frame. Luminance, every other byte, moves with the frame's number; the colours stand still. */
static uint8_t colour(uint8_t frame, uint32_t at)
{
	uint32_t x = at / 2 % WIDTH, y = at / 2 / WIDTH;

	if (at % 2 == 0)
		return (uint8_t)(x + y + frame);
	return (uint8_t)(at % 4 == 1 ? 64 + y : 192 - y);
}

static void next_packet(struct camera *c, uint32_t body)
{
	c->sent += body;
	if (++c->time < FRAME_TIME)
		return;
	c->time = c->sent = 0;
	c->frame++;
}

/* What is left of the frame's time after its last byte passes with bare headers. */
static enum uw_model_end film(struct camera *c, const struct uw_model_ep *ep, uint8_t *to, uint32_t room, uint32_t *moved)
{
	uint32_t body = uw_min(PACKET - HEADER, FRAME - c->sent);
	enum uw_model_end end = uw_model_fit(ep, HEADER + body, false, room, moved);
	uint8_t flags = END_OF_HEADER | (c->frame & FRAME_ID);
	uint32_t i;

	if (body && c->sent + body == FRAME)
		flags |= END_OF_FRAME;
	for (i = 0; i < *moved; i++)
		to[i] = i >= HEADER ? colour(c->frame, c->sent + i - HEADER) : i ? flags : (uint8_t)HEADER;
	next_packet(c, body);
	return end;
}

/* Each sample is one more than the one before. */
static enum uw_model_end record(struct camera *c, const struct uw_model_ep *ep, uint8_t *to, uint32_t room,
				uint32_t *moved)
{
	enum uw_model_end end = uw_model_fit(ep, SOUND, false, room, moved);
	uint32_t i;

	for (i = 0; i < *moved; i++)
		to[i] = (uint8_t)((c->sample + i / 2) >> (i % 2 * 8));
	c->sample += SOUND / 2;
	return end;
}

static enum uw_model_end camera_in(struct uw_model *m, struct uw_model_ep *ep, uint8_t *to, uint32_t room,
				   uint32_t *moved)
{
	struct camera *c = camera_of(m);

	return ep->address == EP_VIDEO ? film(c, ep, to, room, moved) : record(c, ep, to, room, moved);
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

/* USB Video 1.0 table 4-47. There is one picture, so the answer to every wish is the same. */
static int32_t negotiate(const struct uw_setup *s, uint8_t *data)
{
	static const uint8_t only[] = {
		LE16(0), 1, 1, LE32(INTERVAL), LE16(0), LE16(0), LE16(0), LE16(0), LE16(0), LE32(FRAME), LE32(PACKET),
	};
	static const uint8_t length[] = { LE16(sizeof(only)) }, info[] = { 3 /* get and set */ };
	const uint8_t *answer = only;
	uint32_t bytes = sizeof(only);

	switch (s->type << 8 | s->request) {
	case SET_CUR:
		return s->length == sizeof(only) ? s->length : UW_MODEL_STALL;
	case GET_LEN:
		answer = length;
		bytes = sizeof(length);
		break;
	case GET_INFO:
		answer = info;
		bytes = sizeof(info);
		break;
	case GET_CUR:
	case GET_MIN:
	case GET_MAX:
	case GET_RES:
	case GET_DEF:
		break;
	default:
		return UW_MODEL_STALL;
	}
	bytes = uw_min(bytes, s->length);
	uw_copy(data, answer, bytes);
	return (int32_t)bytes;
}

static int32_t camera_control(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	if (!m->config || s->index != VIDEO || (s->value != PROBE << 8 && s->value != COMMIT << 8))
		return UW_MODEL_STALL;
	return negotiate(s, data);
}

/* What is switched on begins anew. */
static void camera_configured(struct uw_model *m)
{
	struct camera *c = camera_of(m);
	bool films = m->config && m->alternate[VIDEO], records = m->config && m->alternate[AUDIO];

	if (films && !c->films)
		c->sent = c->time = 0;
	if (records && !c->records)
		c->sample = 0;
	c->films = films;
	c->records = records;
}

static void camera_reset(struct uw_model *m)
{
	struct camera *c = camera_of(m);

	c->films = c->records = false;
	c->frame = 0;
	c->sent = c->time = 0;
	c->sample = 0;
}

static const struct uw_model_class class = {
	.desc = &device,
	.reset = camera_reset,
	.configured = camera_configured,
	.control = camera_control,
	.in = camera_in,
};

/* A camera has a clock of its own, whatever the option says. */
static struct uw_model *camera_init(void *memory, const struct uw_model_options *options)
{
	struct camera *c = memory;

	if (!uw_model_init(&c->m, &class, "camera", UW_SPEED_HIGH, options))
		return NULL;
	c->m.paced = true;
	camera_reset(&c->m);
	return &c->m;
}

const struct uw_model_kind uw_model_camera = {
	.name = "camera",
	.about = "a webcam with microphone: a moving picture and a rising tone, numbered",
	.size = sizeof(struct camera),
	.speed = UW_SPEED_HIGH,
	.init = camera_init,
};
