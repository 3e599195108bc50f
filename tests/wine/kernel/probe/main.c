// SPDX-License-Identifier: GPL-2.0-only
/* Tries each part of the forwarding kernel, and says "probe: ok NAME" or "probe: FAIL NAME line". */
#include <ntifs.h>
#include <stdbool.h>

#define CHECK(name, condition) do { \
	if (condition) \
		DbgPrint("probe: ok %s\n", name); \
	else \
		DbgPrint("probe: FAIL %s line %d\n", name, __LINE__); \
} while (0)

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

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
	(void)driver;
	DbgPrint("probe: unload\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry)
{
	(void)registry;
	driver->DriverUnload = unload;
	try_irql();
	try_dpc();
	try_mdl();
	try_rundown();
	DbgPrint("probe: done\n");
	return STATUS_SUCCESS;
}
