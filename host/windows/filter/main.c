/* SPDX-License-Identifier: GPL-2.0-only */
/* Entry points of the driver, and who may talk to it: UsbWarp.sys alone, one file object at a time. */
#include "filter.h"

#include <initguid.h>

#include "usbwarp/ioctl.h"

/* DEFINE_GUID counts its arguments before it expands them. */
#define GUID_OF(name, guid) DEFINE_GUID(name, guid)
GUID_OF(uw_interface_guid, UW_NT_INTERFACE);
DEFINE_GUID(uw_usbdi_guid, 0xb1a96a13, 0x3de0, 0x4574, 0x9b, 0x01, 0xc0, 0x8f, 0xea, 0xb3, 0x18, 0xd6);

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path);

NTSTATUS uw_irp_end(IRP *irp, NTSTATUS status)
{
	irp->IoStatus.Status = status;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

NTSTATUS uw_irp_pass(struct uw_filter *f, IRP *irp)
{
	NTSTATUS status;

	IoSkipCurrentIrpStackLocation(irp);
	status = IoCallDriver(f->lower, irp);
	IoReleaseRemoveLock(&f->removal, irp);
	return status;
}

/* ---- files ---- */

/* Only the device itself can be opened, not a name below it, and only by kernel code. */
static NTSTATUS NTAPI on_create(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
	struct uw_filter *f = uw_filter_of(device);
	bool may;
	KIRQL irql;

	irp->IoStatus.Information = 0;
	if (irp->RequestorMode != KernelMode)
		return uw_irp_end(irp, STATUS_ACCESS_DENIED);
	if (stack->FileObject && stack->FileObject->FileName.Length)
		return uw_irp_end(irp, STATUS_OBJECT_NAME_NOT_FOUND);
	KeAcquireSpinLock(&f->lock, &irql);
	may = f->started && !f->lost;
	KeReleaseSpinLock(&f->lock, irql);
	return uw_irp_end(irp, may ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE);
}

/* The handle, if there ever was one, may be closed long before the file object is let go of. */
static NTSTATUS NTAPI on_cleanup(DEVICE_OBJECT *device, IRP *irp)
{
	UNREFERENCED_PARAMETER(device);
	irp->IoStatus.Information = 0;
	return uw_irp_end(irp, STATUS_SUCCESS);
}

static NTSTATUS NTAPI on_close(DEVICE_OBJECT *device, IRP *irp)
{
	const FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
	struct uw_filter *f = uw_filter_of(device);
	bool owner;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	owner = f->owner && f->owner == file;
	KeReleaseSpinLock(&f->lock, irql);
	if (owner)
		uw_filter_backend.close(&f->peer.dev); /* an owner that has closed it already loses nothing by this */
	KeAcquireSpinLock(&f->lock, &irql);
	if (owner)
		f->owner = NULL;
	KeReleaseSpinLock(&f->lock, irql);
	irp->IoStatus.Information = 0;
	return uw_irp_end(irp, STATUS_SUCCESS);
}

static NTSTATUS connect(struct uw_filter *f, FILE_OBJECT *file, struct uw_peer_connect *c)
{
	NTSTATUS status = STATUS_SUCCESS;
	KIRQL irql;

	if (!file || !c || c->size != sizeof(*c))
		return STATUS_INVALID_PARAMETER;
	if (c->version != UW_PEER_VERSION)
		return STATUS_REVISION_MISMATCH;
	KeAcquireSpinLock(&f->lock, &irql);
	if (!f->started || f->lost)
		status = STATUS_NO_SUCH_DEVICE;
	else if (f->owner)
		status = STATUS_DEVICE_BUSY;
	else
		f->owner = file;
	KeReleaseSpinLock(&f->lock, irql);
	if (NT_SUCCESS(status))
		c->peer = &f->peer;
	return status;
}

static NTSTATUS NTAPI on_internal(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

	irp->IoStatus.Information = 0;
	if (irp->RequestorMode != KernelMode)
		return uw_irp_end(irp, STATUS_ACCESS_DENIED);
	if (stack->Parameters.DeviceIoControl.IoControlCode != UW_PEER_CONNECT)
		return uw_irp_end(irp, STATUS_INVALID_DEVICE_REQUEST);
	return uw_irp_end(irp, connect(uw_filter_of(device), stack->FileObject,
				       stack->Parameters.DeviceIoControl.Type3InputBuffer));
}

static NTSTATUS NTAPI on_system_control(DEVICE_OBJECT *device, IRP *irp)
{
	struct uw_filter *f = uw_filter_of(device);
	NTSTATUS status = IoAcquireRemoveLock(&f->removal, irp);

	return NT_SUCCESS(status) ? uw_irp_pass(f, irp) : uw_irp_end(irp, status);
}

static NTSTATUS NTAPI on_other(DEVICE_OBJECT *device, IRP *irp)
{
	UNREFERENCED_PARAMETER(device);
	irp->IoStatus.Information = 0;
	return uw_irp_end(irp, STATUS_INVALID_DEVICE_REQUEST);
}

/* ---- devices ---- */

/* The interface that UsbWarp.sys looks for; it is enabled when the device has started. */
static NTSTATUS attach(struct uw_filter *f)
{
	NTSTATUS status;

	f->work = IoAllocateWorkItem(f->self);
	f->power_work = IoAllocateWorkItem(f->self);
	f->wake_work = IoAllocateWorkItem(f->self);
	if (!f->work || !f->power_work || !f->wake_work)
		return STATUS_INSUFFICIENT_RESOURCES;
	status = IoRegisterDeviceInterface(f->pdo, &uw_interface_guid, NULL, &f->link);
	if (!NT_SUCCESS(status))
		return status;
	f->lower = IoAttachDeviceToDeviceStack(f->self, f->pdo);
	if (!f->lower)
		return STATUS_NO_SUCH_DEVICE;
	status = uw_usbd_open(f);
	if (!NT_SUCCESS(status))
		IoDetachDevice(f->lower);
	return status;
}

void uw_device_delete(struct uw_filter *f)
{
	if (f->link.Buffer)
		RtlFreeUnicodeString(&f->link);
	if (f->wake_work)
		IoFreeWorkItem(f->wake_work);
	if (f->power_work)
		IoFreeWorkItem(f->power_work);
	if (f->work)
		IoFreeWorkItem(f->work);
	IoDeleteDevice(f->self);
}

static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
	DEVICE_OBJECT *self;
	struct uw_filter *f;
	NTSTATUS status;

	status = IoCreateDevice(driver, sizeof(*f), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &self);
	if (!NT_SUCCESS(status))
		return status;
	f = uw_filter_of(self);
	uw_zero(f, sizeof(*f));
	f->self = self;
	f->pdo = pdo;
	f->system = PowerSystemWorking;
	f->power = PowerDeviceD3;
	IoInitializeRemoveLock(&f->removal, UW_FILTER_TAG, 0, 0);
	uw_usb_init(f);
	status = attach(f);
	if (!NT_SUCCESS(status)) {
		uw_device_delete(f);
		return status;
	}
	self->Flags |= f->lower->Flags & (DO_BUFFERED_IO | DO_DIRECT_IO | DO_POWER_PAGABLE);
	self->Flags &= ~DO_DEVICE_INITIALIZING;
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
		driver->MajorFunction[i] = on_other;
	driver->MajorFunction[IRP_MJ_CREATE] = on_create;
	driver->MajorFunction[IRP_MJ_CLEANUP] = on_cleanup;
	driver->MajorFunction[IRP_MJ_CLOSE] = on_close;
	driver->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = on_internal;
	driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = on_system_control;
	driver->MajorFunction[IRP_MJ_PNP] = uw_pnp;
	driver->MajorFunction[IRP_MJ_POWER] = uw_power;
	driver->DriverExtension->AddDevice = add_device;
	driver->DriverUnload = unload;
	return STATUS_SUCCESS;
}
