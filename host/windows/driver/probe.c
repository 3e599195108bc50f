// SPDX-License-Identifier: GPL-2.0-only
/* The one call of this driver that reports failure by raising; for clang, probe.S being the same for GCC. */
#include "probe.h"

NTSTATUS uw_probe_and_lock(MDL *mdl)
{
	volatile NTSTATUS status = STATUS_SUCCESS;

	/* The code is taken in the filter, which is sure to see it; it always asks for the handler. */
	__try {
		MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
	} __except (status = (NTSTATUS)__exception_code(), 1) {
	}
	return status;
}
