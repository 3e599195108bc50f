// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests of programs that wait for something, any of which may be cancelled at any moment.
 *
 * Whoever swaps a request's cancel routine for NULL owns it: uw_queue_get, which then unlinks it, or the canceller, whose
 * routine unlinks it here. A request whose routine is gone but which is still linked is being cancelled, and is left alone.
 */
#include "driver.h"

static struct uw_wait *wait_of(IRP *irp)
{
	_Static_assert(sizeof(struct uw_wait) <= 2 * sizeof(void *), "the driver's part of an IRP holds a wait and the queue");
	return (struct uw_wait *)irp->Tail.Overlay.DriverContext;
}

static struct uw_queue *queue_of(IRP *irp)
{
	return irp->Tail.Overlay.DriverContext[3];
}

static void NTAPI on_cancel(DEVICE_OBJECT *device, IRP *irp)
{
	struct uw_queue *q = queue_of(irp);
	KIRQL irql;

	(void)device;
	IoReleaseCancelSpinLock(irp->CancelIrql);
	KeAcquireSpinLock(&q->lock, &irql);
	RemoveEntryList(&irp->Tail.Overlay.ListEntry);
	KeReleaseSpinLock(&q->lock, irql);
	uw_finish(irp, STATUS_CANCELLED, 0);
}

void uw_queue_init(struct uw_queue *q)
{
	KeInitializeSpinLock(&q->lock);
	InitializeListHead(&q->irps);
	q->closed = false;
}

/* A request that was cancelled before it had a routine: true when nobody else will end it. */
static bool cancelled_before(IRP *irp)
{
	return irp->Cancel && IoSetCancelRoutine(irp, NULL);
}

bool uw_queue_put(struct uw_queue *q, IRP *irp, const struct uw_wait *wait)
{
	bool open, cancelled = false;
	KIRQL irql;

	KeAcquireSpinLock(&q->lock, &irql);
	open = !q->closed;
	if (open) {
		IoMarkIrpPending(irp);
		*wait_of(irp) = *wait;
		irp->Tail.Overlay.DriverContext[3] = q;
		InsertTailList(&q->irps, &irp->Tail.Overlay.ListEntry);
		(void)IoSetCancelRoutine(irp, on_cancel);
		cancelled = cancelled_before(irp);
		if (cancelled)
			RemoveEntryList(&irp->Tail.Overlay.ListEntry);
	}
	KeReleaseSpinLock(&q->lock, irql);
	if (cancelled)
		uw_finish(irp, STATUS_CANCELLED, 0);
	return open;
}

/* What is looked for. */
struct search {
	const struct uw_wait *wait;
	const FILE_OBJECT *file;   /* NULL: anybody's */
	bool other;                /* anything but wait->what */
};

static bool matches(IRP *irp, const struct search *s)
{
	const struct uw_wait *wait = wait_of(irp);

	if (s->file)
		return IoGetCurrentIrpStackLocation(irp)->FileObject == s->file;
	return !s->wait->on || (wait->on == s->wait->on && (wait->what == s->wait->what) != s->other);
}

static IRP *get(struct uw_queue *q, const struct search *s)
{
	IRP *irp, *found = NULL;
	LIST_ENTRY *entry;
	KIRQL irql;

	KeAcquireSpinLock(&q->lock, &irql);
	for (entry = q->irps.Flink; entry != &q->irps && !found; entry = entry->Flink) {
		irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
		if (matches(irp, s) && IoSetCancelRoutine(irp, NULL))
			found = irp;
	}
	if (found)
		RemoveEntryList(&found->Tail.Overlay.ListEntry);
	KeReleaseSpinLock(&q->lock, irql);
	return found;
}

IRP *uw_queue_get(struct uw_queue *q, const struct uw_wait *wait)
{
	const struct search s = { .wait = wait };

	return get(q, &s);
}

IRP *uw_queue_get_other(struct uw_queue *q, const struct uw_wait *wait)
{
	const struct search s = { .wait = wait, .other = true };

	return get(q, &s);
}

IRP *uw_queue_get_of(struct uw_queue *q, const FILE_OBJECT *file)
{
	const struct search s = { .file = file };

	return get(q, &s);
}

void uw_queue_close(struct uw_queue *q)
{
	KIRQL irql;

	KeAcquireSpinLock(&q->lock, &irql);
	q->closed = true;
	KeReleaseSpinLock(&q->lock, irql);
}
