// SPDX-License-Identifier: GPL-2.0-only
/* The one call of this driver that reports failure by raising; for clang, probe.S being the same for GCC. */
#include "probe.h"

NTSTATUS uw_probe_and_lock(MDL *mdl)
{
	NTSTATUS status = STATUS_SUCCESS;

	__try {
		MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
	} __except (1) { /* EXCEPTION_EXECUTE_HANDLER */
		status = (NTSTATUS)__exception_code();
	}
	return status;
}
