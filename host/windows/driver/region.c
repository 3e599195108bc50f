// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region as this driver has it: a section of the service's, mapped once and locked.
 *
 * A view in system space does not depend on the service's process, which may die at any time. All pages are locked by one
 * MDL, so that they cannot be paged out under a transfer or at a raised IRQL, and so that a transfer's own MDL is cut out
 * of it without another probe. The section cannot shrink: Windows has no such call for one that is mapped.
 */
#include "region.h"

#include "probe.h"

#define NO_EXECUTE 0x40000000 /* MdlMappingNoExecute, which mingw's wdm.h does not know */

/* Exported, but declared nowhere; what the variable holds is the type itself. */
extern __declspec(dllimport) POBJECT_TYPE MmSectionObjectType;

static NTSTATUS map(struct uw_region *r)
{
	SIZE_T bytes = 0;
	NTSTATUS status = MmMapViewInSystemSpace(r->section, &r->view, &bytes);

	if (!NT_SUCCESS(status)) {
		r->view = NULL;
		return status;
	}
	return bytes >= r->size ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

static NTSTATUS lock(struct uw_region *r)
{
	NTSTATUS status;

	r->mdl = IoAllocateMdl(r->view, r->size, FALSE, FALSE, NULL);
	if (!r->mdl)
		return STATUS_INSUFFICIENT_RESOURCES;
	status = uw_probe_and_lock(r->mdl);
	if (!NT_SUCCESS(status)) {
		IoFreeMdl(r->mdl);
		r->mdl = NULL;
		return status;
	}
	r->base = MmGetSystemAddressForMdlSafe(r->mdl, NormalPagePriority | NO_EXECUTE);
	return r->base ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS uw_region_open(struct uw_region *r, HANDLE section, uint32_t size)
{
	NTSTATUS status;

	r->size = size;
	status = ObReferenceObjectByHandle(section, SECTION_MAP_READ | SECTION_MAP_WRITE, MmSectionObjectType, UserMode,
					   &r->section, NULL);
	if (!NT_SUCCESS(status)) {
		r->section = NULL;
		return status;
	}
	status = map(r);
	if (NT_SUCCESS(status))
		status = lock(r);
	if (!NT_SUCCESS(status))
		uw_region_close(r);
	return status;
}

void uw_region_close(struct uw_region *r)
{
	if (r->mdl) {
		MmUnlockPages(r->mdl); /* unmaps base, too */
		IoFreeMdl(r->mdl);
	}
	if (r->view)
		MmUnmapViewInSystemSpace(r->view);
	if (r->section)
		ObDereferenceObject(r->section);
	RtlZeroMemory(r, sizeof(*r));
}
