/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Isochronous transfers: submissions queue per endpoint and leave as URBs that cut.c plans.
 *
 * The first URB of a stream starts as soon as possible, as does each that follows before the bus has told when that
 * was; later ones name their frame, so that what comes late is reported late and not moved. A stream ends when nothing
 * is with the stack.
 */
#include "filter.h"

#include "status.h"

#define AHEAD (2 * UW_CUT_FRAMES)      /* frames with the stack, at most */
#define PATIENCE 2                     /* milliseconds that an incomplete frame waits for more packets */

_Static_assert(sizeof(struct uw_cut_slot) == sizeof(USBD_ISO_PACKET_DESCRIPTOR), "laid out alike");
_Static_assert(offsetof(struct uw_cut_slot, status) == offsetof(USBD_ISO_PACKET_DESCRIPTOR, Status), "laid out alike");

static struct uw_cut_slot *slots_of(struct uw_urb *u)
{
	return (struct uw_cut_slot *)u->urb->UrbIsochronousTransfer.IsoPacket;
}

static struct uw_iso_job *job_at(struct uw_list *node)
{
	return UW_CONTAINER(node, struct uw_iso_job, node);
}

/* ---- the end of a submission ---- */

/* With the lock held: it has nothing with the stack and sends nothing more. */
static struct uw_transfer_io *close_job(struct uw_iso_job *job)
{
	struct uw_transfer_io *io = job->io;

	uw_list_del(&job->node);
	io->own = NULL;
	io->due = UW_PLACE_NONE;
	io->status = job->status;
	ExFreePoolWithTag(job, UW_FILTER_TAG);
	return io;
}

/* With the lock held: its packets that have not left never will. */
static void withdraw(struct uw_iso_job *job)
{
	uw_list_del(&job->node);
	job->status = UW_ST_CANCELLED;
	for (; job->next < job->io->packets; job->next++) {
		job->io->iso[job->next].actual = 0;
		job->io->iso[job->next].status = UW_ST_CANCELLED;
	}
}

static bool has_ended(const struct uw_iso_job *job)
{
	return !job->out && job->next == job->io->packets;
}

/* ---- planning ---- */

static uint32_t look_ahead(struct uw_stream *s, struct uw_cut_source *source, struct uw_iso_job **job)
{
	struct uw_list *node;
	uint32_t n = 0;

	for (node = s->queue.next; node != &s->queue && n < UW_CUT_PARTS; node = node->next, n++) {
		job[n] = job_at(node);
		source[n].iso = job[n]->io->iso;
		source[n].next = job[n]->next;
		source[n].packets = job[n]->io->packets;
	}
	return n;
}

static uint64_t now_of(struct uw_pipe *pipe)
{
	struct uw_device *dev = &pipe->f->peer.dev;

	return dev->host->now(dev);
}

/* Where the next URB begins, nothing known of earlier ones tells. */
static void lose_track(struct uw_stream *s)
{
	s->origin = s->position;
	s->end = 0;
}

static bool is_known(const struct uw_stream *s)
{
	return s->known && uw_ahead(s->base_at, s->origin) >= 0;
}

static void plan_start(struct uw_urb *u)
{
	struct _URB_ISOCH_TRANSFER *iso = &u->urb->UrbIsochronousTransfer;
	struct uw_stream *s = &u->pipe->stream;
	uint64_t now = now_of(u->pipe);

	if (!s->frames)
		lose_track(s);
	u->asap = !is_known(s);
	u->position = s->position;
	u->limit = s->end;
	if (u->asap) {
		iso->TransferFlags |= USBD_START_ISO_TRANSFER_ASAP;
		s->end = (s->end > now ? s->end : now) + uw_cut_frames(&s->rules, u->cut.packets) * UW_MS;
	} else {
		iso->StartFrame = s->base + s->position;
	}
}

/*
 * An URB that starts as soon as possible follows on the one before it, if that one cannot have ended before the stack
 * had this one: from the moment at which it was sent it takes at least as long as its frames. Else there may be a gap,
 * and only this URB's own answer tells where it and those behind it are.
 */
static void send_planned(struct uw_pipe *pipe, struct uw_urb *u)
{
	uint32_t position = u->position;
	uint64_t limit = u->limit;
	bool asap = u->asap;
	KIRQL irql;

	uw_urb_send(u);
	if (!asap)
		return;
	KeAcquireSpinLock(&pipe->f->lock, &irql);
	if (now_of(pipe) >= limit && uw_ahead(position, pipe->stream.origin) > 0)
		pipe->stream.origin = position;
	KeReleaseSpinLock(&pipe->f->lock, irql);
}

static void begin_iso(struct uw_urb *u, uint32_t bytes)
{
	struct _URB_ISOCH_TRANSFER *iso = &u->urb->UrbIsochronousTransfer;
	struct uw_stream *s = &u->pipe->stream;

	uw_zero((uint8_t *)iso + sizeof(iso->Hdr), offsetof(struct _URB_ISOCH_TRANSFER, IsoPacket) - sizeof(iso->Hdr));
	iso->Hdr.Status = USBD_STATUS_SUCCESS;
	iso->Hdr.Function = u->mapped > 1 ? URB_FUNCTION_ISOCH_TRANSFER_USING_CHAINED_MDL : URB_FUNCTION_ISOCH_TRANSFER;
	iso->Hdr.Length = (USHORT)uw_urb_iso_bytes(u->cut.packets);
	iso->PipeHandle = u->pipe->handle;
	if (s->rules.in)
		iso->TransferFlags = USBD_TRANSFER_DIRECTION_IN | USBD_SHORT_TRANSFER_OK;
	iso->TransferBufferLength = bytes;
	iso->NumberOfPackets = u->cut.packets;
	if (u->copy)
		iso->TransferBuffer = u->bounce;
	else
		iso->TransferBufferMDL = bytes ? u->mdl[0] : NULL;
	plan_start(u);
}

/* The URB's packets are the stack's from here on. */
static void take_parts(struct uw_urb *u, struct uw_iso_job **job)
{
	struct uw_stream *s = &u->pipe->stream;
	uint32_t p, frames = uw_cut_frames(&s->rules, u->cut.packets);
	struct uw_iso_job *j;

	for (p = 0; p < u->cut.parts; p++) {
		j = u->job[p] = job[u->cut.part[p].source];
		j->next += u->cut.part[p].count;
		j->out += u->cut.part[p].count;
		if (j->next == j->io->packets)
			uw_list_del(&j->node);
	}
	s->position += frames;
	s->frames += frames;
	s->pad = false;
}

/*
 * With the lock held: the URB's bytes are used where they lie, in one MDL or in a chain of a few, or are to be copied. Many
 * short packets with gaps between them are copied in any case: each would need an MDL, which costs more than its bytes.
 * False: no memory.
 */
static bool find_bytes(struct uw_urb *u, const struct uw_cut_rules *rules, const struct uw_cut_source *source,
		       struct uw_iso_job **job, uint32_t bytes)
{
	struct uw_cut_run run[UW_CUT_RUNS];
	uint32_t i, runs = uw_cut_runs(rules, source, &u->cut, run);

	u->copy = bytes && (!runs || (runs > 1 && !u->f->usbd.chains));
	if (u->copy)
		return uw_urb_room_bounce(u, bytes);
	for (i = 0; i < runs; i++) {
		if (!uw_urb_room_mdl(u, i, run[i].bytes))
			return false;
		uw_urb_map(u, job[run[i].source]->io->data + run[i].offset, run[i].bytes);
	}
	return true;
}

static void on_iso(struct uw_urb *u);

/* With the lock held: the URB of a cut, armed. NULL: no memory. */
static struct uw_urb *make_urb(struct uw_pipe *pipe, const struct uw_cut *cut, const struct uw_cut_source *source,
			       struct uw_iso_job **job)
{
	struct uw_stream *s = &pipe->stream;
	struct uw_urb *u = uw_urb_get(pipe->f);
	uint32_t bytes;

	if (!u)
		return NULL;
	u->cut = *cut;
	if (!uw_urb_room_iso(u, cut->packets))
		goto fail;
	bytes = uw_cut_place(&s->rules, source, cut, slots_of(u));
	if (!find_bytes(u, &s->rules, source, job, bytes))
		goto fail;
	u->pipe = pipe;
	u->done = on_iso;
	begin_iso(u, bytes);
	take_parts(u, job);
	uw_urb_arm(u, IOCTL_INTERNAL_USB_SUBMIT_URB);
	return u;
fail:
	uw_urb_drop(u);
	return NULL;
}

/* A frame that lacks packets gets them from later submissions, or is filled up when nothing keeps the bus busy. */
static void wait_for_more(struct uw_stream *s)
{
	LARGE_INTEGER time;

	if (uw_list_empty(&s->queue) || s->frames || s->ticking)
		return;
	s->ticking = true;
	time.QuadPart = -PATIENCE * 10000;
	KeSetTimer(&s->timer, time, &s->dpc);
}

/* With the lock held. failed: the submission that memory was too short for. */
static struct uw_urb *next_urb(struct uw_pipe *pipe, struct uw_transfer_io **failed)
{
	struct uw_cut_source source[UW_CUT_PARTS];
	struct uw_iso_job *job[UW_CUT_PARTS];
	struct uw_stream *s = &pipe->stream;
	uint32_t sources = look_ahead(s, source, job);
	struct uw_cut cut;
	struct uw_urb *u;

	if (pipe->stopped || (s->frames && s->frames + UW_CUT_FRAMES > AHEAD))
		return NULL;
	if (!uw_cut_next(&s->rules, source, sources, s->pad, &cut)) {
		wait_for_more(s);
		return NULL;
	}
	u = make_urb(pipe, &cut, source, job);
	if (u)
		return u;
	withdraw(job[0]);
	job[0]->status = UW_ST_HOST;
	*failed = job[0]->out ? NULL : close_job(job[0]);
	return NULL;
}

/* ---- there and back ---- */

static void copy_out(struct uw_urb *u)
{
	const struct uw_cut_slot *slot = slots_of(u);
	const struct uw_transfer_io *io;
	const struct uw_iso *packet;
	uint32_t p, i;

	for (p = 0; p < u->cut.parts; p++) {
		io = u->job[p]->io;
		packet = io->iso + u->cut.part[p].first;
		for (i = 0; i < u->cut.part[p].count; i++, slot++, packet++)
			uw_copy(u->bounce + slot->offset, io->data + packet->offset, slot->length);
	}
}

void uw_iso_pump(struct uw_pipe *pipe)
{
	struct uw_stream *s = &pipe->stream;
	struct uw_transfer_io *failed;
	struct uw_urb *u;
	KIRQL irql;

	KeAcquireSpinLock(&pipe->f->lock, &irql);
	while (!s->pumping) {
		failed = NULL;
		u = next_urb(pipe, &failed);
		if (!u && !failed)
			break;
		s->pumping = true;
		KeReleaseSpinLock(&pipe->f->lock, irql);
		if (u && u->copy && !s->rules.in)
			copy_out(u);
		if (u)
			send_planned(pipe, u);
		else
			uw_usb_answer(pipe->f, failed, failed->status);
		KeAcquireSpinLock(&pipe->f->lock, &irql);
		s->pumping = false;
	}
	KeReleaseSpinLock(&pipe->f->lock, irql);
}

/* One packet's result. whole: of the URB; it counts where the stack did not get as far as the packet. */
static uint32_t note_packet(struct uw_urb *u, struct uw_transfer_io *io, struct uw_iso *p,
			    const struct uw_cut_slot *slot, uint32_t whole)
{
	const struct uw_cut_rules *rules = &u->pipe->stream.rules;
	uint32_t wanted = uw_cut_bytes(rules, p);

	p->status = whole != UW_ST_OK ? whole : uw_usbd_status(slot->status);
	p->actual = rules->in ? uw_min(slot->length, wanted) : wanted;
	if (p->status != UW_ST_OK && (whole != UW_ST_OK || !rules->in))
		p->actual = 0;
	if (!rules->in && p->length > rules->service)
		p->status = UW_ST_INVALID;
	if (rules->in && u->copy && p->actual)
		uw_copy(io->data + p->offset, u->bounce + slot->offset, p->actual);
	return p->actual;
}

/* An URB that failed speaks for its packets, unless it says that all of them failed: then each has its reason. */
static uint32_t whole_of(const struct uw_urb *u)
{
	if (u->urb->UrbHeader.Status == USBD_STATUS_ISOCH_REQUEST_FAILED)
		return UW_ST_OK;
	return uw_urb_result(u);
}

/* With the lock held. */
static void follow_clock(struct uw_urb *u, uint32_t whole)
{
	struct uw_stream *s = &u->pipe->stream;

	s->frames -= uw_cut_frames(&s->rules, u->cut.packets);
	if (whole != UW_ST_OK) {
		lose_track(s);
	} else if (u->asap && uw_ahead(u->position, s->origin) >= 0) {
		s->base = u->urb->UrbIsochronousTransfer.StartFrame - u->position;
		s->base_at = u->position;
		s->known = true;
	}
}

/* A part is back. Returns its submission when that was the last one of it. */
static struct uw_transfer_io *end_part(struct uw_urb *u, uint32_t part, uint32_t moved, uint32_t whole)
{
	struct uw_iso_job *job = u->job[part];
	struct uw_transfer_io *io = job->io, *ended = NULL;
	KIRQL irql;

	KeAcquireSpinLock(&u->f->lock, &irql);
	job->out -= u->cut.part[part].count;
	io->actual = uw_min(io->actual + moved, io->length); /* packets may overlap */
	io->copied += u->copy ? moved : 0;
	if (whole != UW_ST_OK && whole != UW_ST_LATE && job->status == UW_ST_OK)
		job->status = whole;
	if (has_ended(job))
		ended = close_job(job);
	KeReleaseSpinLock(&u->f->lock, irql);
	return ended;
}

static void on_iso(struct uw_urb *u)
{
	const struct uw_cut_slot *slot = slots_of(u);
	uint32_t p, i, moved, whole = whole_of(u);
	struct uw_transfer_io *io;
	KIRQL irql;

	KeAcquireSpinLock(&u->f->lock, &irql);
	follow_clock(u, whole);
	KeReleaseSpinLock(&u->f->lock, irql);
	for (p = 0; p < u->cut.parts; p++) {
		io = u->job[p]->io;
		moved = 0;
		for (i = 0; i < u->cut.part[p].count; i++, slot++)
			moved += note_packet(u, io, &io->iso[u->cut.part[p].first + i], slot, whole);
		io = end_part(u, p, moved, whole);
		if (io)
			uw_usb_answer(u->f, io, io->status);
	}
	if (whole == UW_ST_NO_DEVICE)
		uw_usb_lose(u->f);
	uw_iso_pump(u->pipe);
	uw_urb_end(u);
}

/* ---- what the verbs need ---- */

bool uw_iso_queue(struct uw_pipe *pipe, struct uw_transfer_io *io)
{
	struct uw_iso_job *job = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*job), UW_FILTER_TAG);

	if (!job)
		return false;
	uw_list_init(&job->node);
	job->io = io;
	job->next = job->out = 0;
	job->status = UW_ST_OK;
	io->own = job;
	io->due = UW_PLACE_ISO;
	uw_list_add(&pipe->stream.queue, &job->node);
	return true;
}

static struct uw_urb *urb_with(struct uw_filter *f, const struct uw_iso_job *job)
{
	struct uw_list *node;
	struct uw_urb *u;
	uint32_t p;

	for (node = f->out.next; node != &f->out; node = node->next) {
		u = UW_CONTAINER(node, struct uw_urb, node);
		for (p = 0; u->done == on_iso && !u->cancelled && p < u->cut.parts; p++)
			if (u->job[p] == job)
				return u;
	}
	return NULL;
}

/* An URB joined of several submissions takes the others' packets of that frame with it. */
void uw_iso_cancel_locked(struct uw_filter *f, struct uw_transfer_io *io, KIRQL irql)
{
	struct uw_iso_job *job = io->own;
	struct uw_urb *u;

	withdraw(job);
	if (has_ended(job)) {
		close_job(job);
		KeReleaseSpinLock(&f->lock, irql);
		uw_usb_answer(f, io, UW_ST_CANCELLED);
		return;
	}
	while (io->due == UW_PLACE_ISO && io->own == job && (u = urb_with(f, job)) != NULL) {
		uw_urb_cancel_locked(u, irql);
		KeAcquireSpinLock(&f->lock, &irql);
	}
	KeReleaseSpinLock(&f->lock, irql);
}

void uw_iso_flush(struct uw_pipe *pipe)
{
	struct uw_stream *s = &pipe->stream;
	struct uw_transfer_io *io;
	struct uw_iso_job *job;
	KIRQL irql;

	KeAcquireSpinLock(&pipe->f->lock, &irql);
	while (!uw_list_empty(&s->queue)) {
		job = job_at(s->queue.next);
		withdraw(job);
		if (!has_ended(job))
			continue;
		io = close_job(job);
		KeReleaseSpinLock(&pipe->f->lock, irql);
		uw_usb_answer(pipe->f, io, UW_ST_CANCELLED);
		KeAcquireSpinLock(&pipe->f->lock, &irql);
	}
	KeReleaseSpinLock(&pipe->f->lock, irql);
}

static VOID NTAPI on_timer(KDPC *dpc, void *context, void *a, void *b)
{
	struct uw_pipe *pipe = context;

	UNREFERENCED_PARAMETER(dpc);
	UNREFERENCED_PARAMETER(a);
	UNREFERENCED_PARAMETER(b);
	KeAcquireSpinLockAtDpcLevel(&pipe->f->lock);
	pipe->stream.pad = true;
	KeReleaseSpinLockFromDpcLevel(&pipe->f->lock);
	uw_iso_pump(pipe);
	KeAcquireSpinLockAtDpcLevel(&pipe->f->lock);
	pipe->stream.ticking = false;
	pipe->stream.pad = false;
	if (!pipe->stopped)
		wait_for_more(&pipe->stream); /* what came while this ran saw it ticking */
	KeSetEvent(&pipe->f->changed, IO_NO_INCREMENT, FALSE);
	KeReleaseSpinLockFromDpcLevel(&pipe->f->lock);
}

static bool ticks(struct uw_pipe *pipe)
{
	bool ticking;
	KIRQL irql;

	KeAcquireSpinLock(&pipe->f->lock, &irql);
	if (pipe->stream.ticking && KeCancelTimer(&pipe->stream.timer))
		pipe->stream.ticking = false;
	ticking = pipe->stream.ticking;
	KeReleaseSpinLock(&pipe->f->lock, irql);
	return ticking;
}

void uw_iso_quiet(struct uw_pipe *pipe)
{
	while (ticks(pipe))
		uw_wait_ms(&pipe->f->changed, 10);
}

void uw_iso_init(struct uw_pipe *pipe)
{
	uw_list_init(&pipe->stream.queue);
	KeInitializeTimer(&pipe->stream.timer);
	KeInitializeDpc(&pipe->stream.dpc, on_timer, pipe);
}
