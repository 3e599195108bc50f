/* SPDX-License-Identifier: GPL-2.0-only */
/* Message codec: encodes native messages into slots, and checks and decodes private copies of slots. */
#include "msg.h"

void uw_msg_stamp(struct uw_slot *slot, uint32_t epoch, uint32_t consumed)
{
	slot->epoch = uw_put16((uint16_t)epoch);
	slot->consumed = uw_put32(consumed);
}

static void encode_hello(const struct uw_ask *a, struct uw_hello *m)
{
	m->version_min = uw_put16(a->u.hello.version_min);
	m->version_max = uw_put16(a->u.hello.version_max);
	m->incarnation = uw_put32(a->u.hello.incarnation);
	m->features = uw_put64(a->u.hello.features);
	uw_copy(m->name, a->u.hello.name, sizeof(m->name));
}

static void encode_submit(const struct uw_ask *a, struct uw_submit *m)
{
	m->data = uw_put32(a->u.submit.data);
	m->length = uw_put32(a->u.submit.length);
	m->table = uw_put32(a->u.submit.table);
	m->packets = uw_put16(a->u.submit.packets);
	m->stream = uw_put16(a->u.submit.stream);
	uw_copy(m->setup, a->u.submit.setup, sizeof(m->setup));
	m->port = a->port;
	m->endpoint = a->u.submit.endpoint;
	m->transfer = a->u.submit.transfer;
	m->interval = uw_put16(a->u.submit.interval);
}

static void encode_streams(const struct uw_ask *a, struct uw_streams *m)
{
	m->port = a->port;
	m->count = a->u.streams.count;
	m->streams = uw_put16(a->u.streams.streams);
	uw_copy(m->endpoint, a->u.streams.endpoint, m->count);
}

void uw_ask_encode(const struct uw_ask *a, struct uw_slot *slot)
{
	uw_zero(slot, sizeof(*slot));
	slot->type = a->type;
	slot->flags = a->flags;
	slot->id = uw_put32(a->id);
	switch (a->type) {
	case UW_SUB_HELLO:
		encode_hello(a, &slot->u.hello);
		break;
	case UW_SUB_SUBMIT:
		encode_submit(a, &slot->u.submit);
		break;
	case UW_SUB_PORT:
		slot->u.port.port = a->port;
		slot->u.port.request = a->u.request;
		break;
	case UW_SUB_STREAMS_ALLOC:
	case UW_SUB_STREAMS_FREE:
		encode_streams(a, &slot->u.streams);
		break;
	case UW_SUB_EVENT_ACK:
		slot->u.ack.port = a->port;
		slot->u.ack.seq = uw_put32(a->u.seq);
		break;
	case UW_SUB_STATS:
		slot->u.stats_request.first = uw_put16(a->u.first);
		break;
	default: /* cancel and bye are their header */
		break;
	}
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
	uint8_t any = 0;

	while (count--)
		any |= *bytes++;
	return !any;
}

/* Names are shown to people on terminals: printable ASCII, then zeros. */
static bool decode_name(const uint8_t from[UW_NAME], char to[UW_NAME + 1])
{
	uint32_t i, length = 0;

	while (length < UW_NAME && from[length] >= ' ' && from[length] <= '~')
		length++;
	if (!all_zero(from + length, UW_NAME - length))
		return false;
	for (i = 0; i < length; i++)
		to[i] = (char)from[i];
	uw_zero(to + length, UW_NAME + 1 - length);
	return true;
}

static enum uw_why decode_hello(const struct uw_slot *slot, struct uw_ask *a)
{
	const struct uw_hello *m = &slot->u.hello;

	a->u.hello.version_min = uw_get16(m->version_min);
	a->u.hello.version_max = uw_get16(m->version_max);
	a->u.hello.incarnation = uw_get32(m->incarnation);
	a->u.hello.features = uw_get64(m->features);
	return decode_name(m->name, a->u.hello.name) ? UW_WHY_NONE : UW_WHY_RESERVED;
}

/* Reserved bytes, and fields that must be 0 because this transfer type gives them no meaning. */
static bool submit_fields_fit(const struct uw_submit *m)
{
	if (m->reserved0 || !all_zero(m->reserved1, sizeof(m->reserved1)))
		return false;
	if (m->transfer > UW_INTERRUPT)
		return true;
	if (m->transfer != UW_CONTROL && !all_zero(m->setup, sizeof(m->setup)))
		return false;
	if (m->transfer != UW_ISOCH && (uw_get16(m->packets) || uw_get32(m->table)))
		return false;
	return m->transfer == UW_BULK || !uw_get16(m->stream);
}

/* USB 2.0 9.6.6: numbers 0 to 15, direction in bit 7; endpoint 0 is for control alone. */
static bool submit_endpoint_fits(const struct uw_submit *m, uint8_t flags)
{
	bool in = m->endpoint & 0x80;

	if (m->endpoint & 0x70)
		return false;
	if (!(m->endpoint & 0x0f) && m->transfer != UW_CONTROL)
		return false;
	if ((flags & UW_SUBMIT_SHORT_NOT_OK) && !in)
		return false;
	return !(flags & UW_SUBMIT_ZERO_PACKET) || (m->transfer == UW_BULK && !in);
}

/* USB 2.0 9.3: the direction bit has no meaning without a data stage. SET_ADDRESS is the host's alone. */
static bool submit_setup_fits(const struct uw_submit *m)
{
	uint32_t length = m->setup[6] | (uint32_t)m->setup[7] << 8;

	if (m->transfer != UW_CONTROL)
		return true;
	if (length != uw_get32(m->length) || (length && ((m->setup[0] ^ m->endpoint) & 0x80)))
		return false;
	return (m->endpoint & 0x0f) || m->setup[0] != 0x00 || m->setup[1] != 0x05;
}

/* The table must not lie over the data: the host would overwrite it with the bytes it describes. */
static bool submit_table_fits(const struct uw_submit *m, const struct uw_layout *l)
{
	uint32_t table = uw_get32(m->table), data = uw_get32(m->data);
	uint32_t bytes = uw_get16(m->packets) * (uint32_t)sizeof(struct uw_packet);

	if (m->transfer != UW_ISOCH)
		return true;
	if (table % sizeof(struct uw_packet) || !uw_layout_in_data(l, table, bytes))
		return false;
	return !uw_get32(m->length) || table + bytes <= data || data + uw_get32(m->length) <= table;
}

static enum uw_why submit_check(const struct uw_slot *slot, const struct uw_layout *l)
{
	const struct uw_submit *m = &slot->u.submit;
	bool periodic = m->transfer == UW_ISOCH || m->transfer == UW_INTERRUPT;

	if (!submit_fields_fit(m))
		return UW_WHY_RESERVED;
	if (!m->port || m->port > uw_layout_ports(l))
		return UW_WHY_PORT;
	if (!submit_endpoint_fits(m, slot->flags))
		return UW_WHY_ENDPOINT;
	if (m->transfer > UW_INTERRUPT)
		return UW_WHY_TRANSFER;
	if (!submit_setup_fits(m))
		return UW_WHY_SETUP;
	if (uw_get32(m->length) > l->transfer_max)
		return UW_WHY_LENGTH;
	if (!uw_layout_in_data(l, uw_get32(m->data), uw_get32(m->length)))
		return UW_WHY_RANGE;
	if (m->transfer == UW_ISOCH && (!uw_get16(m->packets) || uw_get16(m->packets) > l->packets_max))
		return UW_WHY_PACKETS;
	if (!submit_table_fits(m, l))
		return UW_WHY_TABLE;
	if (!uw_get16(m->interval) == periodic)
		return UW_WHY_INTERVAL;
	return uw_get16(m->stream) > UW_STREAMS_MAX ? UW_WHY_STREAM : UW_WHY_NONE;
}

static enum uw_why decode_submit(const struct uw_slot *slot, const struct uw_layout *l, struct uw_ask *a)
{
	const struct uw_submit *m = &slot->u.submit;
	enum uw_why why = submit_check(slot, l);

	a->port = m->port;
	a->u.submit.data = uw_get32(m->data);
	a->u.submit.length = uw_get32(m->length);
	a->u.submit.table = uw_get32(m->table);
	a->u.submit.packets = uw_get16(m->packets);
	a->u.submit.stream = uw_get16(m->stream);
	a->u.submit.interval = uw_get16(m->interval);
	a->u.submit.endpoint = m->endpoint;
	a->u.submit.transfer = m->transfer;
	uw_copy(a->u.submit.setup, m->setup, sizeof(m->setup));
	return why;
}

static enum uw_why check_port(uint8_t port, const struct uw_layout *l)
{
	return port && port <= uw_layout_ports(l) ? UW_WHY_NONE : UW_WHY_PORT;
}

static enum uw_why decode_port(const struct uw_slot *slot, const struct uw_layout *l, struct uw_ask *a)
{
	const struct uw_port_request *m = &slot->u.port;

	if (!all_zero(m->reserved, sizeof(m->reserved)))
		return UW_WHY_RESERVED;
	if (check_port(m->port, l))
		return UW_WHY_PORT;
	a->port = m->port;
	a->u.request = m->request;
	return m->request >= UW_PORT_RESET && m->request <= UW_PORT_POWER_OFF ? UW_WHY_NONE : UW_WHY_REQUEST;
}

/* Streams belong to bulk endpoints; which those are, the device knows. */
static bool stream_endpoints_fit(const struct uw_streams *m)
{
	uint32_t i;

	for (i = 0; i < m->count; i++)
		if ((m->endpoint[i] & 0x70) || !(m->endpoint[i] & 0x0f))
			return false;
	return true;
}

static enum uw_why decode_streams(const struct uw_slot *slot, const struct uw_layout *l, struct uw_ask *a)
{
	const struct uw_streams *m = &slot->u.streams;
	uint32_t count = uw_min(m->count, UW_STREAM_ENDPOINTS);

	if (!all_zero(m->reserved, sizeof(m->reserved)) ||
	    !all_zero(m->endpoint + count, UW_STREAM_ENDPOINTS - count))
		return UW_WHY_RESERVED;
	if (check_port(m->port, l))
		return UW_WHY_PORT;
	if (!m->count || m->count > UW_STREAM_ENDPOINTS || !stream_endpoints_fit(m))
		return UW_WHY_ENDPOINT;
	if (!uw_get16(m->streams) != (slot->type == UW_SUB_STREAMS_FREE) || uw_get16(m->streams) > UW_STREAMS_MAX)
		return UW_WHY_STREAM;
	a->port = m->port;
	a->u.streams.streams = uw_get16(m->streams);
	a->u.streams.count = m->count;
	uw_copy(a->u.streams.endpoint, m->endpoint, sizeof(m->endpoint));
	return UW_WHY_NONE;
}

static enum uw_why decode_ack(const struct uw_slot *slot, const struct uw_layout *l, struct uw_ask *a)
{
	const struct uw_event_ack *m = &slot->u.ack;

	if (!all_zero(m->reserved0, sizeof(m->reserved0)) || !all_zero(m->reserved1, sizeof(m->reserved1)))
		return UW_WHY_RESERVED;
	a->port = m->port;
	a->u.seq = uw_get32(m->seq);
	return check_port(m->port, l);
}

static enum uw_why decode_stats_request(const struct uw_slot *slot, struct uw_ask *a)
{
	a->u.first = uw_get16(slot->u.stats_request.first);
	return all_zero(slot->u.stats_request.reserved, sizeof(slot->u.stats_request.reserved)) ? UW_WHY_NONE
												: UW_WHY_RESERVED;
}

static enum uw_why decode_body(const struct uw_slot *slot, const struct uw_layout *l, struct uw_ask *a)
{
	switch (slot->type) {
	case UW_SUB_HELLO:
		return decode_hello(slot, a);
	case UW_SUB_SUBMIT:
		return decode_submit(slot, l, a);
	case UW_SUB_PORT:
		return decode_port(slot, l, a);
	case UW_SUB_STREAMS_ALLOC:
	case UW_SUB_STREAMS_FREE:
		return decode_streams(slot, l, a);
	case UW_SUB_EVENT_ACK:
		return decode_ack(slot, l, a);
	case UW_SUB_STATS:
		return decode_stats_request(slot, a);
	default:
		return all_zero(slot->u.body, sizeof(slot->u.body)) ? UW_WHY_NONE : UW_WHY_RESERVED;
	}
}

/* Messages whose id names an entry; the others carry 0. A cancel may name anything: unknown ids are no error. */
static bool names_entry(uint8_t type)
{
	return type == UW_SUB_SUBMIT || type == UW_SUB_PORT || type == UW_SUB_STREAMS_ALLOC ||
	       type == UW_SUB_STREAMS_FREE || type == UW_SUB_STATS;
}

enum uw_why uw_ask_decode(const struct uw_slot *slot, const struct uw_layout *l, struct uw_ask *a)
{
	a->type = slot->type;
	a->flags = slot->flags;
	a->id = uw_get32(slot->id);
	a->port = 0;
	if (names_entry(a->type) && UW_ID_ENTRY(a->id) >= l->transfers)
		return UW_WHY_ID;
	if (a->type < UW_SUB_HELLO || a->type > UW_SUB_BYE)
		return UW_WHY_TYPE;
	if (a->flags & ~(a->type == UW_SUB_SUBMIT ? UW_SUBMIT_FLAGS : 0u))
		return UW_WHY_FLAGS;
	if (a->id && !names_entry(a->type) && a->type != UW_SUB_CANCEL)
		return UW_WHY_RESERVED;
	return decode_body(slot, l, a);
}

static void encode_welcome(const struct uw_answer *a, struct uw_welcome *m)
{
	m->version = uw_put16(a->u.welcome.version);
	m->status = uw_put16(a->u.welcome.status);
	m->epoch = uw_put32(a->u.welcome.epoch);
	m->features = uw_put64(a->u.welcome.features);
	uw_copy(m->name, a->u.welcome.name, sizeof(m->name));
}

static void encode_complete(const struct uw_answer *a, struct uw_complete *m)
{
	m->status = uw_put16(a->u.complete.status);
	m->why = uw_put16(a->u.complete.why);
	m->actual = uw_put32(a->u.complete.actual);
	m->errors = uw_put32(a->u.complete.errors);
}

static void encode_stats(const struct uw_answer *a, struct uw_stats *m)
{
	uint32_t i;

	m->first = uw_put16(a->u.stats.first);
	m->count = uw_put16(a->u.stats.count);
	m->total = uw_put16(a->u.stats.total);
	for (i = 0; i < a->u.stats.count; i++)
		m->value[i] = uw_put64(a->u.stats.value[i]);
}

void uw_answer_encode(const struct uw_answer *a, struct uw_slot *slot)
{
	uw_zero(slot, sizeof(*slot));
	slot->type = a->type;
	slot->id = uw_put32(a->id);
	switch (a->type) {
	case UW_COMP_WELCOME:
		encode_welcome(a, &slot->u.welcome);
		break;
	case UW_COMP_COMPLETE:
		encode_complete(a, &slot->u.complete);
		break;
	case UW_COMP_EVENT:
		slot->u.event.port = a->port;
		slot->u.event.speed = a->u.event.speed;
		slot->u.event.changes = uw_put16(a->u.event.changes);
		slot->u.event.seq = uw_put32(a->u.event.seq);
		break;
	case UW_COMP_STATS:
		encode_stats(a, &slot->u.stats);
		break;
	default: /* bye is its header */
		break;
	}
}

static bool decode_welcome(const struct uw_slot *slot, struct uw_answer *a)
{
	const struct uw_welcome *m = &slot->u.welcome;

	a->u.welcome.version = uw_get16(m->version);
	a->u.welcome.status = uw_get16(m->status);
	a->u.welcome.epoch = uw_get32(m->epoch);
	a->u.welcome.features = uw_get64(m->features);
	return !a->id && a->u.welcome.status < UW_ST_COUNT && decode_name(m->name, a->u.welcome.name);
}

static bool decode_complete(const struct uw_slot *slot, struct uw_answer *a)
{
	const struct uw_complete *m = &slot->u.complete;

	a->u.complete.status = uw_get16(m->status);
	a->u.complete.why = uw_get16(m->why);
	a->u.complete.actual = uw_get32(m->actual);
	a->u.complete.errors = uw_get32(m->errors);
	return a->u.complete.status < UW_ST_COUNT && a->u.complete.why < UW_WHY_COUNT &&
	       !a->u.complete.why == (a->u.complete.status != UW_ST_INVALID) &&
	       all_zero(m->reserved, sizeof(m->reserved));
}

/* A super-speed device on a USB 2 port, or the other way round, is a lie: the hubs could not show it. */
static bool decode_event(const struct uw_slot *slot, const struct uw_layout *l, struct uw_answer *a)
{
	const struct uw_event *m = &slot->u.event;
	bool usb3 = m->port > l->usb2_ports;

	a->port = m->port;
	a->u.event.speed = m->speed;
	a->u.event.changes = uw_get16(m->changes);
	a->u.event.seq = uw_get32(m->seq);
	return !a->id && m->port && m->port <= uw_layout_ports(l) && m->speed <= UW_SPEED_SUPER &&
	       (!m->speed || (m->speed == UW_SPEED_SUPER) == usb3) && !(a->u.event.changes & ~UW_EVENTS) &&
	       all_zero(m->reserved, sizeof(m->reserved));
}

static bool decode_stats(const struct uw_slot *slot, struct uw_answer *a)
{
	const struct uw_stats *m = &slot->u.stats;
	uint32_t i;

	a->u.stats.first = uw_get16(m->first);
	a->u.stats.count = uw_get16(m->count);
	a->u.stats.total = uw_get16(m->total);
	for (i = 0; i < UW_STATS_PER_MESSAGE; i++)
		a->u.stats.value[i] = uw_get64(m->value[i]);
	return a->u.stats.count <= UW_STATS_PER_MESSAGE && all_zero(m->reserved, sizeof(m->reserved));
}

bool uw_answer_decode(const struct uw_slot *slot, const struct uw_layout *l, struct uw_answer *a)
{
	a->type = slot->type;
	a->id = uw_get32(slot->id);
	a->port = 0;
	if (slot->flags)
		return false;
	switch (a->type) {
	case UW_COMP_WELCOME:
		return decode_welcome(slot, a);
	case UW_COMP_COMPLETE:
		return decode_complete(slot, a);
	case UW_COMP_EVENT:
		return decode_event(slot, l, a);
	case UW_COMP_STATS:
		return decode_stats(slot, a);
	case UW_COMP_BYE:
		return !a->id && all_zero(slot->u.body, sizeof(slot->u.body));
	default:
		return false;
	}
}
