// SPDX-License-Identifier: GPL-2.0-only
/* uwprobe.sys: tries each part of the forwarding kernel and says "probe: ok NAME" or "probe: FAIL NAME line". */
#include "probe_nt.h"

const GUID probe_class = { 0x0e0f54a2, 0x7c39, 0x4b1f, { 0x91, 0x1d, 0x27, 0x60, 0x3a, 0x58, 0x44, 0x0b } };

static DEVICE_OBJECT *control;
static IO_CSQ queue;
static LIST_ENTRY pending;
static KSPIN_LOCK pending_lock;

static VOID NTAPI insert(PIO_CSQ q, PIRP irp)
{
	(void)q;
	InsertTailList(&pending, &irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI take(PIO_CSQ q, PIRP irp)
{
	(void)q;
	RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

/* The next request of the file that peek names. */
static PIRP NTAPI peek(PIO_CSQ q, PIRP irp, PVOID file)
{
	LIST_ENTRY *e = irp ? irp->Tail.Overlay.ListEntry.Flink : pending.Flink;

	(void)q;
	for (; e != &pending; e = e->Flink) {
		irp = CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry);
		if (!file || IoGetCurrentIrpStackLocation(irp)->FileObject == file)
			return irp;
	}
	return NULL;
}

static VOID NTAPI lock(PIO_CSQ q, PKIRQL irql)
{
	(void)q;
	KeAcquireSpinLock(&pending_lock, irql);
}

static VOID NTAPI unlock(PIO_CSQ q, KIRQL irql)
{
	(void)q;
	KeReleaseSpinLock(&pending_lock, irql);
}

static NTSTATUS complete(IRP *irp, NTSTATUS status)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = 0;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

static VOID NTAPI cancelled(PIO_CSQ q, PIRP irp)
{
	(void)q;
	DbgPrint("probe: request cancelled\n");
	complete(irp, STATUS_CANCELLED);
}

static NTSTATUS NTAPI on_file(PDEVICE_OBJECT device, PIRP irp)
{
	static const char *const names[] = { [IRP_MJ_CREATE] = "create", [IRP_MJ_CLOSE] = "close", [IRP_MJ_CLEANUP] = "cleanup" };
	IO_STACK_LOCATION *sp = IoGetCurrentIrpStackLocation(irp);
	IRP *other;

	DbgPrint("probe: %s %s\n", device == control ? "control" : "device", names[sp->MajorFunction]);
	while (sp->MajorFunction == IRP_MJ_CLEANUP && (other = IoCsqRemoveNextIrp(&queue, sp->FileObject)))
		complete(other, STATUS_CANCELLED);
	return complete(irp, STATUS_SUCCESS);
}

static NTSTATUS NTAPI on_control(PDEVICE_OBJECT device, PIRP irp)
{
	IO_STACK_LOCATION *sp = IoGetCurrentIrpStackLocation(irp);
	ULONG size = sp->Parameters.DeviceIoControl.InputBufferLength;
	const void *in = irp->AssociatedIrp.SystemBuffer;

	switch (sp->Parameters.DeviceIoControl.IoControlCode) {
	case PROBE_SECTION:
		return complete(irp, size == sizeof(struct probe_section) ? probe_section(in) : STATUS_INVALID_BUFFER_SIZE);
	case PROBE_PEND:
		IoCsqInsertIrp(&queue, irp, NULL);
		return STATUS_PENDING;
	case PROBE_SIN:
		if (size == 4 && *(const uint32_t *)in == SIN_PENDING) {
			complete(irp, STATUS_SUCCESS);
			return STATUS_PENDING;          /* and was not marked so */
		}
		return complete(irp, size == 4 ? probe_sin(*(const uint32_t *)in, device) : STATUS_INVALID_BUFFER_SIZE);
	case PROBE_NOTIFY:
		return complete(irp, probe_notify(device->DriverObject));
	default:
		return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
	}
}

static NTSTATUS NTAPI on_shutdown(PDEVICE_OBJECT device, PIRP irp)
{
	(void)device;
	return complete(irp, STATUS_SUCCESS);
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
	UNICODE_STRING link;

	(void)driver;
	RtlInitUnicodeString(&link, L"\\DosDevices\\UwProbe");
	IoDeleteSymbolicLink(&link);
	IoDeleteDevice(control);
	DbgPrint("probe: unload\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry)
{
	UNICODE_STRING name, link;
	NTSTATUS status;

	(void)registry;
	driver->DriverUnload = unload;
	driver->DriverExtension->AddDevice = probe_add;
	driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLOSE] = on_file;
	driver->MajorFunction[IRP_MJ_CLEANUP] = on_file;
	driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = on_control;
	driver->MajorFunction[IRP_MJ_SHUTDOWN] = on_shutdown;
	driver->MajorFunction[IRP_MJ_PNP] = probe_pnp;
	driver->MajorFunction[IRP_MJ_POWER] = probe_power;
	InitializeListHead(&pending);
	KeInitializeSpinLock(&pending_lock);
	IoCsqInitialize(&queue, insert, take, peek, lock, unlock, cancelled);
	RtlInitUnicodeString(&name, L"\\Device\\UwProbe");
	RtlInitUnicodeString(&link, L"\\DosDevices\\UwProbe");
	status = IoCreateDevice(driver, 0, &name, 0x8558, FILE_DEVICE_SECURE_OPEN, FALSE, &control);
	if (!NT_SUCCESS(status))
		return status;
	status = IoCreateSymbolicLink(&link, &name);
	if (!NT_SUCCESS(status)) {
		IoDeleteDevice(control);
		return status;
	}
	control->Flags &= ~DO_DEVICE_INITIALIZING;
	probe_basics();
	DbgPrint("probe: done\n");
	return STATUS_SUCCESS;
}
