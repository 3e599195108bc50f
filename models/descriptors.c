/* SPDX-License-Identifier: GPL-2.0-only */
/* The standard descriptors of a model, put together from its tables for the speed it runs at. */
#include "model.h"

enum {
	DT_DEVICE = 1, DT_CONFIG, DT_STRING, DT_INTERFACE, DT_ENDPOINT, DT_QUALIFIER, DT_OTHER_SPEED,
	DT_BOS = 15, DT_CAPABILITY = 16, DT_COMPANION = 48,
};

#define LANGUAGE 0x0409 /* English, United States: the only one */

/* A descriptor as it grows. What does not fit is left out; the tests see to it that nothing is. */
struct out {
	uint8_t *to;
	uint32_t used;
};

static void put8(struct out *o, uint32_t v)
{
	if (o->used < UW_MODEL_SCRATCH)
		o->to[o->used++] = (uint8_t)v;
}

static void put16(struct out *o, uint32_t v)
{
	put8(o, v & 0xff);
	put8(o, v >> 8);
}

static void put_bytes(struct out *o, const uint8_t *from, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		put8(o, from[i]);
}

/* Sets the length field that both configurations and BOS have in their third and fourth byte. */
static void put_total(struct out *o)
{
	o->to[2] = (uint8_t)o->used;
	o->to[3] = (uint8_t)(o->used >> 8);
}

/* bcdUSB. Below super speed a model is a plain USB 2.0 device, without BOS. */
static uint32_t release_of(uint8_t speed) { return speed == UW_SPEED_SUPER ? 0x0320 : 0x0200; }

/* bMaxPacketSize0, an exponent at super speed: USB 3.2 table 9-11. */
static uint32_t packet0_of(uint8_t speed) { return speed == UW_SPEED_SUPER ? 9 : 64; }

/* USB 2.0 table 9-8 */
static void put_device(struct uw_model *m, struct out *o)
{
	const struct uw_desc_device *d = m->class->desc;

	put8(o, 18);
	put8(o, DT_DEVICE);
	put16(o, release_of(m->dev.speed));
	put8(o, d->class_code);
	put8(o, d->subclass);
	put8(o, d->protocol);
	put8(o, packet0_of(m->dev.speed));
	put16(o, d->vendor);
	put16(o, d->product);
	put16(o, d->release);
	put8(o, UW_STRING_VENDOR);
	put8(o, UW_STRING_PRODUCT);
	put8(o, UW_STRING_SERIAL);
	put8(o, d->configs);
}

/* USB 2.0 table 9-9 */
static void put_qualifier(struct uw_model *m, struct out *o)
{
	const struct uw_desc_device *d = m->class->desc;

	put8(o, 10);
	put8(o, DT_QUALIFIER);
	put16(o, 0x0200);
	put8(o, d->class_code);
	put8(o, d->subclass);
	put8(o, d->protocol);
	put8(o, 64);
	put8(o, d->configs);
	put8(o, 0);
}

/* USB 3.2 table 9-27. A bulk endpoint's attributes say how many streams it can have, as an exponent. */
static void put_companion(struct uw_model *m, struct out *o, const struct uw_desc_ep *ep)
{
	uint8_t type = ep->type & UW_DESC_TRANSFER;
	bool periodic = type == UW_ISOCH || type == UW_INTERRUPT;
	uint32_t packet = ep->packet[uw_model_speed(UW_SPEED_SUPER)];

	put8(o, 6);
	put8(o, DT_COMPANION);
	put8(o, ep->burst);
	put8(o, type == UW_BULK && m->streams ? (uint32_t)__builtin_ctz(m->streams) : 0);
	put16(o, periodic ? packet * (1u + ep->burst) : 0);
}

/* USB 2.0 table 9-13. Those of an audio interface have two more bytes: USB Audio 1.0 4.6.1.1. */
static void put_endpoint(struct uw_model *m, struct out *o, const struct uw_desc_ep *ep, uint8_t speed, bool audio)
{
	uint32_t at = uw_model_speed(speed);

	put8(o, audio ? 9 : 7);
	put8(o, DT_ENDPOINT);
	put8(o, ep->address);
	put8(o, ep->type);
	put16(o, ep->packet[at]);
	put8(o, ep->interval[at]);
	if (audio)
		put16(o, 0);
	if (speed == UW_SPEED_SUPER)
		put_companion(m, o, ep);
}

/* USB 2.0 table 9-12 */
static void put_interface(struct uw_model *m, struct out *o, const struct uw_desc_if *itf, uint8_t speed)
{
	put_bytes(o, itf->head, itf->head_bytes);
	put8(o, 9);
	put8(o, DT_INTERFACE);
	put8(o, itf->number);
	put8(o, itf->alternate);
	put8(o, itf->eps);
	put8(o, itf->class_code);
	put8(o, itf->subclass);
	put8(o, itf->protocol);
	put8(o, itf->string);
	put_bytes(o, itf->extra, itf->extra_bytes);
	for (uint32_t i = 0; i < itf->eps; i++)
		put_endpoint(m, o, &itf->ep[i], speed, itf->class_code == 1);
	put_bytes(o, itf->tail, itf->tail_bytes);
}

/* USB 2.0 tables 9-10 and 9-11 */
static void put_config(struct uw_model *m, struct out *o, uint8_t type, uint8_t index, uint8_t speed)
{
	const struct uw_desc_config *c = &m->class->desc->config[index];

	put8(o, 9);
	put8(o, type);
	put16(o, 0);
	put8(o, c->interfaces);
	put8(o, c->value);
	put8(o, c->string);
	put8(o, c->attributes);
	put8(o, speed == UW_SPEED_SUPER ? (c->milliamps_by_2 + 3u) / 4u : c->milliamps_by_2);
	for (uint32_t i = 0; i < c->ifs; i++)
		put_interface(m, o, &c->itf[i], speed);
	put_total(o);
}

/* USB 3.2 9.6.2: the USB 2.0 extension and the SuperSpeed capability. */
static void put_bos(struct out *o)
{
	static const uint8_t caps[] = {
		7, DT_CAPABILITY, 2, 0x02, 0, 0, 0,    /* link power management: table 9-14 */
		10, DT_CAPABILITY, 3, 0, 0x0e, 0, 1,   /* full, high and super speed, useful from full speed on */
		10, 0xff, 0x07,                        /* exit latencies in microseconds, from U1 and from U2 */
	};

	put8(o, 5);
	put8(o, DT_BOS);
	put16(o, 0);
	put8(o, 2);
	put_bytes(o, caps, sizeof(caps));
	put_total(o);
}

static const char *string_of(const struct uw_model *m, uint8_t index)
{
	const struct uw_desc_device *d = m->class->desc;

	if (index == UW_STRING_SERIAL)
		return m->serial;
	return index <= d->strings ? d->string[index - 1] : NULL;
}

/* USB 2.0 9.6.7: UTF-16, and index 0 names the languages. What is not printable ASCII becomes a question mark. */
static void put_string(struct uw_model *m, struct out *o, uint8_t index, uint16_t language)
{
	const char *s = index ? string_of(m, index) : NULL;

	if (index && (!s || language != LANGUAGE))
		return;
	put8(o, 0);
	put8(o, DT_STRING);
	if (!index)
		put16(o, LANGUAGE);
	for (; s && *s && o->used < 254; s++)
		put16(o, *s >= ' ' && *s <= '~' ? (uint8_t)*s : '?');
	o->to[0] = (uint8_t)o->used;
}

/* A device that can work at the other of full and high speed says how: USB 2.0 9.6.2, 9.6.4. */
static uint8_t other_speed(const struct uw_model *m)
{
	if (m->dev.speed == UW_SPEED_HIGH)
		return UW_SPEED_FULL;
	return m->dev.speed == UW_SPEED_FULL && m->class->desc->dual_speed ? UW_SPEED_HIGH : UW_SPEED_NONE;
}

/* Builds a descriptor in scratch. 0: there is none, so the request is refused. */
uint32_t uw_model_descriptor(struct uw_model *m, uint8_t type, uint8_t index, uint16_t language)
{
	struct out o = { .to = m->scratch };
	uint8_t other = other_speed(m);

	if (type == DT_STRING) {
		put_string(m, &o, index, language);
	} else if (type == DT_CONFIG && index < m->class->desc->configs) {
		put_config(m, &o, DT_CONFIG, index, m->dev.speed);
	} else if (type == DT_OTHER_SPEED && other && index < m->class->desc->configs) {
		put_config(m, &o, DT_OTHER_SPEED, index, other);
	} else if (index) {
		return 0;
	} else if (type == DT_DEVICE) {
		put_device(m, &o);
	} else if (type == DT_QUALIFIER && other) {
		put_qualifier(m, &o);
	} else if (type == DT_BOS && release_of(m->dev.speed) >= 0x0210) {
		put_bos(&o);
	}
	return o.used;
}

const struct uw_desc_config *uw_model_find_config(const struct uw_model *m, uint16_t value)
{
	const struct uw_desc_device *d = m->class->desc;

	for (uint32_t i = 0; i < d->configs; i++)
		if (d->config[i].value == value)
			return &d->config[i];
	return NULL;
}

/* In the present configuration only. */
const struct uw_desc_if *uw_model_find_interface(const struct uw_model *m, uint16_t number, uint16_t alternate)
{
	const struct uw_desc_config *c = m->config;

	for (uint32_t i = 0; c && i < c->ifs; i++)
		if (c->itf[i].number == number && c->itf[i].alternate == alternate)
			return &c->itf[i];
	return NULL;
}
