/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest's driver does with the bytes of an URB: fill them, and judge what came back. */
#include "loop.h"

static uint8_t *data_at(struct world *w, uint32_t at)
{
	return w->region + w->layout.data + at;
}

static bool is_in(const struct urb *b)
{
	return b->u.endpoint & 0x80;
}

static uint32_t packet_table_bytes(const struct world *w, const struct urb *b)
{
	return uw_min(b->u.packets - b->u.first_packet, w->layout.packets_max) * (uint32_t)sizeof(struct uw_packet);
}

/* As many packets as the granted space holds, or fewer. */
static void choose_packets(struct world *w, struct urb *b)
{
	struct uw_urb *u = &b->u;
	uint32_t table = packet_table_bytes(w, b), n = table / (uint32_t)sizeof(struct uw_packet), i;
	uint32_t bytes = u->direct == UW_NOT_DIRECT ? u->granted - table : w->layout.transfer_max;
	struct uw_packet *p = (void *)data_at(w, u->space);

	if (b->packet)
		n = uw_min(n, bytes / b->packet);
	CHECK(w, n, "urb %u was granted room for no packet", b->serial);
	if (chance(w, 200))
		n = 1 + pick(w, n);
	u->table = u->space;
	u->piece_packets = n;
	u->piece = n * b->packet;
	u->data = u->direct == UW_NOT_DIRECT ? u->space + table : u->direct + u->offset;
	for (i = 0; i < n; i++) {
		p[i].offset = uw_put32(i * b->packet);
		p[i].length = uw_put32(b->packet);
		p[i].actual = uw_put32(0xdeadbeef);
		p[i].status = uw_put16(0xdead);
		p[i].reserved = 0;
	}
}

void urb_fill(struct world *w, struct urb *b)
{
	struct uw_urb *u = &b->u;

	if (u->packets)
		choose_packets(w, b);
	CHECK(w, u->piece <= w->layout.transfer_max, "a piece of %u bytes", u->piece);
	payload_write(data_at(w, u->data), b->serial, is_in(b) ? PAYLOAD_CANARY : PAYLOAD_GUEST, 0, u->offset, u->piece);
}

/* Of length bytes at data + at, the device moved the first actual and touched no other. */
static void check_bytes(struct world *w, const struct urb *b, uint32_t at, uint32_t length, uint32_t actual)
{
	const uint8_t *data = data_at(w, b->u.data + at);
	uint32_t offset = b->u.offset + at;

	if (!is_in(b)) {
		CHECK(w, payload_holds(data, b->serial, PAYLOAD_GUEST, 0, offset, length),
		      "OUT data of urb %u changed", b->serial);
		return;
	}
	CHECK(w, payload_holds(data, b->serial, PAYLOAD_DEVICE, b->u.epoch, offset, actual),
	      "IN data of urb %u at %u+%u are not the device's", b->serial, offset, actual);
	CHECK(w, payload_holds(data + actual, b->serial, PAYLOAD_CANARY, 0, offset + actual, length - actual),
	      "IN data of urb %u past %u+%u were written", b->serial, offset, actual);
}

static void check_packets(struct world *w, const struct urb *b)
{
	const struct uw_packet *p = (const void *)data_at(w, b->u.table);
	uint32_t i, n, actual, status, errors = 0;

	for (i = 0; i < b->u.piece_packets; i++) {
		n = b->u.first_packet + i;
		actual = i < b->answer_packets ? packet_actual(b->serial, n, b->packet) : 0;
		status = i < b->answer_packets ? packet_status(b->serial, n) : UW_ST_CANCELLED;
		errors += status != UW_ST_OK;
		CHECK(w, uw_get32(p[i].actual) == actual && uw_get16(p[i].status) == status,
		      "urb %u packet %u: actual %u status %u, expected %u and %u", b->serial, n,
		      uw_get32(p[i].actual), uw_get16(p[i].status), actual, status);
		check_bytes(w, b, i * b->packet, b->packet, actual);
	}
	CHECK(w, b->answer_errors == errors, "urb %u: %u packet errors, expected %u", b->serial, b->answer_errors, errors);
}

/* An answered piece, before its space is given back. */
void urb_judge_piece(struct world *w, struct urb *b)
{
	struct uw_urb *u = &b->u;

	if (!u->answered) {
		CHECK(w, !u->moved, "urb %u moved %u bytes without an answer", b->serial, u->moved);
		return;
	}
	CHECK(w, b->answered && u->moved == b->answer_actual, "urb %u moved %u, its answer says %u", b->serial, u->moved,
	      b->answer_actual);
	CHECK(w, u->status == b->answer_status, "urb %u status %u, its answer says %u", b->serial, u->status,
	      b->answer_status);
	b->total += u->moved;
	b->errors += b->answer_errors;
	if (!u->packets)
		check_bytes(w, b, 0, u->piece, u->moved);
	else if (b->answer_packets != NOT_REACHED)
		check_packets(w, b);
	b->answered = false;
}

/* May another piece follow this one? */
bool urb_may_go_on(const struct urb *b)
{
	const struct uw_urb *u = &b->u;

	return u->answered && u->status == UW_ST_OK && (u->packets || u->moved == u->piece) && !b->cancel;
}

/* The whole URB, once it is the driver's again. */
void urb_judge(struct world *w, struct urb *b)
{
	struct uw_urb *u = &b->u;

	CHECK(w, u->actual == b->total, "urb %u actual %u, its pieces moved %u", b->serial, u->actual, b->total);
	CHECK(w, u->errors == b->errors, "urb %u has %u packet errors, its pieces had %u", b->serial, u->errors, b->errors);
	CHECK(w, u->status < UW_ST_COUNT && u->status != UW_ST_BUSY && u->status != UW_ST_INVALID &&
	      u->status != UW_ST_UNSUPPORTED, "urb %u ended with status %u", b->serial, u->status);
	if (u->status == UW_ST_OK && !u->packets && u->actual < u->length)
		CHECK(w, u->moved < u->piece, "urb %u ended ok after %u of %u bytes and no short piece", b->serial,
		      u->actual, u->length);
	if (u->status == UW_ST_OK && u->packets)
		CHECK(w, u->first_packet + u->piece_packets == u->packets, "urb %u left packets out", b->serial);
	totals.urbs_ok += u->status == UW_ST_OK;
	totals.whole += u->status == UW_ST_OK && u->actual == u->length;
	totals.short_pieces += u->status == UW_ST_OK && u->actual < u->length && u->offset;
}
