/* SPDX-License-Identifier: GPL-2.0-only */
/* What there is once in UsbWarp.sys, and small things that each of its files needs. */
#ifndef UW_DRIVER_H
#define UW_DRIVER_H

#include "base.h"
#include "queue.h"

#define UW_TAG 0x70725755u /* "UWrp" in memory order: each pool allocation */

struct uw_driver {
	DRIVER_OBJECT *object;
	DEVICE_OBJECT *device;
	FAST_MUTEX lock;           /* guards both lists, and which session has claimed which device */
	struct uw_list links;      /* sessions whose thread runs */
	struct uw_list devs;
	uint32_t links_count;
	uint32_t devs_count;
	bool stopping;             /* no new session, no new device */
	struct uw_queue watches;   /* pending UW_NT_WATCH */
	volatile LONG generation;
	volatile LONG users;       /* sessions, devices, and the driver itself */
	KEVENT idle;               /* users has become 0 */
	int64_t ticks;             /* of the performance counter in a second */
};

extern struct uw_driver uw_driver;

static inline void uw_lock(void) { ExAcquireFastMutex(&uw_driver.lock); }
static inline void uw_unlock(void) { ExReleaseFastMutex(&uw_driver.lock); }

static inline void uw_user_get(void) { InterlockedIncrement(&uw_driver.users); }

static inline void uw_user_put(void)
{
	if (!InterlockedDecrement(&uw_driver.users))
		KeSetEvent(&uw_driver.idle, IO_NO_INCREMENT, FALSE);
}

/* Zeroed, never executable; NULL: there is none. */
static inline void *uw_alloc(size_t bytes)
{
	void *at = ExAllocatePoolWithTag(NonPagedPoolNx, bytes, UW_TAG);

	if (at)
		RtlZeroMemory(at, bytes);
	return at;
}

static inline void uw_free(void *at)
{
	if (at)
		ExFreePoolWithTag(at, UW_TAG);
}

/* Nanoseconds since the machine started, at any IRQL. */
static inline uint64_t uw_now(void)
{
	uint64_t ticks = (uint64_t)KeQueryPerformanceCounter(NULL).QuadPart, rate = (uint64_t)uw_driver.ticks;

	return ticks / rate * 1000000000u + ticks % rate * 1000000000u / rate;
}

static inline NTSTATUS uw_finish(IRP *irp, NTSTATUS status, ULONG_PTR bytes)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = bytes;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

#endif
