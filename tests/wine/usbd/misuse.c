/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * uwmisuse.sys: a function driver that uses its USBD handle in every wrong way that can be survived, when its device is
 * started, so that the stand-in for usbdex.lib and the bus are seen to notice. Endpoint 0 answers NAK meanwhile.
 */
#include <initguid.h>

#include "base.h"

#include <usbdlib.h>
#include <usbioctl.h>

#define TAG 0x6d577355u

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path);

struct misuse {
	DEVICE_OBJECT *lower;
	USBD_HANDLE handle;
};

struct sent {
	IRP *irp;
	KEVENT done;
};

static struct misuse *of(DEVICE_OBJECT *device) { return device->DeviceExtension; }

static NTSTATUS NTAPI on_end(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	UNREFERENCED_PARAMETER(device);
	UNREFERENCED_PARAMETER(irp);
	KeSetEvent(context, IO_NO_INCREMENT, FALSE);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

/* ---- sending ---- */

/* assigned: by the call that has to be used for it. */
static void begin(struct misuse *m, struct sent *s, URB *urb, bool assigned)
{
	IO_STACK_LOCATION *next;

	KeInitializeEvent(&s->done, NotificationEvent, FALSE);
	s->irp = IoAllocateIrp(m->lower->StackSize, FALSE);
	next = IoGetNextIrpStackLocation(s->irp);
	next->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
	next->Parameters.DeviceIoControl.IoControlCode = IOCTL_INTERNAL_USB_SUBMIT_URB;
	next->Parameters.Others.Argument1 = urb;
	if (assigned)
		USBD_AssignUrbToIoStackLocation(m->handle, next, urb);
	IoSetCompletionRoutine(s->irp, on_end, &s->done, TRUE, TRUE, TRUE);
	IoCallDriver(m->lower, s->irp);
}

static void end(struct sent *s)
{
	IoCancelIrp(s->irp);
	KeWaitForSingleObject(&s->done, Executive, KernelMode, FALSE, NULL);
	IoFreeIrp(s->irp);
}

static void send(struct misuse *m, URB *urb, bool assigned)
{
	struct sent s;

	begin(m, &s, urb, assigned);
	end(&s);
}

static void fill(URB *urb)
{
	struct _URB_CONTROL_TRANSFER_EX *c = &urb->UrbControlTransferEx;

	c->Hdr.Function = URB_FUNCTION_CONTROL_TRANSFER_EX;
	c->Hdr.Length = sizeof(*c);
	c->TransferFlags = USBD_DEFAULT_PIPE_TRANSFER;
	c->SetupPacket[1] = 9; /* a request without data; it does not get as far as the device */
	c->SetupPacket[0] = 0x40;
}

/* ---- misuses ---- */

static void others(struct misuse *m)
{
	URB *urb = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*urb), TAG);

	uw_zero(urb, sizeof(*urb));
	fill(urb);
	send(m, urb, false);
	USBD_UrbFree(m->handle, urb);
	ExFreePoolWithTag(urb, TAG);
}

static void kinds(struct misuse *m)
{
	URB *urb;

	if (!NT_SUCCESS(USBD_IsochUrbAllocate(m->handle, 8, &urb)))
		return;
	urb->UrbIsochronousTransfer.NumberOfPackets = 9;
	send(m, urb, true);
	fill(urb);
	send(m, urb, true);
	USBD_UrbFree(m->handle, urb);
}

static void twice(struct misuse *m)
{
	struct sent s;
	URB *urb;

	if (!NT_SUCCESS(USBD_UrbAllocate(m->handle, &urb)))
		return;
	fill(urb);
	send(m, urb, false);
	begin(m, &s, urb, true);
	send(m, urb, true);
	end(&s);
	USBD_UrbFree(m->handle, urb);
}

static void raised(struct misuse *m)
{
	USBD_HANDLE handle;
	NTSTATUS status;
	KIRQL irql;

	KeRaiseIrql(DISPATCH_LEVEL, &irql);
	status = USBD_CreateHandle(m->lower, m->lower, USBD_CLIENT_CONTRACT_VERSION_602, TAG, &handle);
	USBD_QueryUsbCapability(m->handle, &GUID_USB_CAPABILITY_CHAINED_MDLS, 0, NULL, NULL);
	KeLowerIrql(irql);
	if (status != STATUS_INVALID_LEVEL)
		DbgPrint("UWLAB: a handle at DISPATCH_LEVEL: %08x\n", status);
}

/* ---- the device ---- */

static NTSTATUS start(struct misuse *m, IRP *irp)
{
	KEVENT event;

	KeInitializeEvent(&event, NotificationEvent, FALSE);
	IoCopyCurrentIrpStackLocationToNext(irp);
	IoSetCompletionRoutine(irp, on_end, &event, TRUE, TRUE, TRUE);
	IoCallDriver(m->lower, irp);
	KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
	others(m);
	kinds(m);
	twice(m);
	raised(m);
	irp->IoStatus.Status = STATUS_SUCCESS;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return STATUS_SUCCESS;
}

static NTSTATUS remove(DEVICE_OBJECT *device, IRP *irp)
{
	struct misuse *m = of(device);
	NTSTATUS status;
	URB *urb;

	if (NT_SUCCESS(USBD_UrbAllocate(m->handle, &urb)))
		USBD_CloseHandle(m->handle);
	irp->IoStatus.Status = STATUS_SUCCESS;
	IoSkipCurrentIrpStackLocation(irp);
	status = IoCallDriver(m->lower, irp);
	IoDetachDevice(m->lower);
	IoDeleteDevice(device);
	return status;
}

static NTSTATUS NTAPI on_request(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);

	if (at->MajorFunction == IRP_MJ_PNP && at->MinorFunction == IRP_MN_START_DEVICE)
		return start(of(device), irp);
	if (at->MajorFunction == IRP_MJ_PNP && at->MinorFunction == IRP_MN_REMOVE_DEVICE)
		return remove(device, irp);
	IoSkipCurrentIrpStackLocation(irp);
	return IoCallDriver(of(device)->lower, irp);
}

static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
	DEVICE_OBJECT *device;
	struct misuse *m;
	NTSTATUS status;

	status = IoCreateDevice(driver, sizeof(*m), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &device);
	if (!NT_SUCCESS(status))
		return status;
	m = of(device);
	m->lower = IoAttachDeviceToDeviceStack(device, pdo);
	status = USBD_CreateHandle(device, m->lower, USBD_CLIENT_CONTRACT_VERSION_602, TAG, &m->handle);
	if (!NT_SUCCESS(status)) {
		IoDetachDevice(m->lower);
		IoDeleteDevice(device);
		return status;
	}
	device->Flags &= ~DO_DEVICE_INITIALIZING;
	return STATUS_SUCCESS;
}

static VOID NTAPI unload(DRIVER_OBJECT *driver)
{
	UNREFERENCED_PARAMETER(driver);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
	uint32_t i;

	UNREFERENCED_PARAMETER(path);
	for (i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
		driver->MajorFunction[i] = on_request;
	driver->DriverExtension->AddDevice = add_device;
	driver->DriverUnload = unload;
	return STATUS_SUCCESS;
}
