// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory descriptor lists. A page's number is its address here, and the system address is the address itself; what is
 * kept as Windows keeps it are the flags, the errors, and who must undo what.
 */
#include "lab.h"

#define PAGE 4096u
#define NO_EXECUTE 0x40000000u     /* MdlMappingNoExecute */
#define MDL_TAG 0x206c644d

static volatile LONG locked, mapped;       /* lists that are so now */

static PFN_NUMBER *frames(MDL *mdl)
{
	return (PFN_NUMBER *)(mdl + 1);
}

static uint8_t *address(const MDL *mdl)
{
	return (uint8_t *)mdl->StartVa + mdl->ByteOffset;
}

static ULONG pages(const MDL *mdl)
{
	return ADDRESS_AND_SIZE_TO_SPAN_PAGES(address(mdl), mdl->ByteCount);
}

PMDL NTAPI lab_IoAllocateMdl(PVOID va, ULONG length, BOOLEAN secondary, BOOLEAN quota, PIRP irp)
{
	SIZE_T size = sizeof(MDL) + sizeof(PFN_NUMBER) * ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, length);
	MDL *mdl = lab_pool_get(size, MDL_TAG, __builtin_return_address(0)), **at;

	(void)quota;
	if (!mdl)
		return NULL;
	memset(mdl, 0, size);
	mdl->Size = (CSHORT)size;
	mdl->StartVa = PAGE_ALIGN(va);
	mdl->ByteOffset = BYTE_OFFSET(va);
	mdl->ByteCount = length;
	if (irp && secondary) {
		for (at = &irp->MdlAddress; *at; at = &(*at)->Next)
			;
		*at = mdl;
	} else if (irp) {
		irp->MdlAddress = mdl;
	}
	return mdl;
}

void NTAPI lab_IoFreeMdl(PMDL mdl)
{
	if (mdl->MdlFlags & MDL_PAGES_LOCKED)
		lab_report("MDL %p freed while its pages are locked", mdl);
	if (mdl->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED)
		InterlockedDecrement(&mapped);
	lab_pool_put(mdl, __builtin_return_address(0));
}

/* May each page be read, or written too? */
static bool accessible(const uint8_t *va, size_t size, bool write)
{
	struct memory_info info;
	const uint8_t *end = va + size;

	while (va < end) {
		if (!VirtualQuery(va, &info, sizeof(info)) || info.state != 0x1000 || !(info.protect & (write ? 0xcc : 0xee)))
			return false;
		va = (uint8_t *)info.base + info.size;
	}
	return true;
}

void NTAPI lab_MmProbeAndLockPages(PMDL mdl, KPROCESSOR_MODE mode, LOCK_OPERATION operation)
{
	if (mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL | MDL_SOURCE_IS_NONPAGED_POOL))
		lab_report("MmProbeAndLockPages of MDL %p with flags %#x", mdl, mdl->MdlFlags);
	(void)mode;
	if (!mdl->ByteCount || !accessible(address(mdl), mdl->ByteCount, operation != IoReadAccess))
		RtlRaiseStatus(STATUS_ACCESS_VIOLATION);
	for (ULONG i = 0; i < pages(mdl); i++)
		frames(mdl)[i] = (uintptr_t)mdl->StartVa / PAGE + i;
	mdl->MdlFlags |= MDL_PAGES_LOCKED | (operation == IoReadAccess ? 0 : MDL_WRITE_OPERATION);
	InterlockedIncrement(&locked);
}

void NTAPI lab_MmUnmapLockedPages(PVOID base, PMDL mdl)
{
	if (!(mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) || base != mdl->MappedSystemVa ||
	    ((mdl->MdlFlags & MDL_PARTIAL) && !(mdl->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED)))
		lab_report("MmUnmapLockedPages of MDL %p, flags %#x, %p mapped at %p", mdl, mdl->MdlFlags, base, mdl->MappedSystemVa);
	else
		InterlockedDecrement(&mapped);
	mdl->MdlFlags &= ~(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
	mdl->MappedSystemVa = NULL;
}

void NTAPI lab_MmUnlockPages(PMDL mdl)
{
	if (!(mdl->MdlFlags & MDL_PAGES_LOCKED)) {
		lab_report("MmUnlockPages of MDL %p, flags %#x, which is not locked", mdl, mdl->MdlFlags);
		return;
	}
	if (mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA)
		lab_MmUnmapLockedPages(mdl->MappedSystemVa, mdl);
	mdl->MdlFlags &= ~(MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
	InterlockedDecrement(&locked);
}

PVOID NTAPI lab_MmMapLockedPagesSpecifyCache(PMDL mdl, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE cache, PVOID base,
	ULONG bug_check, ULONG priority)
{
	if (mode != KernelMode || base || bug_check || cache != MmCached || !(priority & NO_EXECUTE))
		lab_report("MmMapLockedPagesSpecifyCache(mode %d, cache %d, base %p, bug check %lu, priority %#lx)", mode, cache, base,
			   bug_check, priority);
	if (!(mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL)) || (mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA))
		lab_report("MDL %p, flags %#x, cannot be mapped", mdl, mdl->MdlFlags);
	mdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA | (mdl->MdlFlags & MDL_PARTIAL ? MDL_PARTIAL_HAS_BEEN_MAPPED : 0);
	mdl->MappedSystemVa = address(mdl);
	InterlockedIncrement(&mapped);
	return mdl->MappedSystemVa;
}

void NTAPI lab_MmBuildMdlForNonPagedPool(PMDL mdl)
{
	if (mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL))
		lab_report("MmBuildMdlForNonPagedPool of MDL %p with flags %#x", mdl, mdl->MdlFlags);
	for (ULONG i = 0; i < pages(mdl); i++)
		frames(mdl)[i] = (uintptr_t)mdl->StartVa / PAGE + i;
	mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
	mdl->MappedSystemVa = address(mdl);
}

/*
 * The target describes a part of the source's pages; va is counted as the source's addresses are. A mapping of the whole
 * is passed on, as Windows does; then the target is mapped by nobody and MmPrepareMdlForReuse leaves it alone.
 */
void NTAPI lab_IoBuildPartialMdl(PMDL source, PMDL target, PVOID va, ULONG length)
{
	size_t off = (uintptr_t)va - (uintptr_t)address(source);
	SIZE_T needed;

	if (!length)
		length = source->ByteCount - (ULONG)off;
	needed = sizeof(MDL) + sizeof(PFN_NUMBER) * ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, length);
	if (!(source->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL | MDL_SOURCE_IS_NONPAGED_POOL)))
		lab_report("IoBuildPartialMdl of MDL %p, flags %#x, that has no pages", source, source->MdlFlags);
	if (target->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL_HAS_BEEN_MAPPED))
		lab_report("IoBuildPartialMdl to MDL %p, flags %#x, that is in use", target, target->MdlFlags);
	if (off > source->ByteCount || length > source->ByteCount - off || needed > (SIZE_T)target->Size) {
		lab_report("IoBuildPartialMdl: %#lx bytes at %#llx of %#lx, MDL of %d bytes", length, off, source->ByteCount, target->Size);
		KeBugCheckEx(0xc5, (ULONG_PTR)source, (ULONG_PTR)target, off, length);
	}
	target->MdlFlags = MDL_PARTIAL | (source->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA));
	target->StartVa = PAGE_ALIGN(va);
	target->ByteOffset = BYTE_OFFSET(va);
	target->ByteCount = length;
	target->Process = source->Process;
	target->MappedSystemVa = source->MappedSystemVa ? (uint8_t *)source->MappedSystemVa + off : NULL;
	for (ULONG i = 0; i < pages(target); i++)
		frames(target)[i] = frames(source)[((uintptr_t)target->StartVa - (uintptr_t)source->StartVa) / PAGE + i];
}

void lab_mdl_counts(uint32_t *are_locked, uint32_t *are_mapped)
{
	*are_locked = (uint32_t)locked;
	*are_mapped = (uint32_t)mapped;
}

void lab_mdl_init(void)
{
	lab_hook("IoAllocateMdl", lab_IoAllocateMdl, false);
	lab_hook("IoFreeMdl", lab_IoFreeMdl, false);
}
