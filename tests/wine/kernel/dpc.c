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

/* ---- timers: Wine's, whose DPC is one of ours that queues the driver's ---- */

struct shim {
	struct shim *next;
	KTIMER *timer;
	KDPC dpc;
	KDPC *real;
};

static struct shim *shims;
static struct lab_lock shim_lock;

static VOID NTAPI timer_dpc(KDPC *dpc, PVOID context, PVOID a, PVOID b)
{
	struct shim *s = context;

	(void)dpc;
	lab_KeInsertQueueDpc(s->real, a, b);
}

static struct shim *shim_of(KTIMER *timer, KDPC *real)
{
	struct shim *s;

	lab_lock(&shim_lock);
	for (s = shims; s && s->timer != timer; s = s->next)
		;
	if (!s && real && (s = lab_alloc(sizeof(*s)))) {
		s->timer = timer;
		s->next = shims;
		shims = s;
		lab_KeInitializeDpc(&s->dpc, timer_dpc, s);
	}
	if (s && real)
		s->real = real;
	lab_unlock(&shim_lock);
	return s;
}

BOOLEAN NTAPI lab_KeSetTimerEx(KTIMER *timer, LARGE_INTEGER due, LONG period, KDPC *dpc)
{
	struct shim *s = dpc ? shim_of(timer, dpc) : NULL;

	return KeSetTimerEx(timer, due, period, s ? &s->dpc : NULL);
}

BOOLEAN NTAPI lab_KeSetTimer(KTIMER *timer, LARGE_INTEGER due, KDPC *dpc)
{
	return lab_KeSetTimerEx(timer, due, 0, dpc);
}
