/* SPDX-License-Identifier: GPL-2.0-only */
/* The one call of this driver that reports failure by raising. */
#ifndef UW_PROBE_H
#define UW_PROBE_H

#include "base.h"

/* MmProbeAndLockPages for kernel mode and IoModifyAccess; what it raised, or STATUS_SUCCESS. */
NTSTATUS uw_probe_and_lock(MDL *mdl);

#endif
