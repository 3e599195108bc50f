/* SPDX-License-Identifier: GPL-2.0-only */
/* The virtual USB bus as a driver: its beginning and end, its control device, and the bus's own devnode. */
#include "bus.h"

/* GUID_DEVINTERFACE_USB_HUB */
static const GUID hub_class = { 0xf18a0e88, 0xc30c, 0x11d0, { 0x88, 0x15, 0x00, 0xa0, 0xc9, 0x06, 0xbe, 0xd8 } };

#define START (3600000 * UW_MS) /* what the bus's clock says at first: frames of the past have numbers, too */

struct uw_bus uw_bus;

DRIVER_INITIALIZE DriverEntry;

/* ---- what all files use ---- */

static uint64_t real_now(void)
{
	LARGE_INTEGER frequency, ticks = KeQueryPerformanceCounter(&frequency);
	uint64_t f = (uint64_t)frequency.QuadPart, t = (uint64_t)ticks.QuadPart;

	return t / f * 1000000000u + t % f * 1000000000u / f;
}

uint64_t uw_now(void) { return uw_bus.clock_at + (real_now() - uw_bus.clock_from) / uw_bus.slow; }

NTSTATUS uw_slow(uint32_t times)
{
	NTSTATUS status = STATUS_DEVICE_BUSY;
	uint64_t now;
	KIRQL irql;

	if (!times || times > 1000)
		return STATUS_INVALID_PARAMETER;
	irql = uw_lock();
	if (!uw_ports_used()) {
		now = uw_now();
		uw_bus.clock_from = real_now();
		uw_bus.clock_at = now;
		uw_bus.slow = times;
		status = STATUS_SUCCESS;
	}
	uw_unlock(irql);
	return status;
}

/* By a lock of nobody's: the headers' way is an instruction that traps in a laboratory. */
KIRQL uw_irql(void)
{
	KSPIN_LOCK lock;
	KIRQL irql;

	KeInitializeSpinLock(&lock);
	KeAcquireSpinLock(&lock, &irql);
	KeReleaseSpinLock(&lock, irql);
	return irql;
}

void *uw_alloc(size_t bytes)
{
	void *p = ExAllocatePoolWithTag(NonPagedPoolNx, bytes, UW_TAG);

	if (p)
		uw_zero(p, bytes);
	return p;
}

void uw_free(void *p)
{
	if (p)
		ExFreePoolWithTag(p, UW_TAG);
}

/* ---- the bus's devnode ---- */

static NTSTATUS pass_down(IRP *irp)
{
	IoSkipCurrentIrpStackLocation(irp);
	return IoCallDriver(uw_bus.below, irp);
}

static NTSTATUS end(IRP *irp, NTSTATUS status)
{
	irp->IoStatus.Status = status;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

static void leave(void)
{
	uw_ports_clear();
	RtlFreeUnicodeString(&uw_bus.hub);
	IoDetachDevice(uw_bus.below);
	IoDeleteDevice(uw_bus.fdo);
	uw_bus.fdo = uw_bus.below = uw_bus.root = NULL;
}

static NTSTATUS start(IRP *irp)
{
	irp->IoStatus.Status = STATUS_SUCCESS;
	IoSetDeviceInterfaceState(&uw_bus.hub, TRUE);
	return pass_down(irp);
}

static NTSTATUS fdo_pnp(IRP *irp, IO_STACK_LOCATION *at)
{
	NTSTATUS status;

	switch (at->MinorFunction) {
	case IRP_MN_QUERY_DEVICE_RELATIONS:
		if (at->Parameters.QueryDeviceRelations.Type == BusRelations) {
			status = uw_port_relations(irp);
			if (!NT_SUCCESS(status))
				return end(irp, status);
		}
		return pass_down(irp);
	case IRP_MN_START_DEVICE:
		return start(irp);
	case IRP_MN_SURPRISE_REMOVAL:
	case IRP_MN_QUERY_REMOVE_DEVICE:
	case IRP_MN_CANCEL_REMOVE_DEVICE:
	case IRP_MN_QUERY_STOP_DEVICE:
	case IRP_MN_CANCEL_STOP_DEVICE:
	case IRP_MN_STOP_DEVICE:
		irp->IoStatus.Status = STATUS_SUCCESS;
		return pass_down(irp);
	case IRP_MN_REMOVE_DEVICE:
		irp->IoStatus.Status = STATUS_SUCCESS;
		IoSetDeviceInterfaceState(&uw_bus.hub, FALSE);
		status = pass_down(irp);
		leave();
		return status;
	default:
		return pass_down(irp);
	}
}

static NTSTATUS add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *root)
{
	struct uw_extension *ext;
	DEVICE_OBJECT *fdo;
	NTSTATUS status;

	if (uw_bus.fdo)
		return STATUS_DEVICE_ALREADY_ATTACHED;
	status = IoCreateDevice(driver, sizeof(*ext), NULL, FILE_DEVICE_BUS_EXTENDER, FILE_DEVICE_SECURE_OPEN, FALSE,
				&fdo);
	if (!NT_SUCCESS(status))
		return status;
	ext = fdo->DeviceExtension;
	ext->object = UW_FDO;
	status = IoRegisterDeviceInterface(root, &hub_class, NULL, &uw_bus.hub);
	uw_bus.below = NT_SUCCESS(status) ? IoAttachDeviceToDeviceStack(fdo, root) : NULL;
	if (!uw_bus.below) {
		RtlFreeUnicodeString(&uw_bus.hub);
		IoDeleteDevice(fdo);
		return NT_SUCCESS(status) ? STATUS_NO_SUCH_DEVICE : status;
	}
	uw_bus.fdo = fdo;
	uw_bus.root = root;
	fdo->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
	return STATUS_SUCCESS;
}

/* ---- dispatch ---- */

static struct uw_extension *extension(DEVICE_OBJECT *device) { return device->DeviceExtension; }

static NTSTATUS on_create(DEVICE_OBJECT *device, IRP *irp)
{
	(void)device;
	irp->IoStatus.Information = 0;
	return end(irp, STATUS_SUCCESS);
}

static NTSTATUS on_control(DEVICE_OBJECT *device, IRP *irp)
{
	switch (extension(device)->object) {
	case UW_CONTROL_DEVICE:
		return end(irp, uw_ctl(irp, IoGetCurrentIrpStackLocation(irp)));
	case UW_FDO:
		return end(irp, uw_user_hub(irp, IoGetCurrentIrpStackLocation(irp)));
	default:
		return end(irp, STATUS_INVALID_DEVICE_REQUEST);
	}
}

static NTSTATUS on_internal(DEVICE_OBJECT *device, IRP *irp)
{
	if (extension(device)->object != UW_PDO)
		return end(irp, STATUS_INVALID_DEVICE_REQUEST);
	return uw_pdo_internal(device, irp, IoGetCurrentIrpStackLocation(irp));
}

static NTSTATUS on_pnp(DEVICE_OBJECT *device, IRP *irp)
{
	IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);

	switch (extension(device)->object) {
	case UW_PDO:
		return uw_pdo_pnp(device, irp, at);
	case UW_FDO:
		return fdo_pnp(irp, at);
	default:
		return end(irp, STATUS_INVALID_DEVICE_REQUEST);
	}
}

static NTSTATUS on_power(DEVICE_OBJECT *device, IRP *irp)
{
	if (extension(device)->object == UW_PDO)
		return uw_pdo_power(device, irp, IoGetCurrentIrpStackLocation(irp));
	PoStartNextPowerIrp(irp);
	if (extension(device)->object == UW_CONTROL_DEVICE)
		return end(irp, STATUS_INVALID_DEVICE_REQUEST);
	IoSkipCurrentIrpStackLocation(irp);
	return PoCallDriver(uw_bus.below, irp);
}

static NTSTATUS on_system(DEVICE_OBJECT *device, IRP *irp)
{
	if (extension(device)->object == UW_FDO)
		return pass_down(irp);
	return end(irp, irp->IoStatus.Status);
}

/* ---- the whole ---- */

static NTSTATUS make_control(DRIVER_OBJECT *driver)
{
	UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\UwBus");
	UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\UwBus");
	NTSTATUS status = IoCreateDevice(driver, sizeof(struct uw_extension), &name, FILE_DEVICE_UNKNOWN,
					 FILE_DEVICE_SECURE_OPEN, FALSE, &uw_bus.control);

	if (!NT_SUCCESS(status))
		return status;
	((struct uw_extension *)uw_bus.control->DeviceExtension)->object = UW_CONTROL_DEVICE;
	status = IoCreateSymbolicLink(&link, &name);
	if (!NT_SUCCESS(status))
		IoDeleteDevice(uw_bus.control);
	else
		uw_bus.control->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
	return status;
}

static NTSTATUS start_thread(void)
{
	HANDLE handle;
	NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, uw_engine_thread, NULL);

	if (!NT_SUCCESS(status))
		return status;
	ObReferenceObjectByHandle(handle, SYNCHRONIZE, NULL, KernelMode, (void **)&uw_bus.thread, NULL);
	ZwClose(handle);
	return STATUS_SUCCESS;
}

static void unload(DRIVER_OBJECT *driver)
{
	UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\UwBus");

	(void)driver;
	IoDeleteSymbolicLink(&link);
	uw_bus.stop = true;
	KeSetEvent(&uw_bus.work, 0, FALSE);
	KeWaitForSingleObject(uw_bus.thread, Executive, KernelMode, FALSE, NULL);
	ObDereferenceObject(uw_bus.thread);
	IoDeleteDevice(uw_bus.control);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
	NTSTATUS status;

	(void)path;
	uw_bus.driver = driver;
	uw_bus.mode = UWB_DPC;
	uw_bus.clock_at = START;
	uw_bus.clock_from = real_now();
	uw_bus.slow = 1;
	uw_bus.streams = UWB_STREAMS;
	uw_bus.chains = true;
	KeInitializeSpinLock(&uw_bus.lock);
	KeInitializeEvent(&uw_bus.work, SynchronizationEvent, FALSE);
	uw_done_init();
	status = make_control(driver);
	if (!NT_SUCCESS(status))
		return status;
	status = start_thread();
	if (!NT_SUCCESS(status)) {
		UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\UwBus");

		IoDeleteSymbolicLink(&link);
		IoDeleteDevice(uw_bus.control);
		return status;
	}
	driver->DriverExtension->AddDevice = add_device;
	driver->DriverUnload = unload;
	driver->MajorFunction[IRP_MJ_CREATE] = on_create;
	driver->MajorFunction[IRP_MJ_CLOSE] = on_create;
	driver->MajorFunction[IRP_MJ_CLEANUP] = on_create;
	driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = on_control;
	driver->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = on_internal;
	driver->MajorFunction[IRP_MJ_PNP] = on_pnp;
	driver->MajorFunction[IRP_MJ_POWER] = on_power;
	driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = on_system;
	return STATUS_SUCCESS;
}
