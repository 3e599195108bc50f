// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scripted device of tests/fuzz/vectors.h as a peer of UsbWarp.sys: endpoints 0 and 1 move every byte at once, 2 keeps
 * what comes until it is cancelled, 3 answers STALL, the others NO_ENDPOINT. What it is given is judged first.
 */
#include "script.h"

static volatile LONG64 came; /* transfers so far, of all devices */

static void violation(struct script *s, const char *what)
{
	InterlockedIncrement(&s->violations);
	DbgPrint("UWLAB: uwpeer %x: %s\n", s->peer.dev.product, what);
}

static void answer(struct script *s, struct uw_transfer_io *io, uint32_t status)
{
	io->status = status;
	s->peer.dev.host->complete(&s->peer.dev, io);
}

/* ---- transfers ---- */

/* What a device may be given: bytes inside data, packets inside the bytes. NULL: it is that. */
static const char *inspect(const struct script *s, const struct uw_transfer_io *io)
{
	const struct uw_layout *l = &s->layout;
	uint64_t at = (uint64_t)(uintptr_t)io->data - (uint64_t)(uintptr_t)s->peer.base;
	uint32_t i;

	if (!s->open)
		return "a transfer for a device that is not open";
	if (at < l->data || at > l->data + l->data_size || io->length > l->data + l->data_size - at)
		return "bytes outside of data for a device";
	if (io->length > l->transfer_max || io->packets > l->packets_max)
		return "a transfer beyond the limits";
	for (i = 0; i < io->packets; i++)
		if ((uint64_t)io->iso[i].offset + io->iso[i].length > io->length)
			return "a packet outside of its transfer";
	return NULL;
}

static void note_write(struct script *s, uint32_t at, uint32_t bytes)
{
	KIRQL irql;

	KeAcquireSpinLock(&s->lock, &irql);
	if (s->writes < UWP_WRITES) {
		s->low[s->writes] = at;
		s->high[s->writes++] = at + bytes;
	}
	KeReleaseSpinLock(&s->lock, irql);
}

static void move(struct script *s, struct uw_transfer_io *io)
{
	uint32_t i;

	io->actual = io->packets ? 0 : io->length;
	for (i = 0; i < io->packets; i++) {
		io->iso[i].actual = io->iso[i].length;
		io->actual = uw_min(io->actual + io->iso[i].length, io->length);
	}
	if ((io->endpoint & 0x80) && io->length) {
		RtlFillMemory(io->data, io->length, 0x5a);
		note_write(s, (uint32_t)(io->data - s->peer.base) - s->layout.data, io->length);
	}
}

static void keep(struct script *s, struct uw_transfer_io *io)
{
	KIRQL irql;

	KeAcquireSpinLock(&s->lock, &irql);
	io->due = (uint64_t)InterlockedIncrement64(&came);
	uw_list_add(&s->idle, &io->node);
	s->idle_count++;
	KeReleaseSpinLock(&s->lock, irql);
}

/* The transfer given, or the oldest; NULL: it is not there any more. */
static struct uw_transfer_io *take(struct script *s, const struct uw_transfer_io *wanted)
{
	struct uw_transfer_io *io = NULL;
	struct uw_list *node;
	KIRQL irql;

	KeAcquireSpinLock(&s->lock, &irql);
	for (node = s->idle.next; node != &s->idle; node = node->next) {
		io = UW_CONTAINER(node, struct uw_transfer_io, node);
		if (!wanted || io == wanted)
			break;
	}
	if (node == &s->idle) {
		io = NULL;
	} else {
		uw_list_del(node);
		s->idle_count--;
	}
	KeReleaseSpinLock(&s->lock, irql);
	return io;
}

/* ---- the backend ---- */

static struct script *script_of(struct uw_device *dev)
{
	return UW_CONTAINER(dev, struct script, peer.dev);
}

/* A program that writes over the host's page does so between two opens, and puts back what was there. */
static int on_open(struct uw_device *dev)
{
	struct script *s = script_of(dev);

	if (s->open)
		violation(s, "opened twice");
	if (uw_layout_read(&s->layout, (const void *)s->peer.base) || uw_layout_check(&s->layout, s->peer.size))
		violation(s, "a region without a layout");
	if (MmGetMdlByteCount(s->peer.mdl) != s->peer.size)
		violation(s, "not every page of the region");
	s->open = true;
	return UW_ST_OK;
}

static void on_close(struct uw_device *dev)
{
	struct script *s = script_of(dev);
	struct uw_transfer_io *io;

	if (!s->open)
		violation(s, "closed, and was not open");
	while ((io = take(s, NULL)) != NULL)
		answer(s, io, UW_ST_NO_DEVICE);
	s->open = false;
}

static void on_submit(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct script *s = script_of(dev);
	const char *wrong = inspect(s, io);
	uint8_t number = io->endpoint & 0x0f;

	if (wrong) {
		violation(s, wrong);
		answer(s, io, UW_ST_HOST);
	} else if (number == 2) {
		keep(s, io);
	} else {
		if (number < 2)
			move(s, io);
		answer(s, io, number < 2 ? UW_ST_OK : number == 3 ? UW_ST_STALL : UW_ST_NO_ENDPOINT);
	}
}

static void on_cancel(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct script *s = script_of(dev);

	if (take(s, io))
		answer(s, io, UW_ST_CANCELLED);
}

static void on_verb(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct script *s = script_of(dev);

	if (!s->open)
		violation(s, "a verb for a device that is not open");
	if (io->verb == UW_VERB_ALLOC_STREAMS)
		io->actual = io->arg[0];
	answer(s, io, UW_ST_OK);
}

static const struct uw_backend backend = {
	.name = "script", .open = on_open, .close = on_close, .submit = on_submit, .cancel = on_cancel, .reset = on_verb,
	.set_configuration = on_verb, .set_interface = on_verb, .clear_halt = on_verb, .alloc_streams = on_verb,
	.free_streams = on_verb, .suspend = on_verb, .resume = on_verb,
};

/* ---- for the rest of the driver ---- */

void uwp_init(struct script *s, uint32_t number)
{
	KeInitializeSpinLock(&s->lock);
	uw_list_init(&s->idle);
	s->peer.dev.ops = &backend;
	s->peer.dev.speed = number & 1 ? UW_SPEED_SUPER : UW_SPEED_HIGH;
	s->peer.dev.vendor = UWP_VENDOR;
	s->peer.dev.product = (uint16_t)(UWP_PRODUCT + number);
}

NTSTATUS uwp_connect(struct script *s, FILE_OBJECT *file, struct uw_peer_connect *c)
{
	if (!c || !file || c->size != sizeof(*c))
		return STATUS_INVALID_PARAMETER;
	if (c->version != UW_PEER_VERSION)
		return STATUS_REVISION_MISMATCH;
	if (s->owner)
		return STATUS_DEVICE_BUSY;
	s->owner = file;
	c->peer = &s->peer;
	return STATUS_SUCCESS;
}

void uwp_disconnect(struct script *s, const FILE_OBJECT *file)
{
	if (s->owner != file)
		return;
	if (s->open)
		violation(s, "let go and not closed");
	s->owner = NULL;
}

void uwp_look(struct script *s, struct uwp_state *state)
{
	uint32_t i;
	KIRQL irql;

	KeAcquireSpinLock(&s->lock, &irql);
	state->idle += s->idle_count;
	state->violations += (uint32_t)s->violations;
	if (s->writes == UWP_WRITES)
		state->writes = UWP_WRITES;
	for (i = 0; i < s->writes && state->writes < UWP_WRITES; i++, state->writes++) {
		state->low[state->writes] = s->low[i];
		state->high[state->writes] = s->high[i];
	}
	s->writes = 0;
	KeReleaseSpinLock(&s->lock, irql);
}

uint64_t uwp_oldest(struct script *s)
{
	uint64_t when = UW_NEVER;
	KIRQL irql;

	KeAcquireSpinLock(&s->lock, &irql);
	if (!uw_list_empty(&s->idle))
		when = UW_CONTAINER(s->idle.next, struct uw_transfer_io, node)->due;
	KeReleaseSpinLock(&s->lock, irql);
	return when;
}

bool uwp_complete(struct script *s, uint32_t status, uint32_t actual)
{
	struct uw_transfer_io *io = take(s, NULL);

	if (!io)
		return false;
	io->actual = actual;
	answer(s, io, status);
	return true;
}
