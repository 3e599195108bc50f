/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine: requests go into models and come out.
 *
 * A model is run by one thread at a time, the one that has its device's `running`; the others leave their requests in the
 * inbox and set `look`. Usually that is the bus's own thread, at PASSIVE_LEVEL, which a disk needs for its file; in the
 * inline mode it is whoever calls, so that a request can end inside IoCallDriver and IoCancelIrp.
 */
#include "bus.h"

static struct uw_xfer *xfer_of(struct uw_list *node) { return UW_CONTAINER(node, struct uw_xfer, node); }

/* ---- what a model gets from its host ---- */

struct call {
	struct uw_transfer_io io;
	bool done;
};

static USBD_STATUS usbd_of(uint32_t status)
{
	static const USBD_STATUS all[UW_ST_COUNT] = {
		[UW_ST_OK] = USBD_STATUS_SUCCESS,
		[UW_ST_STALL] = USBD_STATUS_STALL_PID,
		[UW_ST_CANCELLED] = USBD_STATUS_CANCELED,
		[UW_ST_BABBLE] = USBD_STATUS_BABBLE_DETECTED,
		[UW_ST_PROTOCOL] = USBD_STATUS_XACT_ERROR,
		[UW_ST_NO_DEVICE] = USBD_STATUS_DEVICE_GONE,
		[UW_ST_NO_ENDPOINT] = USBD_STATUS_INVALID_PIPE_HANDLE,
		[UW_ST_BUSY] = USBD_STATUS_INSUFFICIENT_RESOURCES,
		[UW_ST_INVALID] = USBD_STATUS_INVALID_PARAMETER,
		[UW_ST_UNSUPPORTED] = USBD_STATUS_NOT_SUPPORTED,
		[UW_ST_BLOCKED] = USBD_STATUS_INTERNAL_HC_ERROR,
		[UW_ST_LATE] = USBD_STATUS_ISO_NOT_ACCESSED_LATE,
		[UW_ST_HOST] = USBD_STATUS_INTERNAL_HC_ERROR,
	};

	return status < UW_ST_COUNT ? all[status] : USBD_STATUS_INTERNAL_HC_ERROR;
}

/* An error on a bulk or interrupt pipe halts the pipe in the host too, until it is reset. */
static USBD_STATUS outcome(struct uw_xfer *x)
{
	USBD_STATUS status = usbd_of(x->io.status);
	bool halts = x->pipe && x->pipe->type != UW_ISOCH;

	if (x->io.status == UW_ST_CANCELLED)
		return x->expired ? USBD_STATUS_TIMEOUT : status;
	if (x->io.status == UW_ST_OK && x->io.endpoint & 0x80 && x->io.type != UW_ISOCH &&
	    x->io.actual < x->io.length && !x->short_ok)
		status = USBD_STATUS_ERROR_SHORT_TRANSFER;
	if (x->io.status == UW_ST_STALL && halts && x->pipe->halted)
		status = USBD_STATUS_ENDPOINT_HALTED;
	if (halts && status != USBD_STATUS_SUCCESS && x->io.status != UW_ST_NO_DEVICE)
		x->pipe->halted = true;
	return status;
}

static uint64_t host_now(struct uw_device *d)
{
	(void)d;
	return uw_now();
}

static void host_arm(struct uw_device *d, uint64_t when) { ((struct uw_vdev *)d->owner)->timer = when; }

static void host_complete(struct uw_device *d, struct uw_transfer_io *io)
{
	(void)d;
	if (io->verb != UW_VERB_SUBMIT)
		UW_CONTAINER(io, struct call, io)->done = true;
	else
		uw_done(UW_CONTAINER(io, struct uw_xfer, io), outcome(UW_CONTAINER(io, struct uw_xfer, io)));
}

static void host_gone(struct uw_device *d) { (void)d; }
static void host_wakeup(struct uw_device *d) { (void)d; }

void uw_engine_host(struct uw_vdev *dev)
{
	static const struct uw_device_host host = {
		.now = host_now, .arm = host_arm, .complete = host_complete, .gone = host_gone, .wakeup = host_wakeup,
	};

	dev->model->dev.host = &host;
	dev->model->dev.owner = dev;
}

/* ---- requests into the model ---- */

/* A verb of the backend, from its beginning to its end: models keep nobody waiting. */
static USBD_STATUS run_call(struct uw_vdev *dev, struct call *call)
{
	struct uw_device *d = &dev->model->dev;

	uw_device_begin(d, &call->io);
	while (!call->done)
		d->ops->timer(d);
	return usbd_of(call->io.status);
}

USBD_STATUS uw_engine_verb(struct uw_vdev *dev, uint8_t verb, uint16_t arg0, uint16_t arg1)
{
	struct call call = { .io = { .verb = verb, .arg = { arg0, arg1 } } };

	return run_call(dev, &call);
}

USBD_STATUS uw_engine_streams(struct uw_vdev *dev, uint8_t address, uint16_t count)
{
	uint8_t verb = count ? UW_VERB_ALLOC_STREAMS : UW_VERB_FREE_STREAMS;
	struct call call = { .io = { .verb = verb, .arg = { count, 1 }, .endpoints = &address } };

	return run_call(dev, &call);
}

/* CLEAR_FEATURE(ENDPOINT_HALT) is a verb of the backend. */
static bool clears_halt(const struct uw_xfer *x)
{
	const uint8_t *s = x->io.setup;

	return x->io.type == UW_CONTROL && s[0] == 2 && s[1] == 1 && !s[2] && !s[3];
}

static USBD_STATUS planned_failure(struct uw_vdev *dev)
{
	if (dev->full)
		return USBD_STATUS_INSUFFICIENT_RESOURCES;
	if (dev->fail_in && !--dev->fail_in)
		return dev->fail_with;
	return USBD_STATUS_SUCCESS;
}

static void into_model(struct uw_xfer *x)
{
	struct uw_vdev *dev = x->dev;
	USBD_STATUS status = planned_failure(dev);

	x->in_model = true;
	if (status == USBD_STATUS_SUCCESS && x->pipe && x->pipe->halted)
		status = USBD_STATUS_ENDPOINT_HALTED;
	if (status != USBD_STATUS_SUCCESS)
		uw_done(x, status);
	else if (clears_halt(x))
		uw_done(x, uw_engine_verb(dev, UW_VERB_CLEAR_HALT, x->io.setup[4], 0));
	else if (x->packets && !x->io.packets)
		uw_done(x, USBD_STATUS_ISOCH_REQUEST_FAILED);
	else
		dev->model->dev.ops->submit(&dev->model->dev, &x->io);
}

static USBD_STATUS reset_pipe(struct uw_xfer *x)
{
	uint16_t function = x->urb->UrbHeader.Function;
	USBD_STATUS status = USBD_STATUS_SUCCESS;

	if (function != URB_FUNCTION_SYNC_CLEAR_STALL && x->pipe->pending) {
		uw_refused("reset of pipe %02x with %u transfers in it", x->pipe->address,
			   (unsigned int)x->pipe->pending);
		return USBD_STATUS_ERROR_BUSY;
	}
	if (function != URB_FUNCTION_SYNC_RESET_PIPE && x->pipe->type != UW_ISOCH)
		status = uw_engine_verb(x->dev, UW_VERB_CLEAR_HALT, x->pipe->address, 0);
	if (function != URB_FUNCTION_SYNC_CLEAR_STALL && status == USBD_STATUS_SUCCESS) {
		x->pipe->halted = false;
		x->pipe->next_frame = 0;
	}
	return status;
}

/* Under the lock: the pipe's transfers are to end. */
static void abort_pipe(struct uw_xfer *x)
{
	struct uw_list *node;
	uint64_t when = uw_now() + x->dev->ignore_cancel * UW_MS;

	for (node = x->dev->active.next; node != &x->dev->active; node = node->next) {
		struct uw_xfer *other = xfer_of(node);

		if (other->pipe == x->pipe && other->kind == UW_KIND_TRANSFER && other->cancel_at == UW_NEVER)
			other->cancel_at = when;
	}
}

static void begin(struct uw_xfer *x)
{
	USBD_STATUS status;
	KIRQL irql = uw_lock();

	x->active = true;
	uw_list_add(&x->dev->active, &x->node);
	if (x->kind == UW_KIND_ABORT)
		abort_pipe(x);
	uw_unlock(irql);
	if (x->dev->unplugged) {
		uw_done(x, USBD_STATUS_DEVICE_GONE);
		return;
	}
	switch (x->kind) {
	case UW_KIND_TRANSFER:
	case UW_KIND_ABORT:
		break; /* sweep goes on with them */
	case UW_KIND_RESET_PIPE:
		uw_done(x, reset_pipe(x));
		break;
	case UW_KIND_SELECT_CONFIG:
	case UW_KIND_SELECT_INTERFACE:
		uw_done(x, uw_select_run(x));
		break;
	case UW_KIND_RESET_PORT:
		uw_done(x, uw_reset_port(x->dev));
		break;
	case UW_KIND_OPEN_STREAMS:
	case UW_KIND_CLOSE_STREAMS:
		status = planned_failure(x->dev);
		uw_done(x, status == USBD_STATUS_SUCCESS ? uw_streams_run(x) : status);
		break;
	}
}

/* ---- what waits ---- */

enum step { STEP_NONE, STEP_GO, STEP_CANCEL, STEP_END };

static bool held(const struct uw_xfer *x, uint64_t now)
{
	if (x->dev->nak && (x->pipe || x->dev->nak > 1))
		return true;
	return x->start > now;
}

/* What is to be done with a request now. blocked has a bit for each pipe whose earlier transfer waits. */
static enum step next_step(struct uw_xfer *x, uint64_t now, uint32_t *blocked)
{
	uint32_t bit = x->pipe ? 1u << (x->pipe - x->dev->pipe) : 1u << UW_PIPES;

	if (x->kind == UW_KIND_ABORT)
		return x->pipe->pending ? STEP_NONE : STEP_END;
	if (x->kind != UW_KIND_TRANSFER || x->cancelled)
		return STEP_NONE;
	if (x->dev->unplugged && !x->in_model)
		return STEP_END;
	if (x->cancel_at <= now || x->expires <= now)
		return STEP_CANCEL;
	if (x->in_model)
		return STEP_NONE;
	if (!(*blocked & bit) && !held(x, now))
		return STEP_GO;
	*blocked |= bit;
	return STEP_NONE;
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

static void note_due(const struct uw_xfer *x, uint64_t *due)
{
	if (x->cancelled || x->kind != UW_KIND_TRANSFER)
		return;
	*due = earlier(*due, earlier(x->cancel_at, x->expires));
	if (!x->in_model && x->start && !x->dev->nak)
		*due = earlier(*due, x->start);
}

static enum step choose(struct uw_vdev *dev, struct uw_xfer **chosen)
{
	uint64_t now = uw_now(), due = UW_NEVER;
	enum step step = STEP_NONE;
	uint32_t blocked = 0;
	struct uw_list *node;
	KIRQL irql = uw_lock();

	for (node = dev->active.next; node != &dev->active && step == STEP_NONE; node = node->next) {
		*chosen = xfer_of(node);
		step = next_step(*chosen, now, &blocked);
		note_due(*chosen, &due);
	}
	if (step == STEP_CANCEL) {
		(*chosen)->expired = (*chosen)->cancel_at > now;
		(*chosen)->cancelled = true;
	}
	dev->due = due;
	uw_unlock(irql);
	return step;
}

static bool sweep(struct uw_vdev *dev)
{
	struct uw_xfer *x = NULL;

	switch (choose(dev, &x)) {
	case STEP_GO:
		into_model(x);
		return true;
	case STEP_CANCEL:
		if (x->in_model)
			dev->model->dev.ops->cancel(&dev->model->dev, &x->io);
		else
			uw_done(x, x->expired ? USBD_STATUS_TIMEOUT : USBD_STATUS_CANCELED);
		return true;
	case STEP_END:
		uw_done(x, x->kind == UW_KIND_ABORT ? USBD_STATUS_SUCCESS : USBD_STATUS_DEVICE_GONE);
		return true;
	default:
		return false;
	}
}

/* ---- the loop ---- */

static bool take(struct uw_vdev *dev)
{
	if (dev->running) {
		dev->look = true;
		return false;
	}
	dev->running = true;
	return true;
}

static struct uw_xfer *next_in(struct uw_vdev *dev)
{
	struct uw_list *node;
	KIRQL irql = uw_lock();

	node = uw_list_pop(&dev->inbox);
	uw_unlock(irql);
	return node ? xfer_of(node) : NULL;
}

static bool work(struct uw_vdev *dev)
{
	struct uw_xfer *x;

	if (dev->unplug && !dev->unplugged) {
		dev->unplugged = true;
		uw_model_unplug(dev->model);
		return true;
	}
	x = next_in(dev);
	if (x) {
		begin(x);
		return true;
	}
	if (dev->timer <= uw_now()) {
		dev->timer = UW_NEVER;
		dev->model->dev.ops->timer(&dev->model->dev);
		return true;
	}
	return sweep(dev);
}

/* Until there is nothing to do, then lets go. When there will be something. */
static uint64_t turn(struct uw_vdev *dev)
{
	uint64_t due = UW_NEVER;
	bool again = true;

	while (again) {
		KIRQL irql = uw_lock();

		dev->look = false;
		uw_unlock(irql);
		while (work(dev))
			;
		irql = uw_lock();
		again = dev->look || !uw_list_empty(&dev->inbox);
		due = earlier(dev->due, dev->timer);
		if (!again)
			dev->running = false;
		uw_unlock(irql);
	}
	return due;
}

void uw_engine_kick(void) { KeSetEvent(&uw_bus.work, 0, FALSE); }

/* Runs the model here if the mode wants it and the IRQL allows it. Somebody sees to it that the device stays. */
void uw_engine_wake(struct uw_vdev *dev)
{
	uint64_t due = UW_NEVER;
	bool mine = false;
	KIRQL irql = uw_lock();

	if (uw_bus.mode == UWB_INLINE && (!dev->file || uw_irql() == PASSIVE_LEVEL))
		mine = take(dev);
	uw_unlock(irql);
	if (mine)
		due = turn(dev);
	uw_done_deliver();
	if (!mine || due != UW_NEVER)
		uw_engine_kick();
}

NTSTATUS uw_engine_post(struct uw_xfer *x)
{
	KIRQL irql;

	x->cancel_at = UW_NEVER;
	if (!x->expires)
		x->expires = UW_NEVER;
	x->cancellable = x->kind == UW_KIND_TRANSFER;
	x->irp->Tail.Overlay.DriverContext[0] = x;
	IoMarkIrpPending(x->irp);
	irql = uw_lock();
	x->dev->outstanding++;
	x->dev->urbs++;
	if (x->kind == UW_KIND_TRANSFER && x->pipe)
		x->pipe->pending++;
	uw_list_add(&x->dev->inbox, &x->node);
	if (x->cancellable) {
		IoSetCancelRoutine(x->irp, uw_done_cancel);
		if (x->irp->Cancel && IoSetCancelRoutine(x->irp, NULL)) {
			x->in_cancel = true;
			x->cancel_at = uw_now();
		}
	}
	uw_unlock(irql);
	uw_engine_wake(x->dev);
	return STATUS_PENDING;
}

static uint64_t all_turns(void)
{
	uint64_t due = UW_NEVER;
	uint32_t i;

	for (i = 1; i <= UWB_PORTS; i++) {
		KIRQL irql = uw_lock();
		struct uw_vdev *dev = uw_bus.port[i];
		bool mine = dev && take(dev);

		uw_unlock(irql);
		if (mine)
			due = earlier(due, turn(dev));
	}
	return due;
}

void NTAPI uw_engine_thread(void *context)
{
	(void)context;
	while (!uw_bus.stop) {
		uint64_t due = all_turns(), now;
		LARGE_INTEGER wait;

		uw_done_deliver();
		due = earlier(due, uw_done_late());
		due = earlier(due, uw_ports_reap());
		now = uw_now();
		wait.QuadPart = due > now ? -(LONGLONG)(((due - now) * uw_bus.slow + 99) / 100) : -1;
		KeWaitForSingleObject(&uw_bus.work, Executive, KernelMode, FALSE, due == UW_NEVER ? NULL : &wait);
	}
	uw_done_late();
	PsTerminateSystemThread(STATUS_SUCCESS);
}
