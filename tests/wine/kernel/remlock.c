// SPDX-License-Identifier: GPL-2.0-only
/*
 * Remove locks, with each acquisition remembered by its tag: one released that was never taken, one taken after the
 * removal, and those that the removal waits for too long are reported.
 */
#include "lab.h"

#define WAIT_MS 10000u

struct holder {
	struct holder *next;
	const IO_REMOVE_LOCK *lock;
	const void *tag, *by;
};

static struct holder *holders;
static struct lab_lock holders_lock;

void NTAPI lab_IoInitializeRemoveLockEx(PIO_REMOVE_LOCK l, ULONG tag, ULONG minutes, ULONG high, ULONG size)
{
	(void)tag;
	(void)minutes;
	(void)high;
	memset(l, 0, size < sizeof(*l) ? size : sizeof(*l));
	l->Common.IoCount = 1;
	KeInitializeEvent(&l->Common.RemoveEvent, NotificationEvent, FALSE);
}

static void put(PIO_REMOVE_LOCK l)
{
	LONG left = InterlockedDecrement(&l->Common.IoCount);

	if (left < 0)
		lab_report("remove lock %p released too often", l);
	if (!left)
		KeSetEvent(&l->Common.RemoveEvent, IO_NO_INCREMENT, FALSE);
}

NTSTATUS NTAPI lab_IoAcquireRemoveLockEx(PIO_REMOVE_LOCK l, PVOID tag, PCSTR file, ULONG line, ULONG size)
{
	struct holder *h;

	(void)file;
	(void)line;
	(void)size;
	InterlockedIncrement(&l->Common.IoCount);
	if (l->Common.Removed) {
		put(l);
		return STATUS_DELETE_PENDING;
	}
	h = lab_alloc(sizeof(*h));
	*h = (struct holder){ NULL, l, tag, __builtin_return_address(0) };
	lab_lock(&holders_lock);
	h->next = holders;
	holders = h;
	lab_unlock(&holders_lock);
	return STATUS_SUCCESS;
}

static void forget(PIO_REMOVE_LOCK l, const void *tag, const void *by)
{
	struct holder **at, *h;
	char where[96];

	lab_lock(&holders_lock);
	for (at = &holders; *at && ((*at)->lock != l || (*at)->tag != tag); at = &(*at)->next)
		;
	h = *at;
	if (h)
		*at = h->next;
	lab_unlock(&holders_lock);
	if (!h)
		lab_report("remove lock %p released with tag %p, which nobody took, by %s", l, tag, lab_where(by, where, sizeof(where)));
	lab_free(h);
}

void NTAPI lab_IoReleaseRemoveLockEx(PIO_REMOVE_LOCK l, PVOID tag, ULONG size)
{
	(void)size;
	forget(l, tag, __builtin_return_address(0));
	put(l);
}

static void say_holders(const IO_REMOVE_LOCK *l)
{
	char where[96];

	lab_lock(&holders_lock);
	for (struct holder *h = holders; h; h = h->next)
		if (h->lock == l)
			lab_report("remove lock %p: removal waits %u ms for tag %p, taken by %s", l, WAIT_MS, h->tag,
				   lab_where(h->by, where, sizeof(where)));
	lab_unlock(&holders_lock);
}

void NTAPI lab_IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK l, PVOID tag, ULONG size)
{
	LARGE_INTEGER wait = { .QuadPart = -(LONGLONG)WAIT_MS * 10000 };

	(void)size;
	forget(l, tag, __builtin_return_address(0));
	l->Common.Removed = TRUE;
	put(l);
	put(l);
	if (KeWaitForSingleObject(&l->Common.RemoveEvent, Executive, KernelMode, FALSE, &wait) == STATUS_TIMEOUT) {
		say_holders(l);
		KeWaitForSingleObject(&l->Common.RemoveEvent, Executive, KernelMode, FALSE, NULL);
	}
}
