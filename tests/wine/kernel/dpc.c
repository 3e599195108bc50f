// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deferred procedure calls, and timers that end in one. Two threads stand for two processors: a routine runs at
 * DISPATCH_LEVEL, an object is queued once at a time, and may be queued again while its routine runs, as in Windows.
 */
#include "lab.h"

#define PROCESSORS 2

static LIST_ENTRY queue = { &queue, &queue };
static struct lab_lock queue_lock;
static HANDLE work;                /* a semaphore would count; a set event and a look at the queue do */
static volatile LONG running;

static KDPC *take(void)
{
	KDPC *dpc = NULL;

	lab_lock(&queue_lock);
	if (queue.Flink != &queue) {
		dpc = CONTAINING_RECORD(RemoveHeadList(&queue), KDPC, DpcListEntry);
		dpc->DpcData = NULL;
		InterlockedIncrement(&running);
		if (queue.Flink != &queue)
			SetEvent(work);
	}
	lab_unlock(&queue_lock);
	return dpc;
}

static void run(PKDEFERRED_ROUTINE routine, KDPC *dpc, void *context, void *a, void *b)
{
	KIRQL old = lab_set_irql(DISPATCH_LEVEL), now;
	char text[96];

	routine(dpc, context, a, b);
	now = lab_set_irql(old);
	if (now != DISPATCH_LEVEL)
		lab_report("DPC %s returned at IRQL %u", lab_where((void *)routine, text, sizeof(text)), now);
}

static DWORD WINAPI processor(void *unused)
{
	KDPC *dpc;

	(void)unused;
	for (;;) {
		WaitForSingleObject(work, ~0u);
		while ((dpc = take())) {
			run(dpc->DeferredRoutine, dpc, dpc->DeferredContext, dpc->SystemArgument1, dpc->SystemArgument2);
			InterlockedDecrement(&running);
		}
	}
	return 0;
}

void lab_dpc_init(void)
{
	HANDLE thread;

	work = CreateEventW(NULL, FALSE, FALSE, NULL);
	for (int i = 0; i < PROCESSORS; i++) {
		thread = CreateThread(NULL, 0, processor, NULL, 0, NULL);
		SetThreadPriority(thread, 15);
		CloseHandle(thread);
	}
}

void NTAPI lab_KeInitializeDpc(KDPC *dpc, PKDEFERRED_ROUTINE routine, PVOID context)
{
	memset(dpc, 0, sizeof(*dpc));
	dpc->Type = 0x13;
	dpc->Importance = 1;
	dpc->DeferredRoutine = routine;
	dpc->DeferredContext = context;
}

BOOLEAN NTAPI lab_KeInsertQueueDpc(KDPC *dpc, PVOID a, PVOID b)
{
	bool fresh;

	lab_lock(&queue_lock);
	fresh = !dpc->DpcData;
	if (fresh) {
		dpc->SystemArgument1 = a;
		dpc->SystemArgument2 = b;
		dpc->DpcData = &queue;
		InsertTailList(&queue, &dpc->DpcListEntry);
	}
	lab_unlock(&queue_lock);
	if (fresh)
		SetEvent(work);
	return fresh;
}

BOOLEAN NTAPI lab_KeRemoveQueueDpc(KDPC *dpc)
{
	bool queued;

	lab_lock(&queue_lock);
	queued = dpc->DpcData != NULL;
	if (queued) {
		RemoveEntryList(&dpc->DpcListEntry);
		dpc->DpcData = NULL;
	}
	lab_unlock(&queue_lock);
	return queued;
}

void NTAPI lab_KeFlushQueuedDpcs(void)
{
	bool busy;

	do {
		lab_lock(&queue_lock);
		busy = running || queue.Flink != &queue;
		lab_unlock(&queue_lock);
		if (busy)
			Sleep(1);
	} while (busy);
}

void NTAPI lab_KeSetImportanceDpc(KDPC *dpc, KDPC_IMPORTANCE importance)
{
	dpc->Importance = (UCHAR)importance;
}

void NTAPI lab_KeSetTargetProcessorDpc(KDPC *dpc, CCHAR number)
{
	dpc->Number = (USHORT)number;
}

/* ---- timers with a DPC are ours, in a thread that sleeps until the next; those without are Wine's ---- */

struct timer {
	struct timer *next;        /* by time */
	KTIMER *timer;
	KDPC *dpc;
	int64_t due;               /* in units of 100 ns since the machine's start */
	LONG period;
};

static struct timer *timers;
static struct lab_lock timers_lock;
static HANDLE timers_changed;

static int64_t now(void)
{
	LARGE_INTEGER count, frequency;

	NtQueryPerformanceCounter(&count, &frequency);
	return (int64_t)((double)count.QuadPart * 1e7 / (double)frequency.QuadPart);
}

/* Under the lock. */
static void enter(struct timer *t)
{
	struct timer **at = &timers;

	while (*at && (*at)->due <= t->due)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	t->timer->Header.Inserted = TRUE;
}

static struct timer *leave(KTIMER *timer)
{
	struct timer **at = &timers, *t;

	while (*at && (*at)->timer != timer)
		at = &(*at)->next;
	t = *at;
	if (t) {
		*at = t->next;
		timer->Header.Inserted = FALSE;
	}
	return t;
}

/* Queues what is due; how long until the next, or a day. */
static int64_t expire(void)
{
	struct timer *t;
	int64_t wait = 864000000000ll;

	lab_lock(&timers_lock);
	while ((t = timers) && (wait = t->due - now()) <= 0) {
		leave(t->timer);
		lab_KeInsertQueueDpc(t->dpc, NULL, NULL);
		if (t->period) {
			t->due += t->period * 10000ll;
			enter(t);
		} else {
			lab_free(t);
		}
		wait = 864000000000ll;
	}
	lab_unlock(&timers_lock);
	return wait;
}

static DWORD WINAPI clock(void *unused)
{
	LARGE_INTEGER wait;

	(void)unused;
	for (;;) {
		wait.QuadPart = -expire();
		ZwWaitForSingleObject(timers_changed, FALSE, &wait);
	}
	return 0;
}

void lab_timer_init(void)
{
	HANDLE thread;

	timers_changed = CreateEventW(NULL, FALSE, FALSE, NULL);
	thread = CreateThread(NULL, 0, clock, NULL, 0, NULL);
	SetThreadPriority(thread, 15);
	CloseHandle(thread);
}

BOOLEAN NTAPI lab_KeCancelTimer(KTIMER *timer)
{
	struct timer *t;

	lab_lock(&timers_lock);
	t = leave(timer);
	lab_unlock(&timers_lock);
	if (!t)
		return KeCancelTimer(timer);
	lab_free(t);
	return TRUE;
}

BOOLEAN NTAPI lab_KeSetTimerEx(KTIMER *timer, LARGE_INTEGER due, LONG period, KDPC *dpc)
{
	BOOLEAN set = lab_KeCancelTimer(timer);
	struct timer *t;

	if (!dpc)
		return KeSetTimerEx(timer, due, period, NULL) || set;
	if (!(t = lab_alloc(sizeof(*t))))
		return set;
	if (due.QuadPart > 0)
		lab_report("KeSetTimerEx with an absolute time");
	t->timer = timer;
	t->dpc = dpc;
	t->due = now() - due.QuadPart;
	t->period = period;
	lab_lock(&timers_lock);
	enter(t);
	lab_unlock(&timers_lock);
	SetEvent(timers_changed);
	return set;
}

BOOLEAN NTAPI lab_KeSetTimer(KTIMER *timer, LARGE_INTEGER due, KDPC *dpc)
{
	return lab_KeSetTimerEx(timer, due, 0, dpc);
}

/* Of a driver that is gone. */
void lab_dpc_left(const void *image, size_t size)
{
	char text[96];

	lab_lock(&timers_lock);
	for (struct timer *t = timers; t; t = t->next)
		if ((uintptr_t)t->dpc->DeferredRoutine - (uintptr_t)image < size)
			lab_report("timer with DPC %s left running", lab_where((void *)t->dpc->DeferredRoutine, text, sizeof(text)));
	lab_unlock(&timers_lock);
	lab_lock(&queue_lock);
	for (LIST_ENTRY *e = queue.Flink; e != &queue; e = e->Flink)
		if ((uintptr_t)CONTAINING_RECORD(e, KDPC, DpcListEntry)->DeferredRoutine - (uintptr_t)image < size)
			lab_report("DPC left queued");
	lab_unlock(&queue_lock);
}
