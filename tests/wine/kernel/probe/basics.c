// SPDX-License-Identifier: GPL-2.0-only
/* Tries each part of the forwarding kernel, and says "probe: ok NAME" or "probe: FAIL NAME line". */
#include "probe_nt.h"

static KEVENT dpc_ran;
static KIRQL dpc_irql;

static VOID NTAPI dpc(PKDPC d, PVOID context, PVOID a, PVOID b)
{
	(void)d;
	(void)b;
	dpc_irql = KeGetCurrentIrql();
	if (context == &dpc_ran && a == (PVOID)7)
		KeSetEvent(&dpc_ran, 0, FALSE);
}

static void try_irql(void)
{
	KSPIN_LOCK lock;
	KIRQL old;

	KeInitializeSpinLock(&lock);
	CHECK("passive", KeGetCurrentIrql() == PASSIVE_LEVEL);
	KeAcquireSpinLock(&lock, &old);
	CHECK("dispatch", KeGetCurrentIrql() == DISPATCH_LEVEL && old == PASSIVE_LEVEL);
	KeReleaseSpinLock(&lock, old);
	CHECK("passive again", KeGetCurrentIrql() == PASSIVE_LEVEL);
	KeRaiseIrql(APC_LEVEL, &old);
	CHECK("apc", KeGetCurrentIrql() == APC_LEVEL && old == PASSIVE_LEVEL);
	KeLowerIrql(old);
}

static void try_dpc(void)
{
	LARGE_INTEGER second = { .QuadPart = -10000000 };
	static KDPC d;

	KeInitializeEvent(&dpc_ran, SynchronizationEvent, FALSE);
	KeInitializeDpc(&d, dpc, &dpc_ran);
	CHECK("queue dpc", KeInsertQueueDpc(&d, (PVOID)7, NULL));
	CHECK("dpc ran", KeWaitForSingleObject(&dpc_ran, Executive, KernelMode, FALSE, &second) == STATUS_SUCCESS);
	CHECK("dpc at dispatch", dpc_irql == DISPATCH_LEVEL);
	KeFlushQueuedDpcs();
}

static void try_mdl(void)
{
	char *memory = ExAllocatePoolWithTag(NonPagedPoolNx, 3 * 4096, 'bprP');
	MDL *whole = IoAllocateMdl(memory, 3 * 4096, FALSE, FALSE, NULL), *part;

	MmProbeAndLockPages(whole, KernelMode, IoModifyAccess);
	CHECK("locked", whole->MdlFlags & MDL_PAGES_LOCKED);
	CHECK("mapped", MmGetSystemAddressForMdlSafe(whole, NormalPagePriority | 0x40000000) == memory);
	part = IoAllocateMdl(memory, 3 * 4096, FALSE, FALSE, NULL);
	for (int i = 0; i < 2; i++) {
		IoBuildPartialMdl(whole, part, (char *)MmGetMdlVirtualAddress(whole) + 5000, 100);
		CHECK("part", MmGetSystemAddressForMdlSafe(part, NormalPagePriority | 0x40000000) == memory + 5000);
		MmPrepareMdlForReuse(part);
	}
	IoFreeMdl(part);
	MmUnlockPages(whole);
	CHECK("unlocked", !(whole->MdlFlags & MDL_PAGES_LOCKED));
	IoFreeMdl(whole);
	ExFreePoolWithTag(memory, 'bprP');
}

static void try_rundown(void)
{
	EX_RUNDOWN_REF r;

	ExInitializeRundownProtection(&r);
	CHECK("rundown", ExAcquireRundownProtection(&r));
	ExReleaseRundownProtection(&r);
	ExWaitForRundownProtectionRelease(&r);
	CHECK("run down", !ExAcquireRundownProtection(&r));
}

static VOID NTAPI timer_dpc(PKDPC d, PVOID context, PVOID a, PVOID b)
{
	(void)d;
	(void)a;
	(void)b;
	dpc_irql = KeGetCurrentIrql();
	KeSetEvent(context, 0, FALSE);
}

static void try_timer(void)
{
	LARGE_INTEGER soon = { .QuadPart = -100000 }, second = { .QuadPart = -10000000 };
	static KTIMER timer;
	static KDPC d;
	static KEVENT event;

	dpc_irql = 0;
	KeInitializeEvent(&event, NotificationEvent, FALSE);
	KeInitializeTimer(&timer);
	KeInitializeDpc(&d, timer_dpc, &event);
	KeSetTimer(&timer, soon, &d);
	CHECK("timer", KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &second) == STATUS_SUCCESS);
	CHECK("timer at dispatch", dpc_irql == DISPATCH_LEVEL);
	CHECK("timer is over", !KeCancelTimer(&timer));
}

static void try_etw(void)
{
	static const GUID id = { 0x4f1d9a7e, 0x1c2b, 0x4d3e, { 1, 2, 3, 4, 5, 6, 7, 8 } };
	EVENT_DESCRIPTOR event = { .Id = 1 };
	REGHANDLE handle;

	CHECK("etw register", NT_SUCCESS(EtwRegister(&id, NULL, NULL, &handle)));
	CHECK("etw write", NT_SUCCESS(EtwWrite(handle, &event, NULL, 0, NULL)));
	CHECK("etw unregister", NT_SUCCESS(EtwUnregister(handle)));
}

void probe_basics(void)
{
	try_irql();
	try_dpc();
	try_timer();
	try_mdl();
	try_rundown();
	try_etw();
}

/* Adds one to each byte of the section, by way of a locked view, and sets the event. */
static NTSTATUS with_view(uint8_t *view, uint32_t size)
{
	MDL *mdl = IoAllocateMdl(view, size, FALSE, FALSE, NULL);
	uint8_t *bytes;

	if (!mdl)
		return STATUS_INSUFFICIENT_RESOURCES;
	MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
	bytes = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | NO_EXECUTE);
	for (uint32_t i = 0; bytes && i < size; i++)
		bytes[i]++;
	MmUnlockPages(mdl);
	IoFreeMdl(mdl);
	return bytes ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

__declspec(dllimport) POBJECT_TYPE MmSectionObjectType;

NTSTATUS probe_section(const struct probe_section *p)
{
	PVOID section, view;
	PKEVENT event;
	SIZE_T size = 0;
	NTSTATUS status = ObReferenceObjectByHandle((HANDLE)(uintptr_t)p->section, SECTION_MAP_READ | SECTION_MAP_WRITE,
						    MmSectionObjectType, UserMode, &section, NULL);

	if (!NT_SUCCESS(status))
		return status;
	status = ObReferenceObjectByHandle((HANDLE)(uintptr_t)p->event, EVENT_MODIFY_STATE, (POBJECT_TYPE)ExEventObjectType,
					   UserMode, (PVOID *)&event, NULL);
	if (NT_SUCCESS(status)) {
		status = MmMapViewInSystemSpace(section, &view, &size);
		if (NT_SUCCESS(status)) {
			status = size >= p->size ? with_view(view, p->size) : STATUS_INVALID_VIEW_SIZE;
			MmUnmapViewInSystemSpace(view);
		}
		KeSetEvent(event, 0, FALSE);
		ObDereferenceObject(event);
	}
	ObDereferenceObject(section);
	return status;
}

static NTSTATUS NTAPI arrived(PVOID what, PVOID context)
{
	DEVICE_INTERFACE_CHANGE_NOTIFICATION *n = what;
	UNICODE_STRING *link = context;

	CHECK("class", RtlCompareMemory(&n->InterfaceClassGuid, &probe_class, 16) == 16);
	if (!link->Buffer && (link->Buffer = ExAllocatePoolWithTag(NonPagedPoolNx, n->SymbolicLinkName->Length, TAG))) {
		link->Length = link->MaximumLength = n->SymbolicLinkName->Length;
		memcpy(link->Buffer, n->SymbolicLinkName->Buffer, link->Length);
	}
	return STATUS_SUCCESS;
}

static NTSTATUS NTAPI target(PVOID what, PVOID context)
{
	(void)what;
	(void)context;
	return STATUS_SUCCESS;
}

/* Finds our own device by its interface, as UsbWarp.sys finds a peer, and opens it. */
NTSTATUS probe_notify(DRIVER_OBJECT *driver)
{
	UNICODE_STRING link = { 0 };
	PVOID entry, on_target;
	FILE_OBJECT *file;
	DEVICE_OBJECT *device;
	NTSTATUS status = IoRegisterPlugPlayNotification(EventCategoryDeviceInterfaceChange,
		PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES, (PVOID)&probe_class, driver, arrived, &link, &entry);

	CHECK("notification", NT_SUCCESS(status) && link.Buffer);
	if (!link.Buffer)
		return STATUS_NOT_FOUND;
	status = IoGetDeviceObjectPointer(&link, FILE_ALL_ACCESS, &file, &device);
	CHECK("device by name", NT_SUCCESS(status) && device->AttachedDevice == NULL);
	if (NT_SUCCESS(status)) {
		status = IoRegisterPlugPlayNotification(EventCategoryTargetDeviceChange, 0, file, driver, target, NULL, &on_target);
		CHECK("target", NT_SUCCESS(status));
		IoUnregisterPlugPlayNotification(on_target);
		ObDereferenceObject(file);
	}
	IoUnregisterPlugPlayNotification(entry);
	ExFreePoolWithTag(link.Buffer, TAG);
	return status;
}
