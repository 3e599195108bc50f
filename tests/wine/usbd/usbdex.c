/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands in for Microsoft's usbdex.lib, which no free tool chain has: the USBD_ calls of a driver with a handle, as their
 * documentation says, and a judge of how they are used. It is linked into the laboratory's variant of the driver.
 *
 * What is documented as a crash or as undefined is a line "UWLAB:", which fails the test: a call above its IRQL, an URB
 * freed while it is under way, twice, or by another handle, URBs left when the handle is closed. What may be sent is asked
 * by the bus (contract.h).
 */
#include <initguid.h>

#include "base.h"

#include <usbdlib.h>

#include "contract.h"

#define INTERFACES_MAX 32u
#define MAGIC 0x64627375u
#define VIOLATION(text, ...) DbgPrint("UWLAB: usbdex: " text "\n", ##__VA_ARGS__)

enum kind { PLAIN, ISO, CONFIG, SETTING };

/* Before each URB. */
struct context {
	struct uw_list node;
	enum kind kind;
	uint32_t packets;              /* of ISO */
	const void *config;            /* of CONFIG: the descriptor */
	uint8_t number, alternate;     /* of INTERFACE */
	bool active;
};

struct handle {
	struct uwb_usbd bus;
	uint32_t magic;
	DEVICE_OBJECT *target;
	ULONG tag;
	KSPIN_LOCK lock;
	struct uw_list urbs;
};

/* Room that keeps the URB behind it aligned as the pool is. */
#define CONTEXT_BYTES ((sizeof(struct context) + 15) & ~(size_t)15)

static struct handle *handle_of(USBD_HANDLE handle, KIRQL highest, const char *what)
{
	struct handle *h = (struct handle *)handle;

	if (KeGetCurrentIrql() > highest)
		VIOLATION("%s at IRQL %u", what, KeGetCurrentIrql());
	if (h && h->magic == MAGIC)
		return h;
	VIOLATION("%s without a handle", what);
	return NULL;
}

/* With the lock held: NULL when it is none of the handle's, or has been freed. */
static struct context *find(struct handle *h, const URB *urb)
{
	struct uw_list *node;

	for (node = h->urbs.next; node != &h->urbs; node = node->next)
		if ((const uint8_t *)node + CONTEXT_BYTES == (const uint8_t *)urb)
			return UW_CONTAINER(node, struct context, node);
	return NULL;
}

/* ---- what the bus asks ---- */

static enum kind kind_for(const URB *urb)
{
	switch (urb->UrbHeader.Function) {
	case URB_FUNCTION_ISOCH_TRANSFER:
	case URB_FUNCTION_ISOCH_TRANSFER_USING_CHAINED_MDL:
		return ISO;
	case URB_FUNCTION_SELECT_INTERFACE:
		return SETTING;
	case URB_FUNCTION_SELECT_CONFIGURATION:
		return urb->UrbSelectConfiguration.ConfigurationDescriptor ? CONFIG : PLAIN;
	default:
		return PLAIN;
	}
}

static const char *judge(const struct context *c, const URB *urb)
{
	const USBD_INTERFACE_INFORMATION *itf = &urb->UrbSelectInterface.Interface;

	if (!c)
		return "an URB that is none of the handle's";
	if (c->active)
		return "an URB that is under way already";
	if (c->kind != kind_for(urb))
		return "an URB that was allocated for another kind of request";
	if (c->kind == ISO && urb->UrbIsochronousTransfer.NumberOfPackets > c->packets)
		return "an URB with more packets than were allocated";
	if (c->kind == CONFIG && urb->UrbSelectConfiguration.ConfigurationDescriptor != c->config)
		return "an URB that was built for another configuration";
	if (c->kind == SETTING && (itf->InterfaceNumber != c->number || itf->AlternateSetting != c->alternate))
		return "an URB that was built for another setting";
	return NULL;
}

static const char *begin(struct uwb_usbd *client, URB *urb, IRP *irp)
{
	struct handle *h = UW_CONTAINER(client, struct handle, bus);
	struct context *c;
	const char *why;
	KIRQL irql;

	KeAcquireSpinLock(&h->lock, &irql);
	c = find(h, urb);
	why = judge(c, urb);
	if (!why && IoGetCurrentIrpStackLocation(irp)->FileObject != (FILE_OBJECT *)h)
		why = "an URB that was not assigned by USBD_AssignUrbToIoStackLocation";
	if (!why)
		c->active = true;
	KeReleaseSpinLock(&h->lock, irql);
	return why;
}

static void end(struct uwb_usbd *client, URB *urb)
{
	struct handle *h = UW_CONTAINER(client, struct handle, bus);
	struct context *c;
	KIRQL irql;

	KeAcquireSpinLock(&h->lock, &irql);
	c = find(h, urb);
	if (c && c->active)
		c->active = false;
	else
		VIOLATION("URB %p ends, which was not under way", urb);
	KeReleaseSpinLock(&h->lock, irql);
}

/* ---- handles ---- */

static NTSTATUS NTAPI on_open(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	UNREFERENCED_PARAMETER(device);
	UNREFERENCED_PARAMETER(irp);
	KeSetEvent(context, IO_NO_INCREMENT, FALSE);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS tell_bus(struct handle *h)
{
	IRP *irp = IoAllocateIrp(h->target->StackSize, FALSE);
	IO_STACK_LOCATION *stack;
	NTSTATUS status;
	KEVENT event;

	if (!irp)
		return STATUS_INSUFFICIENT_RESOURCES;
	KeInitializeEvent(&event, NotificationEvent, FALSE);
	stack = IoGetNextIrpStackLocation(irp);
	stack->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
	stack->Parameters.DeviceIoControl.IoControlCode = UWB_USBD_OPEN;
	stack->Parameters.Others.Argument1 = &h->bus;
	IoSetCompletionRoutine(irp, on_open, &event, TRUE, TRUE, TRUE);
	IoCallDriver(h->target, irp);
	KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
	status = irp->IoStatus.Status;
	IoFreeIrp(irp);
	return status;
}

NTSTATUS USBD_CreateHandle(PDEVICE_OBJECT device, PDEVICE_OBJECT target, ULONG version, ULONG tag, USBD_HANDLE *handle)
{
	struct handle *h;
	NTSTATUS status;

	if (KeGetCurrentIrql() != PASSIVE_LEVEL)
		return STATUS_INVALID_LEVEL;
	if (!device || !target || !handle || version != USBD_CLIENT_CONTRACT_VERSION_602 || !tag)
		return STATUS_INVALID_PARAMETER;
	h = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*h), tag);
	if (!h)
		return STATUS_INSUFFICIENT_RESOURCES;
	uw_zero(h, sizeof(*h));
	h->bus.begin = begin;
	h->bus.end = end;
	h->magic = MAGIC;
	h->target = target;
	h->tag = tag;
	KeInitializeSpinLock(&h->lock);
	uw_list_init(&h->urbs);
	status = tell_bus(h);
	if (NT_SUCCESS(status))
		*handle = (USBD_HANDLE)h;
	else
		ExFreePoolWithTag(h, tag);
	return status;
}

VOID USBD_CloseHandle(USBD_HANDLE handle)
{
	struct handle *h = handle_of(handle, PASSIVE_LEVEL, "USBD_CloseHandle");

	if (!h)
		return;
	if (!uw_list_empty(&h->urbs))
		VIOLATION("a handle closed with URBs that were not freed");
	h->bus.close(h->bus.bus);
	h->magic = 0;
	ExFreePoolWithTag(h, h->tag);
}

NTSTATUS USBD_QueryUsbCapability(USBD_HANDLE handle, const GUID *capability, ULONG room, PUCHAR buffer, PULONG length)
{
	struct handle *h = handle_of(handle, PASSIVE_LEVEL, "USBD_QueryUsbCapability");

	if (length)
		*length = 0;
	if (!h || !capability || !buffer != !room)
		return STATUS_INVALID_PARAMETER;
	if (IsEqualGUID(capability, &GUID_USB_CAPABILITY_CHAINED_MDLS))
		return room ? STATUS_INVALID_PARAMETER : h->bus.ask_chains(h->bus.bus);
	if (!IsEqualGUID(capability, &GUID_USB_CAPABILITY_STATIC_STREAMS))
		return STATUS_NOT_IMPLEMENTED;
	if (room < sizeof(uint16_t))
		return STATUS_INVALID_PARAMETER;
	if (length)
		*length = sizeof(uint16_t);
	return h->bus.ask_streams(h->bus.bus, (uint16_t *)buffer);
}

/* ---- URBs ---- */

static struct context *allocate(USBD_HANDLE handle, enum kind kind, size_t bytes, URB **urb, const char *what)
{
	struct handle *h = handle_of(handle, DISPATCH_LEVEL, what);
	struct context *c;
	KIRQL irql;

	*urb = NULL;
	if (!h)
		return NULL;
	c = ExAllocatePoolWithTag(NonPagedPoolNx, CONTEXT_BYTES + bytes, h->tag);
	if (!c)
		return NULL;
	uw_zero(c, CONTEXT_BYTES + bytes);
	c->kind = kind;
	*urb = (URB *)((uint8_t *)c + CONTEXT_BYTES);
	(*urb)->UrbHeader.Length = (USHORT)bytes;
	KeAcquireSpinLock(&h->lock, &irql);
	uw_list_add(&h->urbs, &c->node);
	KeReleaseSpinLock(&h->lock, irql);
	return c;
}

NTSTATUS USBD_UrbAllocate(USBD_HANDLE handle, PURB *urb)
{
	return allocate(handle, PLAIN, sizeof(URB), urb, "USBD_UrbAllocate") ? STATUS_SUCCESS :
									       STATUS_INSUFFICIENT_RESOURCES;
}

/* As long as it is documented, and not by one packet longer. */
NTSTATUS USBD_IsochUrbAllocate(USBD_HANDLE handle, ULONG packets, PURB *urb)
{
	size_t bytes = FIELD_OFFSET(struct _URB_ISOCH_TRANSFER, IsoPacket) + packets * sizeof(USBD_ISO_PACKET_DESCRIPTOR);
	struct context *c = allocate(handle, ISO, bytes, urb, "USBD_IsochUrbAllocate");

	if (!c)
		return STATUS_INSUFFICIENT_RESOURCES;
	c->packets = packets;
	(*urb)->UrbHeader.Function = URB_FUNCTION_ISOCH_TRANSFER;
	return STATUS_SUCCESS;
}

VOID USBD_UrbFree(USBD_HANDLE handle, PURB urb)
{
	struct handle *h = handle_of(handle, DISPATCH_LEVEL, "USBD_UrbFree");
	struct context *c;
	KIRQL irql;

	if (!h)
		return;
	KeAcquireSpinLock(&h->lock, &irql);
	c = find(h, urb);
	if (c && c->active)
		VIOLATION("URB %p freed while it is under way", urb);
	if (c)
		uw_list_del(&c->node);
	KeReleaseSpinLock(&h->lock, irql);
	if (c)
		ExFreePoolWithTag(c, h->tag);
	else
		VIOLATION("URB %p freed, which is none of the handle's", urb);
}

VOID USBD_AssignUrbToIoStackLocation(USBD_HANDLE handle, PIO_STACK_LOCATION stack, PURB urb)
{
	struct handle *h = handle_of(handle, DISPATCH_LEVEL, "USBD_AssignUrbToIoStackLocation");
	KIRQL irql;
	bool known;

	if (!h)
		return;
	KeAcquireSpinLock(&h->lock, &irql);
	known = find(h, urb) != NULL;
	KeReleaseSpinLock(&h->lock, irql);
	if (!known)
		VIOLATION("URB %p assigned, which is none of the handle's", urb);
	stack->Parameters.Others.Argument1 = urb;
	stack->FileObject = (FILE_OBJECT *)h;
}

/* ---- selects ---- */

static uint32_t info_bytes(const USB_INTERFACE_DESCRIPTOR *d)
{
	size_t pipes = d->bNumEndpoints * sizeof(USBD_PIPE_INFORMATION);

	return (uint32_t)(FIELD_OFFSET(USBD_INTERFACE_INFORMATION, Pipes) + pipes);
}

static void build(USBD_INTERFACE_LIST_ENTRY *entry, void *at)
{
	const USB_INTERFACE_DESCRIPTOR *d = entry->InterfaceDescriptor;
	USBD_INTERFACE_INFORMATION *info = at;

	info->Length = (USHORT)info_bytes(d);
	info->InterfaceNumber = d->bInterfaceNumber;
	info->AlternateSetting = d->bAlternateSetting;
	info->Class = d->bInterfaceClass;
	info->SubClass = d->bInterfaceSubClass;
	info->Protocol = d->bInterfaceProtocol;
	info->NumberOfPipes = d->bNumEndpoints;
	entry->Interface = info;
}

NTSTATUS USBD_SelectConfigUrbAllocateAndBuild(USBD_HANDLE handle, PUSB_CONFIGURATION_DESCRIPTOR config,
					      PUSBD_INTERFACE_LIST_ENTRY list, PURB *urb)
{
	size_t bytes = FIELD_OFFSET(struct _URB_SELECT_CONFIGURATION, Interface);
	struct context *c;
	uint8_t *at;
	uint32_t i;

	for (i = 0; list[i].InterfaceDescriptor && i < INTERFACES_MAX; i++)
		bytes += info_bytes(list[i].InterfaceDescriptor);
	c = allocate(handle, CONFIG, bytes, urb, "USBD_SelectConfigUrbAllocateAndBuild");
	if (!c)
		return STATUS_INSUFFICIENT_RESOURCES;
	c->config = config;
	(*urb)->UrbHeader.Function = URB_FUNCTION_SELECT_CONFIGURATION;
	(*urb)->UrbSelectConfiguration.ConfigurationDescriptor = config;
	at = (uint8_t *)&(*urb)->UrbSelectConfiguration.Interface;
	for (i = 0; list[i].InterfaceDescriptor && i < INTERFACES_MAX; i++) {
		build(&list[i], at);
		at += info_bytes(list[i].InterfaceDescriptor);
	}
	return STATUS_SUCCESS;
}

NTSTATUS USBD_SelectInterfaceUrbAllocateAndBuild(USBD_HANDLE handle, USBD_CONFIGURATION_HANDLE config,
						 PUSBD_INTERFACE_LIST_ENTRY entry, PURB *urb)
{
	size_t bytes = FIELD_OFFSET(struct _URB_SELECT_INTERFACE, Interface) + info_bytes(entry->InterfaceDescriptor);
	struct context *c = allocate(handle, SETTING, bytes, urb, "USBD_SelectInterfaceUrbAllocateAndBuild");

	if (!c)
		return STATUS_INSUFFICIENT_RESOURCES;
	c->number = entry->InterfaceDescriptor->bInterfaceNumber;
	c->alternate = entry->InterfaceDescriptor->bAlternateSetting;
	(*urb)->UrbHeader.Function = URB_FUNCTION_SELECT_INTERFACE;
	(*urb)->UrbSelectInterface.ConfigurationHandle = config;
	build(entry, &(*urb)->UrbSelectInterface.Interface);
	return STATUS_SUCCESS;
}
