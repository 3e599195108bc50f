/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A real device behind the backend's verbs, on the bus driver below.
 *
 * Transfers go down in the caller's context and are answered by their completion. Verbs that block run in a work item,
 * one at a time, behind the gate that open, close and power share.
 */
#include "filter.h"

#define MDL_ROOM (64u << 10)           /* bytes; what most transfers need */
#define CLOSE_STEP 50u                 /* milliseconds */

static struct uw_transfer_io *io_at(struct uw_list *node)
{
	return UW_CONTAINER(node, struct uw_transfer_io, node);
}

void uw_usb_answer(struct uw_filter *f, struct uw_transfer_io *io, uint32_t status)
{
	io->status = status;
	f->peer.dev.host->complete(&f->peer.dev, io);
}

/* A call to the owner that answers no transfer. close waits for those under way; none begins once it has begun. */
static bool call_begin_locked(struct uw_filter *f)
{
	bool may = f->open && !f->closing;

	f->calls += may;
	return may;
}

static void call_end(struct uw_filter *f)
{
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	f->calls--;
	KeSetEvent(&f->changed, IO_NO_INCREMENT, FALSE);
	KeReleaseSpinLock(&f->lock, irql);
}

void uw_usb_lose(struct uw_filter *f)
{
	bool tell;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	tell = !f->lost && call_begin_locked(f);
	f->lost = true;
	KeReleaseSpinLock(&f->lock, irql);
	if (!tell)
		return;
	f->peer.dev.host->gone(&f->peer.dev);
	call_end(f);
}

/* With the lock held: why nothing new is taken now. */
static uint32_t refusal(const struct uw_filter *f)
{
	if (f->lost)
		return UW_ST_NO_DEVICE;
	return !f->open || f->closing || f->asleep ? UW_ST_CANCELLED : UW_ST_OK;
}

/* ---- transfers ---- */

/* With the lock held: the transfer ends here, and its answer is the caller's to give. */
static void let_go(struct uw_transfer_io *io)
{
	io->own = NULL;
	io->due = UW_PLACE_NONE;
}

/* True: the transfer goes on with its empty packet, in the same IRP, which no canceller has in hand. Without it the
 * transfer was not carried out. */
static bool go_on_with_zero(struct uw_urb *u, uint32_t status)
{
	if (status != UW_ST_OK || !u->zero || u->cancelled || u->pipe->stopped)
		return false;
	u->zero = false;
	uw_urb_fill_data(u, uw_streams_handle(u->pipe, u->io->stream), false, 0);
	uw_urb_arm(u, IOCTL_INTERNAL_USB_SUBMIT_URB);
	return true;
}

static void on_transfer(struct uw_urb *u)
{
	struct uw_transfer_io *io = u->io;
	uint32_t status = uw_urb_result(u), moved = uw_urb_moved(u);
	struct uw_filter *f = u->f;
	bool more;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	io->actual += uw_min(moved, io->length - io->actual);
	more = go_on_with_zero(u, status);
	if (!more) {
		let_go(io);
		if (u->blocks)
			u->pipe->blocked = false;
	}
	KeReleaseSpinLock(&f->lock, irql);
	if (more) {
		uw_urb_send(u);
		return;
	}
	uw_usb_answer(f, io, u->zero && status == UW_ST_OK ? UW_ST_CANCELLED : status);
	if (status == UW_ST_NO_DEVICE)
		uw_usb_lose(f);
	if (u->blocks)
		uw_usb_send_held(f, u->pipe);
	uw_urb_end(u);
}

/* With the lock held: an URB with the transfer's bytes, or NULL. */
static struct uw_urb *get_urb(struct uw_filter *f, struct uw_transfer_io *io)
{
	struct uw_urb *u = uw_urb_get(f);

	if (!u)
		return NULL;
	if (io->length && !uw_urb_room_mdl(u, 0, io->length > MDL_ROOM ? io->length : MDL_ROOM)) {
		uw_urb_drop(u);
		return NULL;
	}
	if (io->length)
		uw_urb_map(u, io->data, io->length);
	u->io = io;
	u->done = on_transfer;
	io->own = u;
	io->due = UW_PLACE_OUT;
	return u;
}

static struct uw_urb *start_control(struct uw_filter *f, struct uw_transfer_io *io)
{
	struct uw_urb *u = get_urb(f, io);

	if (!u)
		return NULL;
	uw_urb_fill_control(u, io);
	uw_urb_arm(u, IOCTL_INTERNAL_USB_SUBMIT_URB);
	return u;
}

/* An empty packet is an URB of its own, and only after the others have all been sent: the pipe waits for it. With streams
 * all of them wait: protocols that use streams say how long a message is, and ask for no empty packet. */
static bool wants_zero(const struct uw_pipe *pipe, const struct uw_transfer_io *io)
{
	return io->flags & UW_SUBMIT_ZERO_PACKET && !(io->endpoint & 0x80) && io->length && pipe->e.packet &&
	       io->length % pipe->e.packet == 0;
}

/* Sets u when there is an URB to send; else an answer is due. */
static uint32_t start_data(struct uw_filter *f, struct uw_pipe *pipe, struct uw_transfer_io *io, struct uw_urb **urb)
{
	USBD_PIPE_HANDLE handle = uw_streams_handle(pipe, io->stream);
	struct uw_urb *u = handle ? get_urb(f, io) : NULL;

	*urb = u;
	if (!u)
		return handle ? UW_ST_HOST : UW_ST_NO_ENDPOINT;
	u->pipe = pipe;
	u->zero = u->blocks = wants_zero(pipe, io);
	if (u->blocks)
		pipe->blocked = true;
	uw_urb_fill_data(u, handle, io->endpoint & 0x80, io->length);
	uw_urb_arm(u, IOCTL_INTERNAL_USB_SUBMIT_URB);
	return UW_ST_OK;
}

void uw_usb_send_held(struct uw_filter *f, struct uw_pipe *pipe)
{
	struct uw_transfer_io *io;
	struct uw_urb *u;
	uint32_t status;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	while (!pipe->sending && !pipe->stopped && !pipe->blocked && !uw_list_empty(&pipe->held)) {
		io = io_at(uw_list_pop(&pipe->held));
		status = start_data(f, pipe, io, &u);
		if (!u)
			let_go(io);
		pipe->sending = true;
		KeReleaseSpinLock(&f->lock, irql);
		if (u)
			uw_urb_send(u);
		else
			uw_usb_answer(f, io, status);
		KeAcquireSpinLock(&f->lock, &irql);
		pipe->sending = false;
	}
	KeReleaseSpinLock(&f->lock, irql);
}

static struct uw_pipe *pipe_of(struct uw_filter *f, const struct uw_transfer_io *io)
{
	struct uw_pipe *pipe = &f->pipe[uw_endpoint_index(io->endpoint)];

	return pipe->handle && pipe->e.type == io->type ? pipe : NULL;
}

/* With the lock held. Sets u when there is one to send; else an answer is due unless the status is OK. */
static uint32_t route(struct uw_filter *f, struct uw_transfer_io *io, struct uw_pipe **pipe, struct uw_urb **u)
{
	if (io->type == UW_CONTROL && !(io->endpoint & 0x0f)) {
		*u = start_control(f, io);
		return *u ? UW_ST_OK : UW_ST_HOST;
	}
	*pipe = pipe_of(f, io);
	if (!*pipe || io->type == UW_CONTROL)
		return UW_ST_NO_ENDPOINT;
	if (io->type == UW_ISOCH)
		return uw_iso_queue(*pipe, io) ? UW_ST_OK : UW_ST_HOST;
	if ((*pipe)->stopped || (*pipe)->blocked || (*pipe)->sending || !uw_list_empty(&(*pipe)->held)) {
		io->due = UW_PLACE_HELD;
		uw_list_add(&(*pipe)->held, &io->node);
		return UW_ST_OK;
	}
	return start_data(f, *pipe, io, u);
}

static void usb_submit(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_filter *f = uw_filter_of_peer(dev);
	struct uw_pipe *pipe = NULL;
	struct uw_urb *u = NULL;
	uint32_t status;
	KIRQL irql;

	uw_list_init(&io->node);
	let_go(io);
	KeAcquireSpinLock(&f->lock, &irql);
	status = refusal(f);
	if (status == UW_ST_OK)
		status = route(f, io, &pipe, &u);
	KeReleaseSpinLock(&f->lock, irql);
	if (u)
		uw_urb_send(u);
	else if (status != UW_ST_OK)
		uw_usb_answer(f, io, status);
	else if (pipe->e.type == UW_ISOCH)
		uw_iso_pump(pipe);
}

/* The transfer may have been answered already, in a completion that its session has not seen yet. */
static void usb_cancel(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_filter *f = uw_filter_of_peer(dev);
	bool held;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	if (io->due == UW_PLACE_OUT) {
		uw_urb_cancel_locked(io->own, irql);
		return;
	}
	if (io->due == UW_PLACE_ISO) {
		uw_iso_cancel_locked(f, io, irql);
		return;
	}
	held = io->due == UW_PLACE_HELD;
	if (held) {
		uw_list_del(&io->node);
		let_go(io);
	}
	KeReleaseSpinLock(&f->lock, irql);
	if (held)
		uw_usb_answer(f, io, UW_ST_CANCELLED);
}

/* ---- verbs, in the work item ---- */

/*
 * A device that does not come out of a reset as what it was (after a change of firmware, say) is made to enumerate
 * anew, as what it is now; this devnode then ends.
 */
static uint32_t reset(struct uw_filter *f)
{
	uint32_t status;

	uw_pipes_stop(f, UW_EVERY);
	uw_config_drop(f);
	status = uw_urb_ioctl(f, IOCTL_INTERNAL_USB_RESET_PORT);
	if (status == UW_ST_OK || status == UW_ST_CANCELLED)
		return status;
	if (status != UW_ST_NO_DEVICE)
		uw_urb_ioctl(f, IOCTL_INTERNAL_USB_CYCLE_PORT);
	uw_usb_lose(f);
	return UW_ST_NO_DEVICE;
}

static uint32_t run_verb(struct uw_filter *f, struct uw_transfer_io *io)
{
	uint32_t status;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	status = refusal(f);
	KeReleaseSpinLock(&f->lock, irql);
	if (status != UW_ST_OK)
		return status;
	switch (io->verb) {
	case UW_VERB_RESET:
		return reset(f);
	case UW_VERB_SET_CONFIGURATION:
		return uw_config_select(f, (uint8_t)io->arg[0]);
	case UW_VERB_SET_INTERFACE:
		return io->arg[0] > 255 || io->arg[1] > 255 ? UW_ST_NO_ENDPOINT :
		       uw_config_interface(f, (uint8_t)io->arg[0], (uint8_t)io->arg[1]);
	case UW_VERB_ALLOC_STREAMS:
		return uw_streams_alloc(f, io);
	case UW_VERB_FREE_STREAMS:
		return uw_streams_free(f, io);
	default:
		return uw_config_clear_halt(f, (uint8_t)io->arg[0]);
	}
}

/* The next verb; without one the work item is over. */
static struct uw_transfer_io *next_verb(struct uw_filter *f)
{
	struct uw_list *node;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	node = uw_list_pop(&f->verbs);
	f->verb_busy = node != NULL;
	KeSetEvent(&f->changed, IO_NO_INCREMENT, FALSE);
	KeReleaseSpinLock(&f->lock, irql);
	return node ? io_at(node) : NULL;
}

static VOID NTAPI on_work(DEVICE_OBJECT *device, void *context)
{
	struct uw_filter *f = uw_filter_of(device);
	struct uw_transfer_io *io;
	uint32_t status;

	UNREFERENCED_PARAMETER(context);
	while ((io = next_verb(f)) != NULL) {
		uw_gate_enter(f);
		status = run_verb(f, io);
		uw_gate_leave(f);
		let_go(io);
		uw_usb_answer(f, io, status);
		if (status == UW_ST_NO_DEVICE)
			uw_usb_lose(f);
	}
	IoReleaseRemoveLock(&f->removal, NULL);
}

/* With the lock held. first: the work item is to be queued. */
static uint32_t queue_verb(struct uw_filter *f, struct uw_transfer_io *io, bool *first)
{
	uint32_t status = refusal(f);

	if (status != UW_ST_OK)
		return status;
	*first = !f->verb_busy;
	if (*first && !NT_SUCCESS(IoAcquireRemoveLock(&f->removal, NULL))) {
		*first = false;
		return UW_ST_NO_DEVICE;
	}
	f->verb_busy = true;
	io->due = UW_PLACE_VERB;
	uw_list_add(&f->verbs, &io->node);
	return UW_ST_OK;
}

static void usb_verb(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_filter *f = uw_filter_of_peer(dev);
	bool first = false;
	uint32_t status;
	KIRQL irql;

	uw_list_init(&io->node);
	let_go(io);
	KeAcquireSpinLock(&f->lock, &irql);
	status = queue_verb(f, io, &first);
	KeReleaseSpinLock(&f->lock, irql);
	if (first)
		IoQueueWorkItem(f->work, on_work, DelayedWorkQueue, NULL);
	if (status != UW_ST_OK)
		uw_usb_answer(f, io, status);
}

/* The device stays awake: a suspended port is the guest's idea alone, and never signals wake-up. */
static void usb_pretend(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_filter *f = uw_filter_of_peer(dev);
	uint32_t status;
	KIRQL irql;

	let_go(io);
	KeAcquireSpinLock(&f->lock, &irql);
	status = refusal(f);
	KeReleaseSpinLock(&f->lock, irql);
	uw_usb_answer(f, io, status);
}

/* ---- open and close ---- */

static bool may_open(struct uw_filter *f)
{
	bool may;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	may = f->started && !f->lost && !f->open && !f->asleep;
	KeReleaseSpinLock(&f->lock, irql);
	return may;
}

static void set_open(struct uw_filter *f, bool open)
{
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	f->open = open;
	f->closing = false;
	KeReleaseSpinLock(&f->lock, irql);
}

static int usb_open(struct uw_device *dev)
{
	struct uw_filter *f = uw_filter_of_peer(dev);
	uint32_t status = UW_ST_NO_DEVICE;

	if (!NT_SUCCESS(IoAcquireRemoveLock(&f->removal, NULL)))
		return UW_ST_NO_DEVICE;
	uw_gate_enter(f);
	if (may_open(f))
		status = uw_urb_ioctl(f, IOCTL_INTERNAL_USB_RESET_PORT);
	if (status == UW_ST_OK)
		status = uw_config_read(f);
	if (status == UW_ST_OK)
		set_open(f, true);
	uw_gate_leave(f);
	IoReleaseRemoveLock(&f->removal, NULL);
	return (int)status;
}

/* Under way besides transfers: a verb, or a call to the owner. */
static bool busy(struct uw_filter *f)
{
	bool is;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	is = f->verb_busy || f->calls;
	KeReleaseSpinLock(&f->lock, irql);
	return is;
}

/* False: it is closed already. */
static bool begin_close(struct uw_filter *f)
{
	bool was;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	was = f->open && !f->closing;
	f->closing = f->open;
	KeReleaseSpinLock(&f->lock, irql);
	return was;
}

/*
 * A verb under way ends soon because its requests are cancelled, again and again. The stack gives back each URB that is
 * cancelled or whose pipe is aborted, and until it has, the controller may write into the region: so this waits for it.
 */
static void usb_close(struct uw_device *dev)
{
	struct uw_filter *f = uw_filter_of_peer(dev);

	if (!begin_close(f))
		return;
	while (busy(f)) {
		uw_urbs_cancel(f, UW_EVERY);
		uw_wait_ms(&f->changed, CLOSE_STEP);
	}
	uw_gate_enter(f);
	uw_pipes_stop(f, UW_EVERY);
	uw_pipes_drain(f);
	uw_config_select(f, 0);
	uw_config_forget(f);
	set_open(f, false);
	uw_gate_leave(f);
}

const struct uw_backend uw_filter_backend = {
	.name = "windows",
	.open = usb_open,
	.close = usb_close,
	.submit = usb_submit,
	.cancel = usb_cancel,
	.reset = usb_verb,
	.set_configuration = usb_verb,
	.set_interface = usb_verb,
	.clear_halt = usb_verb,
	.alloc_streams = usb_verb,
	.free_streams = usb_verb,
	.suspend = usb_pretend,
	.resume = usb_pretend,
};

/* ---- sleep and wake ---- */

static void set_asleep(struct uw_filter *f, bool asleep)
{
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	f->asleep = asleep;
	KeReleaseSpinLock(&f->lock, irql);
}

void uw_usb_sleep(struct uw_filter *f)
{
	set_asleep(f, true);
	uw_urbs_cancel(f, UW_EVERY);
	uw_gate_enter(f);
	uw_pipes_stop(f, UW_EVERY);
	uw_pipes_drain(f);
	uw_gate_leave(f);
}

/* The bus may have been without power. What the guest had chosen is chosen again, and the rest is left to it. */
void uw_usb_wake(struct uw_filter *f)
{
	struct uw_choice choice;
	bool tell;
	KIRQL irql;

	uw_gate_enter(f);
	choice = f->choice;
	KeAcquireSpinLock(&f->lock, &irql);
	tell = call_begin_locked(f);
	KeReleaseSpinLock(&f->lock, irql);
	if (tell)
		uw_config_again(f, &choice);
	set_asleep(f, false);
	uw_gate_leave(f);
	if (!tell)
		return;
	if (f->peer.lost_power)
		f->peer.lost_power(&f->peer.dev);
	call_end(f);
}

void uw_usb_init(struct uw_filter *f)
{
	uint32_t i;

	f->peer.dev.ops = &uw_filter_backend;
	KeInitializeSpinLock(&f->lock);
	KeInitializeEvent(&f->changed, SynchronizationEvent, FALSE);
	KeInitializeEvent(&f->gate, SynchronizationEvent, TRUE);
	uw_list_init(&f->verbs);
	for (i = 0; i < UW_ENDPOINTS; i++) {
		f->pipe[i].f = f;
		uw_list_init(&f->pipe[i].held);
		uw_iso_init(&f->pipe[i]);
	}
	uw_urb_init(f);
}
