/* SPDX-License-Identifier: GPL-2.0-only */
/* One command to the daemon and all records of its answer. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport.h"

#define PATIENCE 30000u        /* milliseconds; a bind may have to wait for a device's reset */
#define RECORDS_MAX 65536u

static void fail(struct uw_reply *r, int code, const char *text)
{
	r->code = code;
	snprintf(r->text, sizeof(r->text), "%s", text);
}

/* The sentence begins with the peer's name. */
static void fail_peer(struct uw_reply *r, int code, const char *rest)
{
	r->code = code;
	snprintf(r->text, sizeof(r->text), "%s %s", uw_transport_peer, rest);
}

/* Bytes of each record; a text in it has to end inside its field, which the daemon guarantees and we do not trust. */
static uint32_t length_of(uint16_t type)
{
	switch (type) {
	case UW_CTL_END:
		return sizeof(struct uw_ctl_end);
	case UW_CTL_DAEMON:
		return sizeof(struct uw_ctl_daemon);
	case UW_CTL_DEVICE:
		return sizeof(struct uw_ctl_device);
	case UW_CTL_VM:
		return sizeof(struct uw_ctl_vm);
	case UW_CTL_PORT:
		return sizeof(struct uw_ctl_port);
	case UW_CTL_COUNTER:
		return sizeof(struct uw_ctl_counter);
	case UW_CTL_VALUES:
		return sizeof(struct uw_ctl_values);
	default:
		return UINT32_MAX;
	}
}

#define CLOSE_TEXT(field) ((field)[sizeof(field) - 1] = 0)

static void close_texts(struct uw_answer_record *r)
{
	switch (r->type) {
	case UW_CTL_END:
		CLOSE_TEXT(r->u.end.text);
		break;
	case UW_CTL_DAEMON:
		CLOSE_TEXT(r->u.daemon.name);
		CLOSE_TEXT(r->u.daemon.release);
		break;
	case UW_CTL_DEVICE:
		CLOSE_TEXT(r->u.device.bus_id);
		CLOSE_TEXT(r->u.device.backend);
		CLOSE_TEXT(r->u.device.vm);
		CLOSE_TEXT(r->u.device.description);
		break;
	case UW_CTL_VM:
		CLOSE_TEXT(r->u.vm.name);
		CLOSE_TEXT(r->u.vm.guest);
		CLOSE_TEXT(r->u.vm.path);
		break;
	case UW_CTL_PORT:
		CLOSE_TEXT(r->u.port.vm);
		CLOSE_TEXT(r->u.port.bus_id);
		CLOSE_TEXT(r->u.port.description);
		break;
	case UW_CTL_COUNTER:
		CLOSE_TEXT(r->u.counter.name);
		CLOSE_TEXT(r->u.counter.unit);
		CLOSE_TEXT(r->u.counter.meaning);
		break;
	default:
		CLOSE_TEXT(r->u.values.vm);
		CLOSE_TEXT(r->u.values.bus_id);
		break;
	}
}

static bool send_command(uint16_t type, const void *body, uint32_t length)
{
	const struct uw_ctl_header header = {
		.magic = UW_CTL_MAGIC, .version = UW_CTL_VERSION, .type = type, .id = 1, .length = length,
	};

	return uw_transport_send(&header, sizeof(header)) && uw_transport_send(body, length);
}

static bool receive_record(struct uw_reply *r, struct uw_answer_record *record)
{
	struct uw_ctl_header header;

	if (!uw_transport_receive(&header, sizeof(header), PATIENCE)) {
		fail_peer(r, UW_EXIT_UNREACHABLE, "went away or does not answer; see its log, and try again");
		return false;
	}
	if (header.magic != UW_CTL_MAGIC || header.length > UW_CTL_BODY_MAX) {
		r->code = UW_EXIT_PROTOCOL;
		snprintf(r->text, sizeof(r->text), "what answers there is not %s", uw_transport_peer);
		return false;
	}
	record->type = header.type;
	if (!uw_transport_receive(record->u.body, header.length, PATIENCE)) {
		fail_peer(r, UW_EXIT_UNREACHABLE, "went away in the middle of its answer; try again");
		return false;
	}
	if (header.version != UW_CTL_VERSION || header.length != length_of(header.type)) {
		fail_peer(r, UW_EXIT_PROTOCOL, "speaks another version; install both programs from one release");
		return false;
	}
	close_texts(record);
	return true;
}

static bool keep(struct uw_reply *r, const struct uw_answer_record *record)
{
	struct uw_answer_record *grown;

	if (!(r->count & (r->count - 1))) {
		grown = realloc(r->records, (r->count ? 2 * r->count : 1) * sizeof(*grown));
		if (!grown || r->count >= RECORDS_MAX) {
			r->records = grown ? grown : r->records;
			fail(r, UW_EXIT_PROTOCOL, "the answer is too long");
			return false;
		}
		r->records = grown;
	}
	r->records[r->count++] = *record;
	return true;
}

static void receive_all(struct uw_reply *r)
{
	struct uw_answer_record record;

	while (receive_record(r, &record)) {
		if (record.type == UW_CTL_END) {
			r->status = record.u.end.status;
			fail(r, r->status == UW_CTL_OK ? UW_EXIT_OK :
				r->status == UW_CTL_BAD_VERSION ? UW_EXIT_PROTOCOL : UW_EXIT_REFUSED,
			     (const char *)record.u.end.text);
			return;
		}
		if (!keep(r, &record))
			return;
	}
}

bool uw_client_send(const char *where, uint16_t type, const void *body, uint32_t length, struct uw_reply *r)
{
	static bool connected;
	char why[UW_TRANSPORT_WHY];

	if (!connected && !uw_transport_open(where, why)) {
		fail(r, UW_EXIT_UNREACHABLE, why);
		return false;
	}
	connected = true;
	if (!send_command(type, body, length))
		fail_peer(r, UW_EXIT_UNREACHABLE, "went away; see its log, and try again");
	return !r->code;
}

void uw_client_ask(const char *where, uint16_t type, const void *body, uint32_t length, struct uw_reply *r)
{
	memset(r, 0, sizeof(*r));
	if (uw_client_send(where, type, body, length, r))
		receive_all(r);
}

void uw_client_free(struct uw_reply *r)
{
	free(r->records);
	r->records = NULL;
	r->count = 0;
}

const char *uw_client_status(uint16_t status)
{
	static const char *const words[UW_CTL_STATUS_COUNT] = {
		[UW_CTL_OK] = "ok",
		[UW_CTL_MALFORMED] = "malformed",
		[UW_CTL_BAD_VERSION] = "bad-version",
		[UW_CTL_UNKNOWN] = "unknown-command",
		[UW_CTL_DENIED] = "denied",
		[UW_CTL_NO_DEVICE] = "no-device",
		[UW_CTL_NO_VM] = "no-vm",
		[UW_CTL_BOUND] = "bound",
		[UW_CTL_NOT_BOUND] = "not-bound",
		[UW_CTL_NO_PORT] = "no-port",
		[UW_CTL_HUB] = "hub",
		[UW_CTL_BUSY] = "busy",
		[UW_CTL_FAILED] = "failed",
		[UW_CTL_POLICY] = "policy",
		[UW_CTL_IN_USE] = "in-use",
	};

	return status < UW_CTL_STATUS_COUNT ? words[status] : "unknown";
}
