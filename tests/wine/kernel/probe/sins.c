// SPDX-License-Identifier: GPL-2.0-only
/* What no driver may do; the kernel must say each. */
#include "probe_nt.h"

static NTSTATUS NTAPI keep(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
	(void)device;
	(void)irp;
	(void)context;
	return STATUS_MORE_PROCESSING_REQUIRED;
}

static void complete_twice(DEVICE_OBJECT *device)
{
	IRP *irp = IoAllocateIrp(device->StackSize, FALSE);

	IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_SHUTDOWN;
	IoSetCompletionRoutine(irp, keep, NULL, TRUE, TRUE, TRUE);
	IoCallDriver(device, irp);                      /* completes it */
	irp->IoStatus.Status = STATUS_SUCCESS;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	IoFreeIrp(irp);
}

static void irql_sins(uint32_t n)
{
	LARGE_INTEGER ms = { .QuadPart = -10000 };
	UNICODE_STRING name;
	KEVENT event;
	KIRQL irql;

	KeInitializeEvent(&event, NotificationEvent, FALSE);
	RtlInitUnicodeString(&name, L"\\DosDevices\\UwNobody");
	KeRaiseIrql(DISPATCH_LEVEL, &irql);
	if (n == SIN_PASSIVE_CALL)
		IoDeleteSymbolicLink(&name);
	else
		KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &ms);
	KeLowerIrql(irql);
}

static void memory_sins(uint32_t n)
{
	volatile char *memory = ExAllocatePoolWithTag(NonPagedPoolNx, 13, TAG);
	MDL *mdl;

	if (n == SIN_OVERRUN)
		memory[13] = 0;
	if (n == SIN_MDL) {
		mdl = IoAllocateMdl((PVOID)memory, 13, FALSE, FALSE, NULL);
		MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
		IoFreeMdl(mdl);
	}
	if (n != SIN_LEAK)
		ExFreePoolWithTag((PVOID)memory, TAG);
	if (n == SIN_DOUBLE_FREE)
		ExFreePoolWithTag((PVOID)memory, TAG);
}

NTSTATUS probe_sin(uint32_t n, DEVICE_OBJECT *device)
{
	static KSPIN_LOCK lock;
	EX_RUNDOWN_REF rundown;
	IO_REMOVE_LOCK remove;
	KIRQL irql;
	PVOID memory;

	switch (n) {
	case SIN_PASSIVE_CALL:
	case SIN_WAIT:
		irql_sins(n);
		return STATUS_SUCCESS;
	case SIN_OVERRUN:
	case SIN_DOUBLE_FREE:
	case SIN_MDL:
	case SIN_LEAK:
		memory_sins(n);
		return STATUS_SUCCESS;
	case SIN_REMOVE_LOCK:
		IoInitializeRemoveLock(&remove, TAG, 0, 0);
		IoAcquireRemoveLock(&remove, &irql);
		IoReleaseRemoveLock(&remove, &memory);
		return STATUS_SUCCESS;
	case SIN_RELEASE:
		KeReleaseSpinLock(&lock, PASSIVE_LEVEL);
		return STATUS_SUCCESS;
	case SIN_COMPLETE:
		complete_twice(device);
		return STATUS_SUCCESS;
	case SIN_RUNDOWN:
		ExInitializeRundownProtection(&rundown);
		ExReleaseRundownProtection(&rundown);
		return STATUS_SUCCESS;
	case SIN_IRQL:
		KeRaiseIrql(DISPATCH_LEVEL, &irql);
		return STATUS_SUCCESS;
	case SIN_POOL_FAILS:
		memory = ExAllocatePoolWithTag(NonPagedPoolNx, 1, TAG);
		if (!memory)
			return STATUS_INSUFFICIENT_RESOURCES;
		ExFreePoolWithTag(memory, TAG);
		return STATUS_SUCCESS;
	default:
		return STATUS_INVALID_PARAMETER;
	}
}
