/* SPDX-License-Identifier: GPL-2.0-only */
/* The core's host in this process, its scripted devices, and the loop that drives both under a virtual clock. */
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

#include "rig_local.h"
#include "fence.h"
#include "trap.h"

void rig_fault(struct rig *rig, const char *what)
{
	rig->faults++;
	printf("the host breaks a promise: %s\n", what);
}

/* ---- devices ---- */

/* What a device may be given: bytes inside data, packets inside the bytes. */
static void inspect(struct rig_local *r, const struct uw_transfer_io *io)
{
	const struct uw_layout *l = &r->rig.l;
	size_t at = (size_t)(io->data - r->host_view);
	uint32_t i;

	if (at < l->data || at > l->data + l->data_size || io->length > l->data + l->data_size - at)
		rig_fault(&r->rig, "bytes outside of data for a device");
	if (io->length > l->transfer_max || io->packets > l->packets_max)
		rig_fault(&r->rig, "a transfer beyond the limits");
	for (i = 0; i < io->packets; i++)
		if ((uint64_t)io->iso[i].offset + io->iso[i].length > io->length)
			rig_fault(&r->rig, "a packet outside of its transfer");
}

static void note_write(struct rig *rig, uint32_t at, uint32_t bytes)
{
	if (rig->writes < RIG_WRITES) {
		rig->low[rig->writes] = at;
		rig->high[rig->writes++] = at + bytes;
	}
}

static void move(struct rig_local *r, struct uw_transfer_io *io)
{
	uint32_t i;

	io->actual = io->length;
	if (io->packets)
		io->actual = 0;
	for (i = 0; i < io->packets; i++) {
		io->iso[i].actual = io->iso[i].length;
		io->actual = uw_min(io->actual + io->iso[i].length, io->length);
	}
	if ((io->endpoint & 0x80) && io->length) {
		memset(io->data, 0x5a, io->length);
		note_write(&r->rig, (uint32_t)(io->data - r->host_view) - r->rig.l.data, io->length);
	}
}

static void complete(struct rig_local *r, struct uw_transfer_io *io, uint32_t status)
{
	io->status = status;
	uw_host_complete(r->h, uw_xfer_of(io), r->now);
}

static void device_submit(struct rig_local *r, struct uw_transfer_io *io)
{
	uint8_t number = io->endpoint & 0x0f;

	inspect(r, io);
	if (number == 2) {
		uw_list_add(&r->idle, &io->node);
		r->idle_count++;
		return;
	}
	if (number < 2)
		move(r, io);
	complete(r, io, number < 2 ? UW_ST_OK : number == 3 ? UW_ST_STALL : UW_ST_NO_ENDPOINT);
}

static void device_verb(struct rig_local *r, struct uw_transfer_io *io)
{
	if (io->verb == UW_VERB_SUBMIT) {
		device_submit(r, io);
		return;
	}
	if (io->verb == UW_VERB_ALLOC_STREAMS)
		io->actual = io->arg[0];
	complete(r, io, UW_ST_OK);
}

static void end_idle(struct rig_local *r, struct uw_transfer_io *io, uint32_t status)
{
	uw_list_del(&io->node);
	r->idle_count--;
	complete(r, io, status);
}

static void device_close(struct rig_local *r, uint8_t port)
{
	struct uw_list *node, *next;

	for (node = r->idle.next; node != &r->idle; node = next) {
		struct uw_transfer_io *io = UW_CONTAINER(node, struct uw_transfer_io, node);

		next = node->next;
		if (uw_xfer_of(io)->port == port)
			end_idle(r, io, UW_ST_NO_DEVICE);
	}
}

static void act(struct rig_local *r, const struct uw_action *a)
{
	if (a->kind == UW_ACT_VERB)
		device_verb(r, &a->xfer->io);
	else if (a->kind == UW_ACT_CANCEL)
		end_idle(r, &a->xfer->io, UW_ST_CANCELLED);
	else if (a->kind == UW_ACT_OPEN)
		uw_host_opened(r->h, a->port);
	else
		device_close(r, a->port);
}

/* ---- the host ---- */

void rig_run(struct rig *rig, bool restless)
{
	struct rig_local *r = rig_local(rig);
	uint32_t quiet = 0, rounds = 0;
	struct uw_action a;
	bool busy;

	while (quiet < 2 && rounds++ < 5000) {
		r->now += UW_MS;
		busy = uw_host_poll(r->h, r->now, 64) != 0;
		while (uw_host_next(r->h, &a, r->now)) {
			act(r, &a);
			busy = true;
		}
		(void)!uw_host_kick(r->h);
		if (!uw_host_sleep(r->h) && !restless)
			busy = true;
		quiet = busy ? 0 : quiet + 1;
	}
	if (quiet < 2)
		rig_fault(rig, "it never comes to rest");
	rig->counters = r->h->counters;
	rig->epoch = r->h->epoch;
}

uint8_t rig_phase(struct rig *rig)
{
	return rig_local(rig)->h->phase;
}

uint32_t rig_active(struct rig *rig)
{
	return rig_local(rig)->h->active;
}

uint32_t rig_idle(struct rig *rig)
{
	return rig_local(rig)->idle_count;
}

/* They are noted as they are made. */
void rig_writes(struct rig *rig)
{
	(void)rig;
}

void rig_complete(struct rig *rig, uint32_t status, uint32_t actual)
{
	struct rig_local *r = rig_local(rig);
	struct uw_transfer_io *io;

	if (uw_list_empty(&r->idle))
		return;
	io = UW_CONTAINER(r->idle.next, struct uw_transfer_io, node);
	io->actual = actual;
	end_idle(r, io, status);
}

/* The owner of a device whose port it left closes it. */
void rig_detach(struct rig *rig)
{
	struct rig_local *r = rig_local(rig);

	uw_host_detach(r->h, 1, r->now);
	rig_run(rig, false);
	device_close(r, 1);
}

void rig_attach(struct rig *rig)
{
	uw_host_attach(rig_local(rig)->h, 1, UW_SPEED_HIGH, rig_local(rig)->now);
}

/* ---- what takes a host in this process ---- */

const char *rig_lacks(enum rig_art art)
{
	(void)art;
	return NULL;
}

void rig_pass(struct rig *rig, uint64_t ms)
{
	rig_local(rig)->now += ms * UW_MS;
}

bool rig_trap_begin(struct rig *rig, uint32_t *word, const uint32_t value[2], uint32_t first)
{
	uint32_t at = (uint32_t)((uint8_t *)word - rig->view), offset = at % UW_PAGE;

	return trap_begin(rig_local(rig)->host_view + at - offset, at >= rig->l.data, word, offset, value, first);
}

uint32_t rig_trap_end(struct rig *rig)
{
	(void)rig;
	return trap_end();
}

/* ---- setting up ---- */

void rig_local_reset(struct rig_local *r)
{
	struct uw_host_limits limits;

	uw_list_init(&r->idle);
	r->idle_count = r->rig.writes = 0;
	r->now = 0;
	uw_host_limits_default(&limits);
	limits.breaker.threshold = 0;
	uw_host_init(r->h, &r->rig.l, &limits, &r->mem, "host under test", 0, r->now);
	uw_host_link(r->h, true, r->now);
	uw_host_attach(r->h, 1, UW_SPEED_HIGH, r->now);
	uw_host_attach(r->h, (uint8_t)(r->rig.l.usb2_ports + 1), UW_SPEED_SUPER, r->now);
	rig_run(&r->rig, false);
}

static void set_layout(struct uw_layout *l, uint32_t size, uint16_t sub_slots, uint32_t start)
{
	uw_layout_default(l, size);
	l->sub_slots = sub_slots;
	l->comp_slots = (uint16_t)(2 * sub_slots);
	l->reserve = 4;
	l->start = start;
	l->transfers = 1024;
	l->share = 16;
	l->isoch_max = 8;
	l->packets_max = 64;
}

struct rig *rig_open(uint32_t size, uint16_t sub_slots, uint32_t start)
{
	struct rig_local *r = calloc(1, sizeof(*r));
	struct uw_layout *l = &r->rig.l;
	int fd = fence_file(size);

	set_layout(l, size, sub_slots, start);
	r->host_view = fence_view(fd, size);
	r->rig.view = fence_view(fd, size);
	close(fd);
	fence_read_only(r->host_view + l->guest_page, UW_PAGE);
	fence_read_only(r->host_view + l->sub_ring, l->comp_ring - l->sub_ring);
	r->mem.region = r->host_view;
	r->mem.xfers = fence_alloc(l->transfers * sizeof(*r->mem.xfers));
	r->mem.isos = fence_alloc((size_t)l->isoch_max * l->packets_max * sizeof(*r->mem.isos));
	r->mem.iso_free = fence_alloc(l->isoch_max * sizeof(*r->mem.iso_free));
	r->h = fence_alloc(sizeof(*r->h));
	rig_local_reset(r);
	return &r->rig;
}
