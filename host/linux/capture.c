/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Captures: what passes between VMs and devices, told to those clients of the control socket that asked for it.
 *
 * Nothing waits for a reader. A packet goes into its client's output whole or not at all, and what found no room is
 * counted, so the slowest reader costs its bounded output and no transfer a moment. Data is copied once, out of the
 * region: at submission before the device reads it, at completion after it was written and before the guest is told. A
 * guest that changes it in between fools nobody but the reader of the capture.
 */
#include "capture.h"

#include <errno.h>
#include <time.h>

#include "field.h"

#define DESCRIPTORS (UW_CTL_BODY_MAX / sizeof(struct uw_ctl_descriptor)) /* of one record */

/* ---- what usbmon would say ---- */

/* As the guest's driver words it: guest and capture tell the same story. */
static uint32_t errno_of(uint32_t status)
{
	static const int table[UW_ST_COUNT] = {
		[UW_ST_STALL] = -EPIPE,
		[UW_ST_CANCELLED] = -ECONNRESET,
		[UW_ST_BABBLE] = -EOVERFLOW,
		[UW_ST_PROTOCOL] = -EPROTO,
		[UW_ST_NO_DEVICE] = -ESHUTDOWN,
		[UW_ST_NO_ENDPOINT] = -EPROTO,
		[UW_ST_BUSY] = -ENOSR,
		[UW_ST_INVALID] = -EINVAL,
		[UW_ST_UNSUPPORTED] = -EOPNOTSUPP,
		[UW_ST_BLOCKED] = -EPROTO,
		[UW_ST_LATE] = -EXDEV,
		[UW_ST_HOST] = -EPROTO,
	};

	return (uint32_t)(status < UW_ST_COUNT ? table[status] : -EPROTO);
}

static uint64_t realtime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Some control transfers are verbs by now, but still have their setup packet. Resets and the like never were transfers. */
static bool is_transfer(const struct uw_transfer_io *io)
{
	return io->verb == UW_VERB_SUBMIT || io->verb == UW_VERB_SET_CONFIGURATION || io->verb == UW_VERB_SET_INTERFACE ||
	       io->verb == UW_VERB_CLEAR_HALT;
}

/* Unique among the transfers that are under way, of all VMs and epochs. */
static uint64_t id_of(const struct uw_link *l, uint8_t bus, struct uw_transfer_io *io)
{
	return (uint64_t)bus << 56 | (uint64_t)(l->host.epoch & 0xffffff) << 32 | uw_xfer_of(io)->id;
}

/* Where data ends that has come in. What a backend says is not judged yet. */
static uint32_t end_of_input(const struct uw_transfer_io *io)
{
	uint32_t i, end = 0;

	if (!io->packets)
		return uw_min(io->actual, io->length);
	for (i = 0; i < io->packets; i++)
		if (io->iso[i].actual && io->iso[i].offset + uw_min(io->iso[i].actual, io->iso[i].length) > end)
			end = io->iso[i].offset + uw_min(io->iso[i].actual, io->iso[i].length);
	return end;
}

/* Bytes of data that pass with this event. */
static uint32_t data_of(const struct uw_transfer_io *io, uint8_t event)
{
	if (io->verb != UW_VERB_SUBMIT)
		return 0;
	if (io->endpoint & 0x80)
		return event == UW_CTL_COMPLETED ? end_of_input(io) : 0;
	return event == UW_CTL_SUBMITTED ? io->length : 0;
}

static struct uw_ctl_packet packet_of(const struct uw_dev *dev, struct uw_transfer_io *io, uint8_t event)
{
	uint8_t bus = (uint8_t)(dev->link - dev->all->links + 1);
	bool ended = event == UW_CTL_COMPLETED;
	uint32_t i, errors = 0;
	struct uw_ctl_packet p = {
		.time = uw_put64(realtime()),
		.id = uw_put64(id_of(dev->link, bus, io)),
		.status = uw_put32(ended ? errno_of(io->status) : (uint32_t)-EINPROGRESS),
		.length = uw_put32(ended ? uw_min(io->actual, io->length) : io->length),
		.bytes = uw_put32(io->packets * (uint32_t)sizeof(struct uw_ctl_descriptor) + data_of(io, event)),
		.event = event,
		.bus = bus,
		.port = dev->port,
		.endpoint = io->endpoint,
		.transfer = io->type,
		.flags = io->flags,
		.interval = uw_put16(io->interval),
		.packets = uw_put16(io->packets),
	};

	for (i = 0; ended && i < io->packets; i++)
		errors += io->iso[i].status != UW_ST_OK;
	p.errors = uw_put32(errors);
	uw_copy(p.setup, io->setup, sizeof(p.setup));
	UW_TEXT_PUT(p.vm, uw_link_name(dev->link));
	UW_TEXT_PUT(p.bus_id, dev->device->bus_id);
	return p;
}

/* ---- records ---- */

static void tell_dropped(struct uw_capture *c)
{
	struct uw_ctl_dropped dropped = { .packets = uw_put64(c->dropped) };

	UW_TALK_PUT(c->talk, UW_CTL_DROPPED, dropped);
	c->dropped = 0;
}

static void put_descriptors(struct uw_talk *t, const struct uw_transfer_io *io, uint32_t count, bool ended)
{
	struct uw_ctl_descriptor d[DESCRIPTORS] = { 0 };
	uint32_t i, n = 0;

	for (i = 0; i < count; i++) {
		d[n].status = uw_put32(ended ? errno_of(io->iso[i].status) : 0);
		d[n].offset = uw_put32(io->iso[i].offset);
		d[n++].length = uw_put32(ended ? uw_min(io->iso[i].actual, io->iso[i].length) : io->iso[i].length);
		if (n == DESCRIPTORS || i + 1 == count) {
			uw_talk_put(t, UW_CTL_DATA, d, n * (uint32_t)sizeof(d[0]));
			n = 0;
		}
	}
}

static void put_data(struct uw_talk *t, const uint8_t *data, uint32_t bytes)
{
	uint32_t at, part;

	for (at = 0; at < bytes; at += part) {
		part = uw_min(bytes - at, UW_CTL_BODY_MAX);
		uw_talk_put(t, UW_CTL_DATA, data + at, part);
	}
}

/* Room for a packet with so many bytes behind it, in two runs of records, and for the number of those before it. */
static bool has_room(struct uw_talk *t, uint32_t captured)
{
	size_t records = captured / UW_CTL_BODY_MAX + 2 + 2;

	return uw_talk_room(t, sizeof(struct uw_ctl_packet) + sizeof(struct uw_ctl_dropped) + captured +
				       records * sizeof(struct uw_ctl_header));
}

/* Descriptors come whole or not at all, and data behind the last of them only. */
static void put_packet(struct uw_capture *c, const struct uw_transfer_io *io, struct uw_ctl_packet p)
{
	uint32_t table = io->packets * (uint32_t)sizeof(struct uw_ctl_descriptor);
	uint32_t bytes = uw_min(uw_get32(p.bytes), c->snaplen), count = io->packets;
	bool idle = !c->talk->out_bytes;

	if (bytes < table) {
		count = bytes / (uint32_t)sizeof(struct uw_ctl_descriptor);
		table = bytes = count * (uint32_t)sizeof(struct uw_ctl_descriptor);
	}
	if (!has_room(c->talk, bytes)) {
		c->dropped++;
		return;
	}
	p.captured = uw_put32(bytes);
	p.descriptors = uw_put16((uint16_t)count);
	if (c->dropped)
		tell_dropped(c);
	UW_TALK_PUT(c->talk, UW_CTL_PACKET, p);
	put_descriptors(c->talk, io, count, p.event == UW_CTL_COMPLETED);
	put_data(c->talk, io->data, bytes - table);
	if (idle)
		c->begun(c);
}

static bool wants(const struct uw_capture *c, const struct uw_dev *dev)
{
	return (!c->link || c->link == dev->link) && (!*c->bus_id || !strcmp(c->bus_id, dev->device->bus_id));
}

void uw_capture_event(const struct uw_dev *dev, struct uw_transfer_io *io, uint8_t event)
{
	struct uw_ctl_packet packet;
	struct uw_capture *c;

	if (!is_transfer(io))
		return;
	packet = packet_of(dev, io, event);
	for (c = dev->all->captures; c; c = c->next)
		if (wants(c, dev))
			put_packet(c, io, packet);
}

/* ---- begin and end ---- */

struct sought {
	const char *bus_id;
	bool found;
};

static void if_sought(void *ctx, const struct uw_ctl_device *device)
{
	struct sought *s = ctx;

	s->found |= !strcmp(s->bus_id, (const char *)device->bus_id);
}

static const struct uw_link *find_link(const struct uw_devs *devs, const char *vm)
{
	uint32_t i;

	for (i = 0; i < devs->links_count; i++)
		if (!strcmp(uw_link_name(&devs->links[i]), vm))
			return &devs->links[i];
	return NULL;
}

/* A device need not be bound yet: how it is enumerated is what many want to see. */
void uw_capture_begin(struct uw_devs *devs, struct uw_capture *c, const struct uw_ctl_capture *ask,
		      struct uw_outcome *outcome)
{
	struct sought sought = { .bus_id = (const char *)ask->bus_id };

	c->link = find_link(devs, (const char *)ask->vm);
	outcome->status = UW_CTL_OK;
	outcome->text[0] = 0;
	if (*sought.bus_id)
		uw_devs_each(devs, if_sought, &sought);
	if (*ask->vm && !c->link) {
		outcome->status = UW_CTL_NO_VM;
		UW_TEXT_PUT(outcome->text, "there is no such VM; usbwarp status shows those there are");
	} else if (*sought.bus_id && !sought.found) {
		outcome->status = UW_CTL_NO_DEVICE;
		UW_TEXT_PUT(outcome->text, "there is no such device; usbwarp list shows those there are");
	}
	if (outcome->status) {
		c->talk = NULL;
		return;
	}
	uw_copy(c->bus_id, ask->bus_id, sizeof(c->bus_id));
	c->snaplen = uw_get32(ask->snaplen);
	c->dropped = 0;
	tell_dropped(c);
	c->next = devs->captures;
	devs->captures = c;
}

void uw_capture_end(struct uw_devs *devs, struct uw_capture *c)
{
	struct uw_capture **at = &devs->captures;

	if (!c->talk)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (c->dropped)
		tell_dropped(c);
	c->talk = NULL;
}
