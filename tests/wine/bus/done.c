/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ends of requests: each IRP is completed once, where the present mode says, and never with a lock held.
 *
 * A cancel routine that was called may still be on its way to the lock when its request ends. Then the request waits for
 * it, and it hands the request on: `ended` and `in_cancel` say which of the two was first.
 */
#include "bus.h"

static struct uw_xfer *xfer_of(struct uw_list *node) { return UW_CONTAINER(node, struct uw_xfer, node); }

static struct uw_xfer *pop(struct uw_list *list)
{
	struct uw_list *node = uw_list_pop(list);

	return node ? xfer_of(node) : NULL;
}

/* Under the lock. */
static void hand_on(struct uw_xfer *x)
{
	if (uw_bus.mode == UWB_INLINE) {
		uw_list_add(&uw_bus.now, &x->node);
	} else if (uw_bus.mode == UWB_DPC) {
		uw_list_add(&uw_bus.from_dpc, &x->node);
	} else {
		x->start = uw_now() + uw_bus.delay * UW_MS;
		uw_list_add(&uw_bus.late, &x->node);
		KeSetEvent(&uw_bus.work, 0, FALSE);
	}
}

void uw_done(struct uw_xfer *x, USBD_STATUS status)
{
	KIRQL irql;

	x->status = status;
	if (x->urb)
		x->urb->UrbHeader.Status = status;
	if (x->moved)
		*x->moved = x->io.actual;
	if (x->gathered)
		uw_chain_scatter(x);
	if (x->packets)
		uw_iso_end(x);
	irql = uw_lock();
	if (x->active)
		uw_list_del(&x->node);
	x->active = false;
	if (x->pipe && x->kind == UW_KIND_TRANSFER)
		x->pipe->pending--;
	x->ended = true;
	if (!x->cancellable || x->in_cancel || IoSetCancelRoutine(x->irp, NULL))
		hand_on(x);
	x->dev->look = true; /* an abort may wait for this one */
	uw_unlock(irql);
}

/* The last look at the request. Its device may be gone when the IRP's owner hears of it. */
static void complete(struct uw_xfer *x)
{
	IRP *irp = x->irp;
	KIRQL irql;

	irp->IoStatus.Status = uw_urb_status(x->status);
	irp->IoStatus.Information = 0;
	if (x->urb)
		uw_client_end(x->dev, x->urb);
	irql = uw_lock();
	x->dev->outstanding--;
	uw_unlock(irql);
	uw_free(x->gathered);
	uw_free(x);
	IoCompleteRequest(irp, IO_NO_INCREMENT);
}

/* One at a time delivers, so that the order is kept; whoever submits from inside a completion routine, or is the DPC's
 * second run on another processor, leaves it to the first. */
static void deliver(struct uw_list *list, bool *delivering)
{
	struct uw_xfer *x;
	KIRQL irql = uw_lock();

	if (*delivering) {
		uw_unlock(irql);
		return;
	}
	*delivering = true;
	while ((x = pop(list))) {
		uw_unlock(irql);
		complete(x);
		irql = uw_lock();
	}
	*delivering = false;
	uw_unlock(irql);
}

static void NTAPI from_dpc(KDPC *dpc, void *context, void *a, void *b)
{
	(void)dpc;
	(void)context;
	(void)a;
	(void)b;
	deliver(&uw_bus.from_dpc, &uw_bus.dpc_delivers);
}

void uw_done_deliver(void)
{
	bool dpc;
	KIRQL irql = uw_lock();

	dpc = !uw_list_empty(&uw_bus.from_dpc);
	uw_unlock(irql);
	if (dpc)
		KeInsertQueueDpc(&uw_bus.dpc, NULL, NULL);
	deliver(&uw_bus.now, &uw_bus.delivering);
}

/* Those whose delay has passed, at DISPATCH_LEVEL as from a DPC. When the next one is due. */
uint64_t uw_done_late(void)
{
	uint64_t due = UW_NEVER, now = uw_now();
	KSPIN_LOCK raise;
	KIRQL irql, old;

	KeInitializeSpinLock(&raise);
	for (;;) {
		struct uw_xfer *x = NULL;

		irql = uw_lock();
		if (!uw_list_empty(&uw_bus.late)) {
			due = xfer_of(uw_bus.late.next)->start;
			x = due <= now || uw_bus.stop ? pop(&uw_bus.late) : NULL;
		} else {
			due = UW_NEVER;
		}
		uw_unlock(irql);
		if (!x)
			return due;
		KeAcquireSpinLock(&raise, &old);
		complete(x);
		KeReleaseSpinLock(&raise, old);
	}
}

void NTAPI uw_done_cancel(DEVICE_OBJECT *device, IRP *irp)
{
	struct uw_xfer *x = irp->Tail.Overlay.DriverContext[0];
	struct uw_vdev *dev = x->dev;
	KIRQL irql;

	(void)device;
	IoReleaseCancelSpinLock(irp->CancelIrql);
	irql = uw_lock();
	x->in_cancel = true;
	dev->users++;
	if (x->ended)
		hand_on(x);
	else if (x->cancel_at == UW_NEVER)
		x->cancel_at = uw_now() + dev->ignore_cancel * UW_MS;
	dev->look = true;
	uw_unlock(irql);
	uw_engine_wake(dev);
	irql = uw_lock();
	dev->users--;
	uw_unlock(irql);
}

void uw_done_init(void)
{
	uw_list_init(&uw_bus.now);
	uw_list_init(&uw_bus.from_dpc);
	uw_list_init(&uw_bus.late);
	KeInitializeDpc(&uw_bus.dpc, from_dpc, NULL);
}
