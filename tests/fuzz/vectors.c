/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables: every field of every message with its boundary values, and what each of them must lead to. */
#include <stdio.h>

#include "vectors.h"
#include "rows.h"

struct maker {
	const struct uw_layout *l;
	void (*each)(void *context, const struct vec *v);
	void *context;
	uint32_t count;
	struct vec v;
};

/* ---- well-formed messages ---- */

static void begin_slot(struct uw_slot *s, uint8_t type, uint32_t id)
{
	memset(s, 0, sizeof(*s));
	s->type = type;
	s->id = id;
}

void vec_hello(struct uw_slot *s, uint64_t features)
{
	begin_slot(s, UW_SUB_HELLO, 0);
	s->u.hello.version_min = s->u.hello.version_max = UW_VERSION;
	s->u.hello.features = features;
	memcpy(s->u.hello.name, "hostile", 7);
}

void vec_bulk(struct uw_slot *s, uint32_t id, uint8_t port, uint8_t endpoint, uint32_t data, uint32_t length)
{
	begin_slot(s, UW_SUB_SUBMIT, id);
	s->u.submit.data = data;
	s->u.submit.length = length;
	s->u.submit.port = port;
	s->u.submit.endpoint = endpoint;
	s->u.submit.transfer = UW_BULK;
}

void vec_cancel(struct uw_slot *s, uint32_t id)
{
	begin_slot(s, UW_SUB_CANCEL, id);
}

static void make_submit(struct uw_slot *s, enum base base)
{
	vec_bulk(s, VEC_ID, 1, 0x81, VEC_DATA, VEC_LENGTH);
	s->u.submit.transfer = (uint8_t)(base - CONTROL);
	if (base == CONTROL) {
		s->u.submit.endpoint = 0x80;
		s->u.submit.setup[0] = 0x80;
		s->u.submit.setup[1] = 0x06;
		s->u.submit.setup[7] = VEC_LENGTH >> 8;
	} else if (base == ISOCH) {
		s->u.submit.table = VEC_TABLE;
		s->u.submit.packets = 4;
	}
	s->u.submit.interval = base == ISOCH || base == INTERRUPT;
}

static void make_base(const struct maker *m, struct uw_slot *s, enum base base)
{
	static const uint8_t types[] = { [PORT - PORT] = UW_SUB_PORT, [ALLOC - PORT] = UW_SUB_STREAMS_ALLOC,
					 [FREE - PORT] = UW_SUB_STREAMS_FREE, [ACK - PORT] = UW_SUB_EVENT_ACK,
					 [STATS - PORT] = UW_SUB_STATS, [CANCEL - PORT] = UW_SUB_CANCEL,
					 [BYE - PORT] = UW_SUB_BYE };

	if (base == HELLO) {
		vec_hello(s, m->l->features);
		return;
	}
	if (base < PORT) {
		make_submit(s, base);
		return;
	}
	begin_slot(s, types[base - PORT], base == ACK || base == BYE ? 0 : VEC_ID);
	if (base == PORT) {
		s->u.port.port = 1;
		s->u.port.request = UW_PORT_POWER_ON;
	} else if (base == ALLOC || base == FREE) {
		s->u.streams.port = (uint8_t)(m->l->usb2_ports + 1);
		s->u.streams.count = 1;
		s->u.streams.streams = base == ALLOC ? 16 : 0;
		s->u.streams.endpoint[0] = 0x81;
	} else if (base == ACK) {
		s->u.ack.port = 1;
		s->u.ack.seq = 0x12345678; /* of no event */
	}
}

static bool is_submit(enum base base)
{
	return base >= CONTROL && base <= INTERRUPT;
}

/* ---- vectors from pieces ---- */

static void begin(struct maker *m, enum vec_state state)
{
	memset(&m->v, 0, sizeof(m->v));
	m->v.state = m->v.after = (uint8_t)state;
}

#define NAME(m, ...) snprintf((m)->v.name, sizeof((m)->v.name), __VA_ARGS__)

static void end(struct maker *m)
{
	m->each(m->context, &m->v);
	m->count++;
}

static struct vec_step *step(struct maker *m, enum step_kind kind, enum expect expect)
{
	struct vec_step *t = &m->v.step[m->v.count++];

	t->kind = (uint8_t)kind;
	t->expect = (uint8_t)expect;
	if (expect == EXPECT_EPOCH)
		m->v.after = VEC_EPOCH;
	return t;
}

static struct vec_step *send(struct maker *m, const struct uw_slot *s, enum expect expect)
{
	struct vec_step *t = step(m, STEP_SEND, expect);

	t->slot = *s;
	t->id = s->id;
	return t;
}

static void word(struct maker *m, uint32_t at, uint32_t value)
{
	struct vec_step *t = step(m, STEP_WORD, EXPECT_NOTHING);

	t->at = at;
	t->value = value;
}

/* What a message of this kind gets when it is malformed: an answer, or to be counted. */
static void send_bad(struct maker *m, const struct uw_slot *s, enum uw_why why)
{
	struct vec_step *t = send(m, s, EXPECT_COMPLETE);

	t->status = UW_ST_INVALID;
	t->why = (uint16_t)why;
	if (s->type == UW_SUB_CANCEL || s->type == UW_SUB_EVENT_ACK)
		t->expect = EXPECT_COUNTED;
}

static void bad(struct maker *m, const struct uw_slot *s, enum uw_why why)
{
	send_bad(m, s, why);
	end(m);
}

static void poke(struct uw_slot *s, uint32_t at, uint32_t bytes, uint32_t value)
{
	memcpy((uint8_t *)s + at, &value, bytes); /* little-endian on every system that runs this */
}

/* ---- fields, one at a time and in pairs: rows.h ---- */

static uint32_t value_of(const struct uw_layout *l, const struct value *v)
{
	const uint32_t base[] = { [NUMBER] = 0, [TRANSFERS] = l->transfers, [TRANSFER_MAX] = l->transfer_max,
				  [DATA_SIZE] = l->data_size, [PORTS] = uw_layout_ports(l),
				  [PACKETS_MAX] = l->packets_max, [USB3] = l->usb2_ports + 1u };

	return base[v->of] + v->add;
}

/* Streams that were not offered are refused before anybody looks for the port's device. */
static bool wants_streams(const struct maker *m, const struct row *r, const struct uw_slot *s)
{
	return !(m->l->features & UW_FEATURE_STREAMS) && r->status != UW_ST_INVALID &&
	       (r->base == ALLOC || r->base == FREE || (r->base == BULK && s->u.submit.stream));
}

static void from_rows(struct maker *m)
{
	const struct row *r;
	struct vec_step *t;
	struct uw_slot s;
	uint32_t i;

	for (r = rows; r < rows + UW_COUNT_OF(rows); r++) {
		begin(m, VEC_RUN);
		NAME(m, "row %u, %s", (unsigned)(r - rows), base_name[r->base]);
		make_base(m, &s, r->base);
		for (i = 0; i < 3 && r->value[i].bytes; i++)
			poke(&s, r->value[i].at, r->value[i].bytes, value_of(m->l, &r->value[i]));
		t = send(m, &s, r->base == STATS ? EXPECT_STATS : EXPECT_COMPLETE);
		t->status = wants_streams(m, r, &s) ? UW_ST_UNSUPPORTED : r->status;
		t->why = r->why;
		if (is_submit(r->base) && r->base != ISOCH && !t->status) /* the table is zero: packets of no bytes */
			t->actual = s.u.submit.length;
		end(m);
	}
}

/* ---- whole ranges of values ---- */

/* Each reserved byte of each message, and what must be zero because nothing gives it a meaning. */
static void reserved_bytes(struct maker *m)
{
	static const uint8_t values[] = { 1, 0x10, 0x80, 0xff };
	static const struct { uint8_t base, from, to; } parts[] = {
		{ CONTROL, AT(u.submit.reserved0), 1 }, { CONTROL, AT(u.submit.reserved1), 18 },
		{ ISOCH, AT(u.submit.reserved0), 1 }, { ISOCH, AT(u.submit.reserved1), 18 },
		{ BULK, AT(u.submit.reserved0), 1 }, { BULK, AT(u.submit.reserved1), 18 },
		{ INTERRUPT, AT(u.submit.reserved0), 1 }, { INTERRUPT, AT(u.submit.reserved1), 18 },
		{ PORT, AT(u.port.reserved), 46 }, { ALLOC, AT(u.streams.endpoint) + 1, 29 },
		{ ALLOC, AT(u.streams.reserved), 14 }, { FREE, AT(u.streams.reserved), 14 },
		{ ACK, AT(u.ack.reserved0), 3 }, { ACK, AT(u.ack.reserved1), 40 },
		{ STATS, AT(u.stats_request.reserved), 46 }, { CANCEL, BODY, 48 }, { BYE, BODY, 48 },
	};
	struct uw_slot s;
	uint32_t i, at, k;

	for (i = 0; i < UW_COUNT_OF(parts); i++)
		for (at = parts[i].from; at < parts[i].from + parts[i].to; at++)
			for (k = 0; k < UW_COUNT_OF(values); k++) {
				begin(m, VEC_RUN);
				NAME(m, "%s, byte %u is %u", base_name[parts[i].base], at, values[k]);
				make_base(m, &s, parts[i].base);
				poke(&s, at, 1, values[k]);
				bad(m, &s, UW_WHY_RESERVED);
			}
}

static void types(struct maker *m)
{
	struct uw_slot s;
	uint32_t type;

	for (type = 0; type < 256; type++) {
		if (type >= UW_SUB_HELLO && type <= UW_SUB_BYE)
			continue;
		begin(m, VEC_RUN);
		NAME(m, "type %u", type);
		make_base(m, &s, BULK);
		s.type = (uint8_t)type;
		bad(m, &s, UW_WHY_TYPE);
	}
}

static void flags(struct maker *m)
{
	struct uw_slot s;
	uint32_t base, bit;

	for (base = CONTROL; base < BASES; base++)
		for (bit = is_submit(base) ? 2 : 0; bit < 8; bit++) {
			begin(m, VEC_RUN);
			NAME(m, "%s, flag %u", base_name[base], bit);
			make_base(m, &s, base);
			s.flags = (uint8_t)(1u << bit);
			bad(m, &s, UW_WHY_FLAGS);
		}
}

static void ids(struct maker *m)
{
	static const uint8_t named[] = { CONTROL, ISOCH, BULK, INTERRUPT, PORT, ALLOC, FREE, STATS };
	const uint32_t beyond[] = { m->l->transfers, m->l->transfers + 1, 0x7fff, 0x8000, 0xffff, 0xffffffff,
				    UW_ID(m->l->transfers, 1) };
	struct uw_slot s;
	uint32_t i, k;

	for (i = 0; i < UW_COUNT_OF(named); i++)
		for (k = 0; k < UW_COUNT_OF(beyond); k++) {
			begin(m, VEC_RUN);
			NAME(m, "%s, id %#x", base_name[named[i]], beyond[k]);
			make_base(m, &s, named[i]);
			s.id = beyond[k];
			bad(m, &s, UW_WHY_ID);
		}
	for (i = 0; i < 32; i++) {
		begin(m, VEC_RUN);
		NAME(m, "ack with id bit %u", i);
		make_base(m, &s, ACK);
		s.id = 1u << i;
		bad(m, &s, UW_WHY_RESERVED);
		begin(m, VEC_RUN);
		NAME(m, "bye with id bit %u", i);
		make_base(m, &s, BYE);
		s.id = 1u << i;
		bad(m, &s, UW_WHY_RESERVED);
	}
}

static void ports(struct maker *m)
{
	static const uint8_t at[BASES] = { [BULK] = AT(u.submit.port), [CONTROL] = AT(u.submit.port), [PORT] = BODY,
					   [ALLOC] = BODY, [ACK] = BODY };
	uint32_t ports = uw_layout_ports(m->l), base, port;
	struct uw_slot s;

	for (base = 0; base < BASES; base++)
		for (port = 0; at[base] && port < 256; port += port > ports + 8 && port < 240 ? 11 : 1) {
			if (port && port <= ports)
				continue;
			begin(m, VEC_RUN);
			NAME(m, "%s, port %u", base_name[base], port);
			make_base(m, &s, base);
			poke(&s, at[base], 1, port);
			bad(m, &s, UW_WHY_PORT);
		}
}

/* Endpoint addresses with bits that mean nothing, in submits and streams; numbers of endpoints; port requests. */
static void bytes_of_ports(struct maker *m)
{
	struct uw_slot s;
	uint32_t v;

	for (v = 0; v < 256; v++) {
		if ((v & 0x70) && (v & 0x0f) < 2) {
			begin(m, VEC_RUN);
			NAME(m, "bulk, endpoint %#x", v);
			make_base(m, &s, BULK);
			s.u.submit.endpoint = (uint8_t)v;
			bad(m, &s, UW_WHY_ENDPOINT);
			begin(m, VEC_RUN);
			NAME(m, "alloc, endpoint %#x", v);
			make_base(m, &s, ALLOC);
			s.u.streams.endpoint[0] = (uint8_t)v;
			bad(m, &s, UW_WHY_ENDPOINT);
		}
		if (v > UW_STREAM_ENDPOINTS && (v < 40 || v % 16 > 13)) {
			begin(m, VEC_RUN);
			NAME(m, "alloc of %u endpoints", v);
			make_base(m, &s, ALLOC);
			memset(s.u.streams.endpoint, 0x81, sizeof(s.u.streams.endpoint));
			s.u.streams.count = (uint8_t)v;
			bad(m, &s, UW_WHY_ENDPOINT);
		}
		if (!v || v > UW_PORT_POWER_OFF) {
			begin(m, VEC_RUN);
			NAME(m, "port request %u", v);
			make_base(m, &s, PORT);
			s.u.port.request = (uint8_t)v;
			bad(m, &s, UW_WHY_REQUEST);
		}
	}
}

/* ---- order: before hello, after bye, twice ---- */

static void out_of_order(struct maker *m)
{
	enum vec_state state;
	struct uw_slot s;
	uint32_t base;

	for (state = VEC_GREET; state <= VEC_CLOSED; state += VEC_CLOSED - VEC_GREET)
		for (base = CONTROL; base < BASES; base++) {
			begin(m, state);
			NAME(m, "%s %s", base_name[base], state == VEC_GREET ? "before hello" : "after bye");
			make_base(m, &s, base);
			bad(m, &s, UW_WHY_STATE);
			begin(m, state);
			NAME(m, "malformed %s %s", base_name[base], state == VEC_GREET ? "before hello" : "after bye");
			s.flags = 0x40;
			bad(m, &s, UW_WHY_FLAGS);
		}
	begin(m, VEC_RUN);
	NAME(m, "second hello");
	make_base(m, &s, HELLO);
	send(m, &s, EXPECT_WELCOME)->status = UW_ST_INVALID;
	send(m, &s, EXPECT_WELCOME)->status = UW_ST_INVALID;
	end(m);
	begin(m, VEC_CLOSED);
	NAME(m, "hello after bye");
	send(m, &s, EXPECT_WELCOME)->status = UW_ST_INVALID;
	end(m);
	begin(m, VEC_RUN);
	NAME(m, "bye, with a transfer in flight");
	vec_bulk(&s, VEC_ID, 1, 0x82, VEC_DATA, VEC_LENGTH);
	send(m, &s, EXPECT_NOTHING);
	make_base(m, &s, BYE);
	send(m, &s, EXPECT_COMPLETE)->status = UW_ST_CANCELLED;
	m->v.step[1].id = VEC_ID;
	step(m, STEP_MORE, EXPECT_BYE);
	send_bad(m, &s, UW_WHY_STATE);
	m->v.after = VEC_CLOSED;
	end(m);
}

static void hello(struct maker *m, enum uw_status status, const struct uw_slot *s)
{
	send(m, s, EXPECT_WELCOME)->status = (uint16_t)status;
	m->v.after = status == UW_ST_OK ? VEC_RUN : VEC_CLOSED;
	end(m);
}

static void hellos(struct maker *m)
{
	static const struct { uint16_t min, max, status; } versions[] = {
		{ 1, 1, UW_ST_OK }, { 0, 1, UW_ST_OK }, { 1, 2, UW_ST_OK }, { 0, 0xffff, UW_ST_OK }, { 1, 0xffff, UW_ST_OK },
		{ 0, 0, UW_ST_UNSUPPORTED }, { 2, 2, UW_ST_UNSUPPORTED }, { 2, 0xffff, UW_ST_UNSUPPORTED },
		{ 0xffff, 0xffff, UW_ST_UNSUPPORTED }, { 1, 0, UW_ST_UNSUPPORTED }, { 2, 1, UW_ST_UNSUPPORTED },
		{ 0xffff, 0, UW_ST_UNSUPPORTED }, { 0x8000, 1, UW_ST_UNSUPPORTED },
	};
	struct uw_slot s;
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(versions); i++) {
		begin(m, VEC_GREET);
		NAME(m, "hello, versions %u to %u", versions[i].min, versions[i].max);
		make_base(m, &s, HELLO);
		s.u.hello.version_min = versions[i].min;
		s.u.hello.version_max = versions[i].max;
		hello(m, versions[i].status, &s);
	}
	for (i = 0; i < 64; i++) {
		begin(m, VEC_GREET);
		NAME(m, "hello, feature %u", i);
		make_base(m, &s, HELLO);
		s.u.hello.features = 1ull << i;
		hello(m, m->l->features >> i & 1 ? UW_ST_OK : UW_ST_INVALID, &s);
	}
	for (i = 0; i < 32; i++) { /* the harness adds the right incarnation */
		begin(m, VEC_GREET);
		NAME(m, "hello, incarnation off by %#x", 1u << i);
		make_base(m, &s, HELLO);
		s.u.hello.incarnation = 1u << i;
		hello(m, UW_ST_INVALID, &s);
		begin(m, VEC_GREET);
		NAME(m, "hello, id bit %u", i);
		make_base(m, &s, HELLO);
		s.id = 1u << i;
		hello(m, UW_ST_INVALID, &s);
		begin(m, VEC_GREET);
		NAME(m, "hello, flag %u", i % 8);
		make_base(m, &s, HELLO);
		s.flags = (uint8_t)(1u << i % 8);
		if (i < 8)
			hello(m, UW_ST_INVALID, &s);
	}
}

static void names(struct maker *m)
{
	static const uint8_t places[] = { 0, 6, 31 };
	struct uw_slot s;
	uint32_t i, k;

	for (k = 0; k < UW_COUNT_OF(places); k++)
		for (i = 0; i < 256; i++) {
			if ((places[k] == 6 && i % 8) || (places[k] && i == 'x'))
				continue;
			begin(m, VEC_GREET);
			NAME(m, "hello, byte %u of the name is %u", places[k], i);
			make_base(m, &s, HELLO);
			memset(s.u.hello.name, 'x', sizeof(s.u.hello.name));
			s.u.hello.name[places[k]] = (uint8_t)i;
			hello(m, (i >= ' ' && i <= '~') || (!i && places[k] == 31) ? UW_ST_OK : UW_ST_INVALID, &s);
		}
	begin(m, VEC_GREET);
	NAME(m, "hello without a name");
	memset(s.u.hello.name, 0, sizeof(s.u.hello.name));
	hello(m, UW_ST_OK, &s);
}

/* ---- the ring ---- */

static void powers(struct maker *m, const char *what, uint32_t bits, void (*one)(struct maker *m, uint32_t skew))
{
	uint32_t k;

	for (k = 0; k < bits; k++) {
		begin(m, VEC_RUN);
		NAME(m, "%s + %#x", what, 1u << k);
		one(m, 1u << k);
		end(m);
		begin(m, VEC_RUN);
		NAME(m, "%s - %#x", what, 1u << k);
		one(m, 0u - (1u << k));
		if (k + 1 < bits) /* at the highest bit both are the same */
			end(m);
	}
}

static void skew_tag(struct maker *m, uint32_t skew)
{
	struct uw_slot s;

	make_base(m, &s, BULK);
	s.tag = skew;
	send(m, &s, skew + m->l->sub_slots ? EXPECT_EPOCH : EXPECT_UNREAD);
}

static void skew_epoch(struct maker *m, uint32_t skew)
{
	struct uw_slot s;

	make_base(m, &s, BULK);
	s.epoch = (uint16_t)skew;
	send(m, &s, EXPECT_EPOCH);
}

/* After a message that said all there is to say every other value is a lie. */
static void skew_consumed(struct maker *m, uint32_t skew)
{
	struct uw_slot s;

	make_base(m, &s, CANCEL);
	send(m, &s, EXPECT_NOTHING);
	s.consumed = skew;
	send(m, &s, EXPECT_EPOCH);
}

static void skew_page(struct maker *m, uint32_t skew)
{
	step(m, STEP_CONSUMED, EXPECT_EPOCH)->value = skew;
}

static void skew_incarnation(struct maker *m, uint32_t skew)
{
	step(m, STEP_INCARNATION, EXPECT_EPOCH)->value = skew;
}

static void skew_in_greet(struct maker *m)
{
	static const uint32_t skews[] = { 1, 0u - 1, 0x80000000, 1000 };
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(skews); i++) {
		begin(m, VEC_GREET);
		NAME(m, "page before hello: consumed %#x", skews[i]);
		skew_page(m, skews[i]);
		end(m);
		begin(m, VEC_GREET);
		NAME(m, "tag before hello: %#x", skews[i]);
		skew_tag(m, skews[i]);
		end(m);
		begin(m, VEC_CLOSED);
		NAME(m, "incarnation after bye: %#x", skews[i]);
		skew_incarnation(m, skews[i]);
		end(m);
		begin(m, VEC_OFFER);
		NAME(m, "wrong echo: %#x", skews[i]);
		step(m, STEP_ECHO, EXPECT_NOTHING)->value = skews[i];
		end(m);
	}
}

/* Words of the guest page that may hold anything, and words that are the host's and that it never reads back. */
static void words(struct maker *m)
{
	static const uint32_t values[] = { 0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, ALL, 0xdeadbeef };
	uint32_t hot = m->l->guest_page + (uint32_t)offsetof(struct uw_guest_page, hot), at, i;

	for (i = 0; i < 64; i++) {
		begin(m, VEC_RUN);
		NAME(m, "%s bit %u", i < 32 ? "wake" : "space", i % 32);
		word(m, hot + (i < 32 ? 0 : 8), 1u << i % 32);
		end(m);
	}
	for (i = 0; i < UW_COUNT_OF(values); i++) {
		begin(m, VEC_RUN);
		NAME(m, "wake and space %#x", values[i]);
		word(m, hot, values[i]);
		word(m, hot + 8, values[i]);
		end(m);
		begin(m, VEC_RUN);
		NAME(m, "echo %#x in a running session", values[i]);
		word(m, m->l->guest_page + 4, values[i]);
		end(m);
	}
	for (at = 8; at < UW_PAGE; at += at < 192 ? 4 : 196)
		if (at < 128 || at > 136) {
			begin(m, VEC_RUN);
			NAME(m, "reserved word %u of the guest page", at);
			word(m, m->l->guest_page + at, 0xa5a5a5a5);
			end(m);
		}
	for (at = 0; at < 144; at += 4)
		for (i = 0; i < UW_COUNT_OF(values); i += 2) {
			begin(m, VEC_RUN);
			NAME(m, "word %u of the host page is %#x", at, values[i]);
			word(m, at, values[i]);
			end(m);
		}
	for (at = 0; at < 64; at += 4) {
		begin(m, VEC_RUN);
		NAME(m, "word %u of a read completion", at);
		word(m, m->l->comp_ring + at, ALL);
		end(m);
	}
}

/* ---- ids in flight ---- */

static void in_flight(struct maker *m)
{
	static const uint8_t named[] = { CONTROL, ISOCH, BULK, INTERRUPT, PORT, ALLOC, FREE, STATS };
	static const uint32_t others[] = { UW_ID(7, 2), UW_ID(7, 4), UW_ID(7, 0), UW_ID(7, 0xffff), UW_ID(8, 3), UW_ID(0xffff, 3),
					   0, ALL, UW_ID(6, 3) };
	struct uw_slot idle, s;
	uint32_t i, k;

	vec_bulk(&idle, VEC_ID, 1, 0x82, VEC_DATA, VEC_LENGTH);
	for (i = 0; i < UW_COUNT_OF(named); i++)
		for (k = 0; k < 3; k++) {
			begin(m, VEC_RUN);
			NAME(m, "%s on an entry in use%s", base_name[named[i]], k == 1 ? ", later use" : k ? ", malformed" : "");
			make_base(m, &s, named[i]);
			s.id = k == 1 ? UW_ID(7, 4) : VEC_ID;
			s.flags = k == 2 ? 0x80 : 0;
			send(m, &idle, EXPECT_NOTHING);
			send(m, &s, EXPECT_EPOCH);
			end(m);
		}
	for (i = 0; i < UW_COUNT_OF(others); i++) {
		begin(m, VEC_RUN);
		NAME(m, "cancel of %#x beside a transfer in flight", others[i]);
		send(m, &idle, EXPECT_NOTHING);
		vec_cancel(&s, others[i]);
		send(m, &s, EXPECT_NOTHING);
		end(m);
	}
	begin(m, VEC_RUN);
	NAME(m, "cancel, twice");
	send(m, &idle, EXPECT_NOTHING);
	vec_cancel(&s, VEC_ID);
	send(m, &s, EXPECT_COMPLETE)->status = UW_ST_CANCELLED;
	send(m, &s, EXPECT_NOTHING);
	end(m);
	begin(m, VEC_RUN);
	NAME(m, "an entry used again after its answer");
	send(m, &idle, EXPECT_NOTHING);
	send(m, &s, EXPECT_COMPLETE)->status = UW_ST_CANCELLED;
	send(m, &idle, EXPECT_NOTHING);
	end(m);
	for (i = UW_PORT_RESET; i <= UW_PORT_POWER_OFF; i += UW_PORT_POWER_OFF - UW_PORT_RESET) {
		begin(m, VEC_RUN);
		NAME(m, "port request %u over a transfer in flight", i);
		send(m, &idle, EXPECT_NOTHING);
		make_base(m, &s, PORT);
		s.id = UW_ID(9, 1);
		s.u.port.request = (uint8_t)i;
		send(m, &s, EXPECT_COMPLETE)->status = UW_ST_CANCELLED;
		m->v.step[1].id = VEC_ID;
		step(m, STEP_MORE, EXPECT_COMPLETE)->id = UW_ID(9, 1);
		end(m);
	}
}

/* ---- packet tables ---- */

static void packets(struct maker *m)
{
	const uint32_t n = VEC_LENGTH;
	const struct { uint32_t offset, length; bool good; } pairs[] = {
		{ 0, n, true }, { n, 0, true }, { n - 1, 1, true }, { 0, 0, true }, { 7, 13, true },
		{ 0, n + 1, false }, { 1, n, false }, { n, 1, false }, { n + 1, 0, false }, { n - 1, 2, false },
		{ ALL, 0, false }, { ALL, 1, false }, { ALL, 2, false }, { 0, ALL, false }, { 1, ALL, false },
		{ 2, ALL, false }, { 0x80000000, 0x80000000, false }, { 0x80000000, 0, false }, { ALL, ALL, false },
		{ 0u - n, n, false }, { 0u - n, 2 * n, false }, { n, 0u - n, false }, { n, 0u - 1, false },
	};
	uint32_t i, k, at;
	struct vec_step *t;
	struct uw_slot s;

	make_base(m, &s, ISOCH);
	for (i = 0; i < UW_COUNT_OF(pairs); i++)
		for (k = 0; k < 4; k++) {
			begin(m, VEC_RUN);
			NAME(m, "packet %u: %#x + %#x", k, pairs[i].offset, pairs[i].length);
			at = m->l->data + VEC_TABLE + 16 * k;
			word(m, at, pairs[i].offset);
			word(m, at + 4, pairs[i].length);
			if (!pairs[i].good) {
				bad(m, &s, UW_WHY_PACKET);
				continue;
			}
			send(m, &s, EXPECT_COMPLETE)->actual = pairs[i].length;
			end(m);
		}
	for (i = 8; i < 16; i += 4) { /* what the host writes may hold anything before */
		begin(m, VEC_RUN);
		NAME(m, "packet with garbage at %u", i);
		word(m, m->l->data + VEC_TABLE + i, ALL);
		word(m, m->l->data + VEC_TABLE + 48 + i, ALL);
		send(m, &s, EXPECT_COMPLETE);
		end(m);
	}
	begin(m, VEC_RUN);
	NAME(m, "packets that share their bytes");
	word(m, m->l->data + VEC_TABLE + 4, n);
	word(m, m->l->data + VEC_TABLE + 20, n);
	send(m, &s, EXPECT_COMPLETE)->actual = n;
	end(m);
	begin(m, VEC_RUN);
	NAME(m, "table in the data of a transfer in flight");
	vec_bulk(&m->v.step[0].slot, UW_ID(9, 1), 1, 0x82, VEC_TABLE - 100, 4096);
	s.id = VEC_ID;
	t = step(m, STEP_SEND, EXPECT_NOTHING);
	t->id = UW_ID(9, 1);
	send(m, &s, EXPECT_COMPLETE);
	end(m);
}

uint32_t vec_each(const struct uw_layout *l, void (*each)(void *context, const struct vec *v), void *context)
{
	struct maker m = { .l = l, .each = each, .context = context };

	from_rows(&m);
	reserved_bytes(&m);
	types(&m);
	flags(&m);
	ids(&m);
	ports(&m);
	bytes_of_ports(&m);
	out_of_order(&m);
	hellos(&m);
	names(&m);
	powers(&m, "tag", 32, skew_tag);
	powers(&m, "slot epoch", 16, skew_epoch);
	powers(&m, "consumed in a message", 32, skew_consumed);
	powers(&m, "consumed in the page", 32, skew_page);
	powers(&m, "incarnation", 32, skew_incarnation);
	skew_in_greet(&m);
	words(&m);
	in_flight(&m);
	packets(&m);
	return m.count;
}
