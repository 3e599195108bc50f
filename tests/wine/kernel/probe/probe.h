/* SPDX-License-Identifier: GPL-2.0-only */
/* Between uwprobe.sys and uwprobectl.exe. */
#ifndef UWLAB_PROBE_H
#define UWLAB_PROBE_H

#include <stdint.h>

#define PROBE_CODE(n) ((0x8558u << 16) | (3u << 14) | ((0x800u + (n)) << 2))

#define PROBE_SECTION PROBE_CODE(0)        /* in: struct probe_section: adds one to each byte, then sets the event */
#define PROBE_PEND PROBE_CODE(1)           /* no body: pends until it is cancelled or the handle closes */
#define PROBE_SIN PROBE_CODE(2)            /* in: a number: does something that must be reported */
#define PROBE_NOTIFY PROBE_CODE(3)         /* no body: registers for the interface, opens it, lets go */

struct probe_section {
	uint64_t section, event;
	uint32_t size;
	uint32_t reserved;
};

/* Numbers of PROBE_SIN. */
enum {
	SIN_PASSIVE_CALL, SIN_WAIT, SIN_OVERRUN, SIN_DOUBLE_FREE, SIN_RELEASE, SIN_MDL, SIN_COMPLETE, SIN_RUNDOWN, SIN_IRQL,
	SIN_LEAK, SIN_REMOVE_LOCK, SIN_PENDING, SIN_POOL_FAILS, SIN_COUNT
};

#endif
