// SPDX-License-Identifier: GPL-2.0-only
/* A function driver for a device of the root bus: says what it is sent, and asks for device power as drivers do. */
#include "probe_nt.h"

struct extension {
	DEVICE_OBJECT *self, *below, *pdo;
	UNICODE_STRING link;
	IRP *system;
};

NTSTATUS NTAPI probe_add(PDRIVER_OBJECT driver, PDEVICE_OBJECT pdo)
{
	struct extension *x;
	DEVICE_OBJECT *device;
	NTSTATUS status = IoCreateDevice(driver, sizeof(*x), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);

	if (!NT_SUCCESS(status))
		return status;
	x = device->DeviceExtension;
	x->self = device;
	x->pdo = pdo;
	x->below = IoAttachDeviceToDeviceStack(device, pdo);
	if (!x->below) {
		IoDeleteDevice(device);
		return STATUS_NO_SUCH_DEVICE;
	}
	CHECK("interface", NT_SUCCESS(IoRegisterDeviceInterface(pdo, &probe_class, NULL, &x->link)));
	device->Flags &= ~DO_DEVICE_INITIALIZING;
	return STATUS_SUCCESS;
}

static NTSTATUS NTAPI signal(PDEVICE_OBJECT device, PIRP irp, PVOID event)
{
	(void)device;
	(void)irp;
	KeSetEvent(event, 0, FALSE);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS start(struct extension *x, IRP *irp)
{
	NTSTATUS status;
	KEVENT event;

	KeInitializeEvent(&event, NotificationEvent, FALSE);
	IoCopyCurrentIrpStackLocationToNext(irp);
	IoSetCompletionRoutine(irp, signal, &event, TRUE, TRUE, TRUE);
	if (IoCallDriver(x->below, irp) == STATUS_PENDING)
		KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
	status = irp->IoStatus.Status;
	if (NT_SUCCESS(status))
		CHECK("enable", NT_SUCCESS(IoSetDeviceInterfaceState(&x->link, TRUE)));
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

static NTSTATUS pass(struct extension *x, IRP *irp)
{
	IoSkipCurrentIrpStackLocation(irp);
	return IoCallDriver(x->below, irp);
}

NTSTATUS NTAPI probe_pnp(PDEVICE_OBJECT device, PIRP irp)
{
	struct extension *x = device->DeviceExtension;
	UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;
	NTSTATUS status;

	if (minor != IRP_MN_QUERY_ID)
		DbgPrint("probe: pnp %u\n", minor);
	switch (minor) {
	case IRP_MN_START_DEVICE:
		return start(x, irp);
	case IRP_MN_QUERY_REMOVE_DEVICE:
	case IRP_MN_CANCEL_REMOVE_DEVICE:
	case IRP_MN_QUERY_STOP_DEVICE:
	case IRP_MN_CANCEL_STOP_DEVICE:
	case IRP_MN_STOP_DEVICE:
	case IRP_MN_SURPRISE_REMOVAL:
		irp->IoStatus.Status = STATUS_SUCCESS;
		return pass(x, irp);
	case IRP_MN_REMOVE_DEVICE:
		irp->IoStatus.Status = STATUS_SUCCESS;
		status = pass(x, irp);
		RtlFreeUnicodeString(&x->link);
		IoDetachDevice(x->below);
		IoDeleteDevice(device);
		return status;
	default:
		return pass(x, irp);
	}
}

static VOID NTAPI powered(PDEVICE_OBJECT device, UCHAR minor, POWER_STATE state, PVOID context, PIO_STATUS_BLOCK iosb)
{
	struct extension *x = context;
	IRP *irp = x->system;

	(void)device;
	(void)minor;
	DbgPrint("probe: device D%d status %x\n", state.DeviceState - 1, (unsigned int)iosb->Status);
	x->system = NULL;
	IoSkipCurrentIrpStackLocation(irp);
	PoCallDriver(x->below, irp);
}

NTSTATUS NTAPI probe_power(PDEVICE_OBJECT device, PIRP irp)
{
	struct extension *x = device->DeviceExtension;
	IO_STACK_LOCATION *sp = IoGetCurrentIrpStackLocation(irp);
	POWER_STATE state;

	if (sp->Parameters.Power.Type == SystemPowerState && sp->MinorFunction == IRP_MN_SET_POWER) {
		DbgPrint("probe: system S%d\n", sp->Parameters.Power.State.SystemState - 1);
		IoMarkIrpPending(irp);
		x->system = irp;
		state.DeviceState = sp->Parameters.Power.State.SystemState == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
		irp->IoStatus.Status = STATUS_SUCCESS;
		PoRequestPowerIrp(x->pdo, IRP_MN_SET_POWER, state, powered, x, NULL);
		return STATUS_PENDING;
	}
	irp->IoStatus.Status = STATUS_SUCCESS;
	IoSkipCurrentIrpStackLocation(irp);
	return PoCallDriver(x->below, irp);
}
