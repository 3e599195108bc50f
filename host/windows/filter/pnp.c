/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Plug and play: the device starts, may stop, leaves.
 *
 *   STOPPED --start--> STARTED --query--> STOPPING | REMOVING --cancel--> STARTED
 *                         |                  |           |
 *                         | surprise       stop        remove
 *                         v                  v           v
 *                        GONE --remove--> STOPPED     REMOVED
 */
#include "filter.h"

/* USB_BUS_INTERFACE_USBDI, version 1; mingw has it only in a header that wants C++. */
struct usbdi {
	INTERFACE head;
	void *version, *time, *iso_out, *information;
	BOOLEAN (NTAPI *is_high_speed)(void *context);
};

static NTSTATUS NTAPI on_below(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	UNREFERENCED_PARAMETER(device);
	UNREFERENCED_PARAMETER(irp);
	KeSetEvent(context, IO_NO_INCREMENT, FALSE);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

/* The next stack location is filled in. */
static NTSTATUS ask_below(struct uw_filter *f, IRP *irp)
{
	KEVENT event;

	KeInitializeEvent(&event, NotificationEvent, FALSE);
	IoSetCompletionRoutine(irp, on_below, &event, TRUE, TRUE, TRUE);
	if (IoCallDriver(f->lower, irp) == STATUS_PENDING)
		KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
	return irp->IoStatus.Status;
}

static NTSTATUS first_below(struct uw_filter *f, IRP *irp)
{
	IoCopyCurrentIrpStackLocationToNext(irp);
	return ask_below(f, irp);
}

/* Does the bus say whether the device runs at high speed, and what? */
static bool ask_speed(struct uw_filter *f, bool *high)
{
	IRP *irp = IoAllocateIrp(f->lower->StackSize, FALSE);
	IO_STACK_LOCATION *stack;
	struct usbdi usbdi;
	NTSTATUS status;

	if (!irp)
		return false;
	uw_zero(&usbdi, sizeof(usbdi));
	irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
	stack = IoGetNextIrpStackLocation(irp);
	stack->MajorFunction = IRP_MJ_PNP;
	stack->MinorFunction = IRP_MN_QUERY_INTERFACE;
	stack->Parameters.QueryInterface.InterfaceType = &uw_usbdi_guid;
	stack->Parameters.QueryInterface.Size = sizeof(usbdi);
	stack->Parameters.QueryInterface.Version = 1;
	stack->Parameters.QueryInterface.Interface = &usbdi.head;
	status = ask_below(f, irp);
	IoFreeIrp(irp);
	if (!NT_SUCCESS(status) || !usbdi.is_high_speed)
		return false;
	*high = usbdi.is_high_speed(usbdi.head.Context);
	if (usbdi.head.InterfaceDereference)
		usbdi.head.InterfaceDereference(usbdi.head.Context);
	return true;
}

/* "Port_#0003.Hub_#0001" becomes "1-3". */
static void name_port(struct uw_filter *f)
{
	uint32_t number[2] = { 0, 0 }, n = 0, i, at = 0, power;
	WCHAR text[64];
	ULONG bytes = 0;

	if (!NT_SUCCESS(IoGetDeviceProperty(f->pdo, DevicePropertyLocationInformation, sizeof(text), text, &bytes)))
		return;
	for (i = 0; i < bytes / sizeof(WCHAR) && n < 2; i++) {
		if (text[i] == '.')
			n++;
		else if (n < 2 && text[i] >= '0' && text[i] <= '9')
			number[n] = (number[n] * 10 + (uint32_t)(text[i] - '0')) % 10000;
	}
	if (n != 1)
		return;
	for (n = 2; n--;) {
		for (power = 1000; power > 1 && number[n] < power; power /= 10)
			;
		for (; power; power /= 10)
			f->peer.dev.bus_id[at++] = (char)('0' + number[n] / power % 10);
		f->peer.dev.bus_id[at++] = n ? '-' : 0;
	}
}

static void set_started(struct uw_filter *f, bool started)
{
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	f->started = started;
	KeReleaseSpinLock(&f->lock, irql);
}

static bool has_owner(struct uw_filter *f)
{
	bool has;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	has = f->owner != NULL;
	KeReleaseSpinLock(&f->lock, irql);
	return has;
}

/* The interface is announced last: whoever hears of it may use the device. */
static NTSTATUS start(struct uw_filter *f, IRP *irp)
{
	bool known, high = false;
	NTSTATUS status;

	status = first_below(f, irp);
	if (!NT_SUCCESS(status))
		return status;
	f->power = PowerDeviceD0;
	uw_usbd_ask(f);
	known = ask_speed(f, &high);
	uw_gate_enter(f);
	if (uw_config_identify(f, known, high) != UW_ST_OK)
		status = STATUS_DEVICE_DATA_ERROR;
	uw_gate_leave(f);
	if (!NT_SUCCESS(status))
		return status;
	name_port(f);
	f->pnp = UW_PNP_STARTED;
	set_started(f, true);
	IoSetDeviceInterfaceState(&f->link, TRUE);
	return STATUS_SUCCESS;
}

/* An owner hears of a removal that is asked about before this does, and lets go; one that has not cannot. */
static NTSTATUS query(struct uw_filter *f, enum uw_pnp next)
{
	set_started(f, false);
	if (has_owner(f)) {
		set_started(f, f->pnp == UW_PNP_STARTED);
		return STATUS_DEVICE_BUSY;
	}
	f->pnp_before = f->pnp;
	f->pnp = next;
	return STATUS_SUCCESS;
}

static void cancel_query(struct uw_filter *f, enum uw_pnp asked)
{
	if (f->pnp != asked)
		return;
	f->pnp = f->pnp_before;
	set_started(f, f->pnp == UW_PNP_STARTED);
}

/* No transfer is left when this returns. */
static void leave(struct uw_filter *f)
{
	set_started(f, false);
	uw_usb_lose(f);
	uw_pipes_drain(f);
	if (f->pnp == UW_PNP_STARTED || f->pnp == UW_PNP_REMOVING)
		IoSetDeviceInterfaceState(&f->link, FALSE);
}

static NTSTATUS surprise(struct uw_filter *f, IRP *irp)
{
	leave(f);
	f->pnp = UW_PNP_GONE;
	irp->IoStatus.Status = STATUS_SUCCESS;
	return uw_irp_pass(f, irp);
}

static void set_removed(struct uw_filter *f)
{
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	f->pnp = UW_PNP_REMOVED;
	KeReleaseSpinLock(&f->lock, irql);
}

/* The device object outlives this as long as an owner has it open; then its close finds nothing to end. */
static NTSTATUS remove(struct uw_filter *f, IRP *irp)
{
	NTSTATUS status;

	leave(f);
	set_removed(f);
	IoReleaseRemoveLockAndWait(&f->removal, irp);
	uw_urb_fini(f);
	uw_usbd_close(f);
	irp->IoStatus.Status = STATUS_SUCCESS;
	IoSkipCurrentIrpStackLocation(irp);
	status = IoCallDriver(f->lower, irp);
	IoDetachDevice(f->lower);
	uw_device_delete(f);
	return status;
}

static NTSTATUS end(struct uw_filter *f, IRP *irp, NTSTATUS status)
{
	uw_irp_end(irp, status);
	IoReleaseRemoveLock(&f->removal, irp);
	return status;
}

static NTSTATUS pass_or_end(struct uw_filter *f, IRP *irp, NTSTATUS status)
{
	if (!NT_SUCCESS(status))
		return end(f, irp, status);
	irp->IoStatus.Status = STATUS_SUCCESS;
	return uw_irp_pass(f, irp);
}

static NTSTATUS capabilities(struct uw_filter *f, IRP *irp)
{
	NTSTATUS status = first_below(f, irp);

	if (NT_SUCCESS(status))
		IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceCapabilities.Capabilities->SurpriseRemovalOK = TRUE;
	return end(f, irp, status);
}

/* What the bus decides first, and this driver then undoes. */
static NTSTATUS cancelled(struct uw_filter *f, IRP *irp, enum uw_pnp asked)
{
	NTSTATUS status = first_below(f, irp);

	cancel_query(f, asked);
	return end(f, irp, status);
}

NTSTATUS NTAPI uw_pnp(DEVICE_OBJECT *device, IRP *irp)
{
	struct uw_filter *f = uw_filter_of(device);
	NTSTATUS status = IoAcquireRemoveLock(&f->removal, irp);

	if (!NT_SUCCESS(status))
		return uw_irp_end(irp, status);
	switch (IoGetCurrentIrpStackLocation(irp)->MinorFunction) {
	case IRP_MN_START_DEVICE:
		return end(f, irp, start(f, irp));
	case IRP_MN_QUERY_STOP_DEVICE:
		return pass_or_end(f, irp, query(f, UW_PNP_STOPPING));
	case IRP_MN_CANCEL_STOP_DEVICE:
		return cancelled(f, irp, UW_PNP_STOPPING);
	case IRP_MN_STOP_DEVICE:
		f->pnp = UW_PNP_STOPPED;
		return pass_or_end(f, irp, STATUS_SUCCESS);
	case IRP_MN_QUERY_REMOVE_DEVICE:
		return pass_or_end(f, irp, query(f, UW_PNP_REMOVING));
	case IRP_MN_CANCEL_REMOVE_DEVICE:
		return cancelled(f, irp, UW_PNP_REMOVING);
	case IRP_MN_SURPRISE_REMOVAL:
		return surprise(f, irp);
	case IRP_MN_REMOVE_DEVICE:
		return remove(f, irp);
	case IRP_MN_QUERY_CAPABILITIES:
		return capabilities(f, irp);
	default:
		return uw_irp_pass(f, irp);
	}
}
