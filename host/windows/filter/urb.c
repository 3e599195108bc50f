/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * URBs on their way to the bus driver and back: memory, MDLs, IRPs, cancelling.
 *
 * An URB has one reference of the stack's, from uw_urb_arm to uw_urb_end, and one of each canceller for the time of its
 * IoCancelIrp, which is called with no lock held and so may cross the end. The IRP is used again only when both are
 * gone. Until then the URB also holds the remove lock. Whoever cancels answers nothing: the completion does, once.
 */
#include "filter.h"

#include "status.h"

#define SAME_USBD(name, value, status) _Static_assert((uint32_t)USBD_STATUS_##name == (value), #name);
UW_USBD_STATUSES(SAME_USBD)
#define SAME_NT(name, value, status) _Static_assert((uint32_t)STATUS_##name == (value), #name);
UW_NT_STATUSES(SAME_NT)

/* ---- memory ---- */

static void free_urb(struct uw_urb *u)
{
	uint32_t i;

	if (u->bounce)
		ExFreePoolWithTag(u->bounce, UW_FILTER_TAG);
	for (i = 0; i < UW_CUT_RUNS; i++)
		if (u->mdl[i])
			IoFreeMdl(u->mdl[i]);
	if (u->iso)
		uw_usbd_urb_free(u->f, u->iso);
	if (u->plain)
		uw_usbd_urb_free(u->f, u->plain);
	if (u->irp)
		IoFreeIrp(u->irp);
	ExFreePoolWithTag(u, UW_FILTER_TAG);
}

static struct uw_urb *new_urb(struct uw_filter *f)
{
	struct uw_urb *u = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*u), UW_FILTER_TAG);

	if (!u)
		return NULL;
	uw_zero(u, sizeof(*u));
	uw_list_init(&u->node);
	u->f = f;
	u->irp = IoAllocateIrp(f->lower->StackSize, FALSE);
	u->plain = u->irp ? uw_usbd_urb(f) : NULL;
	if (u->plain)
		return u;
	free_urb(u);
	return NULL;
}

struct uw_urb *uw_urb_get(struct uw_filter *f)
{
	struct uw_list *node;
	struct uw_urb *u;

	if (!NT_SUCCESS(IoAcquireRemoveLock(&f->removal, NULL)))
		return NULL;
	node = uw_list_pop(&f->idle);
	f->idle_count -= node != NULL;
	u = node ? UW_CONTAINER(node, struct uw_urb, node) : new_urb(f);
	if (!u) {
		IoReleaseRemoveLock(&f->removal, NULL);
		return NULL;
	}
	u->refs = 1;
	u->cancelled = u->blocks = u->zero = false;
	u->urb = u->plain;
	u->pipe = NULL;
	u->io = NULL;
	u->event = NULL;
	return u;
}

bool uw_urb_room_bounce(struct uw_urb *u, uint32_t bytes)
{
	uint8_t *bounce;

	if (bytes <= u->bounce_room)
		return true;
	bounce = ExAllocatePoolWithTag(NonPagedPoolNx, bytes, UW_FILTER_TAG);
	if (!bounce)
		return false;
	if (u->bounce)
		ExFreePoolWithTag(u->bounce, UW_FILTER_TAG);
	u->bounce = bounce;
	u->bounce_room = bytes;
	return true;
}

/* Address 1 less than a page: the most pages that so many bytes can touch. */
bool uw_urb_room_mdl(struct uw_urb *u, uint32_t i, uint32_t bytes)
{
	MDL *mdl;

	if (bytes <= u->mdl_room[i])
		return true;
	mdl = IoAllocateMdl((void *)(PAGE_SIZE - 1), bytes, FALSE, FALSE, NULL);
	if (!mdl)
		return false;
	if (u->mdl[i])
		IoFreeMdl(u->mdl[i]);
	u->mdl[i] = mdl;
	u->mdl_room[i] = bytes;
	return true;
}

bool uw_urb_room_iso(struct uw_urb *u, uint32_t packets)
{
	URB *iso = packets > u->iso_room ? uw_usbd_urb_iso(u->f, packets) : u->iso;

	if (!iso)
		return false;
	if (iso != u->iso && u->iso)
		uw_usbd_urb_free(u->f, u->iso);
	u->iso_room = packets > u->iso_room ? packets : u->iso_room;
	u->urb = u->iso = iso;
	return true;
}

/* With the lock held, and the last reference gone. */
static void recycle(struct uw_urb *u)
{
	struct uw_filter *f = u->f;

	for (; u->mapped; u->mapped--)
		MmPrepareMdlForReuse(u->mdl[u->mapped - 1]); /* a macro that looks at its argument more than once */
	if (f->idle_count < UW_URBS_KEPT && f->pnp != UW_PNP_REMOVED) {
		uw_list_add(&f->idle, &u->node);
		f->idle_count++;
	} else {
		free_urb(u);
	}
}

void uw_urb_drop(struct uw_urb *u)
{
	struct uw_filter *f = u->f;

	recycle(u);
	IoReleaseRemoveLock(&f->removal, NULL);
}

static void put(struct uw_urb *u)
{
	struct uw_filter *f = u->f;
	bool last;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	last = !--u->refs;
	if (last)
		recycle(u);
	KeReleaseSpinLock(&f->lock, irql);
	if (last)
		IoReleaseRemoveLock(&f->removal, NULL);
}

void uw_urb_init(struct uw_filter *f)
{
	uw_list_init(&f->idle);
	uw_list_init(&f->out);
}

void uw_urb_fini(struct uw_filter *f)
{
	struct uw_list *node;

	while ((node = uw_list_pop(&f->idle)) != NULL)
		free_urb(UW_CONTAINER(node, struct uw_urb, node));
}

/* ---- there and back ---- */

void uw_urb_map(struct uw_urb *u, const uint8_t *data, uint32_t bytes)
{
	struct uw_peer *peer = &u->f->peer;
	MDL *mdl = u->mdl[u->mapped];

	IoBuildPartialMdl(peer->mdl, mdl, (uint8_t *)MmGetMdlVirtualAddress(peer->mdl) + (data - peer->base), bytes);
	mdl->Next = NULL;
	if (u->mapped)
		u->mdl[u->mapped - 1]->Next = mdl;
	u->mapped++;
}

static NTSTATUS NTAPI on_irp(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	struct uw_urb *u = context;

	UNREFERENCED_PARAMETER(device);
	UNREFERENCED_PARAMETER(irp);
	u->done(u);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

/* From here on a canceller may find it. */
void uw_urb_arm(struct uw_urb *u, uint32_t code)
{
	IO_STACK_LOCATION *stack;

	IoReuseIrp(u->irp, STATUS_NOT_SUPPORTED);
	stack = IoGetNextIrpStackLocation(u->irp);
	stack->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
	stack->Parameters.DeviceIoControl.IoControlCode = code;
	if (code == IOCTL_INTERNAL_USB_SUBMIT_URB)
		uw_usbd_assign(u->f, stack, u->urb);
	IoSetCompletionRoutine(u->irp, on_irp, u, TRUE, TRUE, TRUE);
	if (u->pipe)
		u->pipe->sends++;
	if (!uw_list_empty(&u->node))
		return;
	uw_list_add(&u->f->out, &u->node);
	u->f->out_count++;
	if (u->pipe)
		u->pipe->out++;
}

/*
 * A pipe is aborted only when nothing is on its way down to it, or the abort might wait for what it overtook. Whoever
 * stops the pipe waits for that, so the pipe is still there; what follows the lock's release touches nothing.
 */
void uw_urb_send(struct uw_urb *u)
{
	struct uw_pipe *pipe = u->pipe;
	KIRQL irql;

	IoCallDriver(u->f->lower, u->irp);
	if (!pipe)
		return;
	KeAcquireSpinLock(&pipe->f->lock, &irql);
	pipe->sends--;
	KeSetEvent(&pipe->f->changed, IO_NO_INCREMENT, FALSE);
	KeReleaseSpinLock(&pipe->f->lock, irql);
}

void uw_urb_end(struct uw_urb *u)
{
	struct uw_filter *f = u->f;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	uw_list_del(&u->node);
	f->out_count--;
	if (u->pipe)
		u->pipe->out--;
	KeSetEvent(&f->changed, IO_NO_INCREMENT, FALSE);
	KeReleaseSpinLock(&f->lock, irql);
	put(u);
}

uint32_t uw_urb_result(const struct uw_urb *u)
{
	return uw_urb_status((uint32_t)u->urb->UrbHeader.Status, (uint32_t)u->irp->IoStatus.Status);
}

/*
 * The stack leaves the length as it was in an URB that it refused or never looked at, so the number is believed only
 * when the URB tells of a transfer.
 */
uint32_t uw_urb_moved(const struct uw_urb *u)
{
	uint32_t usbd = (uint32_t)u->urb->UrbHeader.Status;

	if (!usbd && !NT_SUCCESS(u->irp->IoStatus.Status))
		return 0;
	if (uw_usbd_status(usbd) == UW_ST_UNSUPPORTED || uw_usbd_status(usbd) == UW_ST_NO_ENDPOINT)
		return 0;
	return u->urb->UrbBulkOrInterruptTransfer.TransferBufferLength;
}

/* Releases the lock. */
void uw_urb_cancel_locked(struct uw_urb *u, KIRQL irql)
{
	bool first = !u->cancelled;

	u->cancelled = true;
	u->refs++;
	KeReleaseSpinLock(&u->f->lock, irql);
	if (first)
		IoCancelIrp(u->irp);
	put(u);
}

static bool is_among(const struct uw_urb *u, uint32_t which)
{
	return which == UW_EVERY || (u->pipe && which & 1u << (u->pipe - u->f->pipe));
}

void uw_urbs_cancel(struct uw_filter *f, uint32_t which)
{
	struct uw_list *node;
	struct uw_urb *u;
	KIRQL irql;

	for (;;) {
		KeAcquireSpinLock(&f->lock, &irql);
		for (node = f->out.next; node != &f->out; node = node->next) {
			u = UW_CONTAINER(node, struct uw_urb, node);
			if (!u->cancelled && is_among(u, which))
				break;
		}
		if (node == &f->out)
			break;
		uw_urb_cancel_locked(UW_CONTAINER(node, struct uw_urb, node), irql);
	}
	KeReleaseSpinLock(&f->lock, irql);
}

/* ---- what is asked ---- */

/* The header's other members are the stack's, which may know the URB by them. */
static void begin(struct uw_urb *u, USHORT function, uint32_t bytes)
{
	uw_zero((uint8_t *)u->urb + sizeof(u->urb->UrbHeader), bytes - sizeof(u->urb->UrbHeader));
	u->urb->UrbHeader.Status = USBD_STATUS_SUCCESS;
	u->urb->UrbHeader.Function = function;
	u->urb->UrbHeader.Length = (USHORT)bytes;
}

/* A timeout of 0 is none. The default pipe takes requests with any recipient. */
void uw_urb_fill_control(struct uw_urb *u, const struct uw_transfer_io *io)
{
	struct _URB_CONTROL_TRANSFER_EX *c = &u->urb->UrbControlTransferEx;

	begin(u, URB_FUNCTION_CONTROL_TRANSFER_EX, sizeof(*c));
	c->TransferFlags = USBD_DEFAULT_PIPE_TRANSFER;
	if (io->endpoint & 0x80)
		c->TransferFlags |= USBD_TRANSFER_DIRECTION_IN | USBD_SHORT_TRANSFER_OK;
	c->TransferBufferLength = io->length;
	c->TransferBufferMDL = io->length ? u->mdl[0] : NULL;
	uw_copy(c->SetupPacket, io->setup, sizeof(c->SetupPacket));
}

/* One MDL does: a submission's bytes lie together. */
void uw_urb_fill_data(struct uw_urb *u, USBD_PIPE_HANDLE pipe, bool in, uint32_t length)
{
	struct _URB_BULK_OR_INTERRUPT_TRANSFER *b = &u->urb->UrbBulkOrInterruptTransfer;

	begin(u, URB_FUNCTION_BULK_OR_INTERRUPT_TRANSFER, sizeof(*b));
	b->PipeHandle = pipe;
	b->TransferFlags = in ? USBD_TRANSFER_DIRECTION_IN | USBD_SHORT_TRANSFER_OK : USBD_TRANSFER_DIRECTION_OUT;
	b->TransferBufferLength = length;
	b->TransferBufferMDL = length ? u->mdl[0] : NULL;
}

/* ---- requests of our own ---- */

static void on_asked(struct uw_urb *u)
{
	KeSetEvent(u->event, IO_NO_INCREMENT, FALSE);
}

/* One that does not come back in time is cancelled, and then it does. */
static uint32_t wait_for(struct uw_urb *u, KEVENT *event)
{
	LARGE_INTEGER time;
	KIRQL irql;

	time.QuadPart = -(LONGLONG)UW_SYNC_MS * 10000;
	if (KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &time) == STATUS_TIMEOUT) {
		KeAcquireSpinLock(&u->f->lock, &irql);
		uw_urb_cancel_locked(u, irql);
		KeWaitForSingleObject(event, Executive, KernelMode, FALSE, NULL);
		if (uw_urb_result(u) == UW_ST_CANCELLED)
			return UW_ST_PROTOCOL;
	}
	return uw_urb_result(u);
}

static struct uw_urb *prepare(struct uw_filter *f, KEVENT *event)
{
	struct uw_urb *u = uw_urb_get(f);

	if (!u)
		return NULL;
	u->urb->UrbHeader.Status = USBD_STATUS_SUCCESS; /* an IRP without an URB has no other status to show */
	u->done = on_asked;
	u->event = event;
	return u;
}

uint32_t uw_urb_ask(struct uw_filter *f, uint32_t bytes, void (*fill)(struct uw_urb *u, void *context), void *context,
		    void (*look)(struct uw_urb *u, void *context))
{
	struct uw_urb *u;
	uint32_t status;
	KEVENT event;
	KIRQL irql;

	KeInitializeEvent(&event, NotificationEvent, FALSE);
	KeAcquireSpinLock(&f->lock, &irql);
	u = prepare(f, &event);
	if (u) {
		begin(u, 0, bytes);
		fill(u, context);
		uw_urb_arm(u, IOCTL_INTERNAL_USB_SUBMIT_URB);
	}
	KeReleaseSpinLock(&f->lock, irql);
	if (!u)
		return UW_ST_HOST;
	uw_urb_send(u);
	status = wait_for(u, &event);
	if (look && status == UW_ST_OK)
		look(u, context);
	uw_urb_end(u);
	return status;
}

static void use(struct uw_urb *u, void *context)
{
	u->urb = context;
}

uint32_t uw_urb_ask_select(struct uw_filter *f, URB *urb)
{
	return uw_urb_ask(f, sizeof(URB), use, urb, NULL);
}

struct pipe_ask {
	USBD_PIPE_HANDLE pipe;
	USHORT function;
};

static void fill_pipe(struct uw_urb *u, void *context)
{
	const struct pipe_ask *ask = context;

	u->urb->UrbHeader.Function = ask->function;
	u->urb->UrbPipeRequest.PipeHandle = ask->pipe;
}

uint32_t uw_urb_pipe_request(struct uw_filter *f, USHORT function, USBD_PIPE_HANDLE pipe)
{
	struct pipe_ask ask = { pipe, function };

	return uw_urb_ask(f, sizeof(struct _URB_PIPE_REQUEST), fill_pipe, &ask, NULL);
}

struct descriptor_ask {
	void *to;
	uint32_t bytes;
	uint16_t language;
	uint8_t type, index;
};

static void fill_descriptor(struct uw_urb *u, void *context)
{
	struct _URB_CONTROL_DESCRIPTOR_REQUEST *d = &u->urb->UrbControlDescriptorRequest;
	const struct descriptor_ask *ask = context;

	d->Hdr.Function = URB_FUNCTION_GET_DESCRIPTOR_FROM_DEVICE;
	d->TransferBuffer = ask->to;
	d->TransferBufferLength = ask->bytes;
	d->DescriptorType = ask->type;
	d->Index = ask->index;
	d->LanguageId = ask->language;
}

static void look_descriptor(struct uw_urb *u, void *context)
{
	struct descriptor_ask *ask = context;

	ask->bytes = uw_min(ask->bytes, u->urb->UrbControlDescriptorRequest.TransferBufferLength);
}

/* bytes: room, then what came. */
uint32_t uw_urb_descriptor(struct uw_filter *f, uint8_t type, uint8_t index, uint16_t language, void *to,
			   uint32_t *bytes)
{
	struct descriptor_ask ask = { to, *bytes, language, type, index };
	uint32_t status;

	status = uw_urb_ask(f, sizeof(struct _URB_CONTROL_DESCRIPTOR_REQUEST), fill_descriptor, &ask, look_descriptor);
	*bytes = status == UW_ST_OK ? ask.bytes : 0;
	return status;
}

uint32_t uw_urb_ioctl(struct uw_filter *f, uint32_t code)
{
	struct uw_urb *u;
	uint32_t status;
	KEVENT event;
	KIRQL irql;

	KeInitializeEvent(&event, NotificationEvent, FALSE);
	KeAcquireSpinLock(&f->lock, &irql);
	u = prepare(f, &event);
	if (u)
		uw_urb_arm(u, code);
	KeReleaseSpinLock(&f->lock, irql);
	if (!u)
		return UW_ST_HOST;
	uw_urb_send(u);
	status = wait_for(u, &event);
	uw_urb_end(u);
	return status;
}
