// SPDX-License-Identifier: GPL-2.0-only
/* Small services that Wine lacks: rundown protection, cancel-safe queues, callbacks, tokens. */
#include "lab.h"
#include "object.h"
#include "power.h"

/* ---- rundown protection: twice the number of holders, plus one when it runs down ---- */

static BOOLEAN acquire(EX_RUNDOWN_REF *r, ULONG n)
{
	LONG64 old;

	do {
		old = *(volatile LONG64 *)&r->Count;
		if (old & 1)
			return FALSE;
	} while (InterlockedCompareExchange64((volatile LONG64 *)&r->Count, old + 2 * (LONG64)n, old) != old);
	return TRUE;
}

static void release(EX_RUNDOWN_REF *r, ULONG n)
{
	if (InterlockedExchangeAdd64((volatile LONG64 *)&r->Count, -2 * (LONG64)n) < 2 * (LONG64)n)
		lab_report("rundown protection %p released too often", r);
}

void FASTCALL lab_ExInitializeRundownProtection(EX_RUNDOWN_REF *r)
{
	r->Count = 0;
}

void FASTCALL lab_ExReInitializeRundownProtection(EX_RUNDOWN_REF *r)
{
	r->Count = 0;
}

BOOLEAN FASTCALL lab_ExAcquireRundownProtection(EX_RUNDOWN_REF *r)
{
	return acquire(r, 1);
}

BOOLEAN FASTCALL lab_ExAcquireRundownProtectionEx(EX_RUNDOWN_REF *r, ULONG n)
{
	return acquire(r, n);
}

void FASTCALL lab_ExReleaseRundownProtection(EX_RUNDOWN_REF *r)
{
	release(r, 1);
}

void FASTCALL lab_ExReleaseRundownProtectionEx(EX_RUNDOWN_REF *r, ULONG n)
{
	release(r, n);
}

void FASTCALL lab_ExWaitForRundownProtectionRelease(EX_RUNDOWN_REF *r)
{
	InterlockedOr64((volatile LONG64 *)&r->Count, 1);
	for (unsigned int ms = 0; *(volatile LONG64 *)&r->Count != 1; ms++) {
		if (ms == 10000)
			lab_report("rundown protection %p is not released in 10 s", r);
		Sleep(1);
	}
}

void FASTCALL lab_ExRundownCompleted(EX_RUNDOWN_REF *r)
{
	r->Count = 1;
}

/* ---- cancel-safe queues, as csq.h in the WDK describes them ---- */

static VOID NTAPI csq_cancel(PDEVICE_OBJECT device, PIRP irp)
{
	IO_CSQ_IRP_CONTEXT *context = irp->Tail.Overlay.DriverContext[3];
	IO_CSQ *q;
	KIRQL irql;

	(void)device;
	IoReleaseCancelSpinLock(irp->CancelIrql);
	if (context->Type == IO_TYPE_CSQ_IRP_CONTEXT)
		q = context->Csq;
	else
		q = (IO_CSQ *)context;
	q->CsqAcquireLock(q, &irql);
	q->CsqRemoveIrp(q, irp);
	if (q != (IO_CSQ *)context)
		context->Irp = NULL;
	irp->Tail.Overlay.DriverContext[3] = NULL;
	q->CsqReleaseLock(q, irql);
	q->CsqCompleteCanceledIrp(q, irp);
}

static NTSTATUS csq_init(PIO_CSQ q, void *insert, ULONG type, PIO_CSQ_REMOVE_IRP remove, PIO_CSQ_PEEK_NEXT_IRP peek,
	PIO_CSQ_ACQUIRE_LOCK lock, PIO_CSQ_RELEASE_LOCK unlock, PIO_CSQ_COMPLETE_CANCELED_IRP complete)
{
	q->Type = type;
	q->CsqInsertIrp = (PIO_CSQ_INSERT_IRP)insert;
	q->CsqRemoveIrp = remove;
	q->CsqPeekNextIrp = peek;
	q->CsqAcquireLock = lock;
	q->CsqReleaseLock = unlock;
	q->CsqCompleteCanceledIrp = complete;
	q->ReservePointer = NULL;
	return STATUS_SUCCESS;
}

NTSTATUS NTAPI lab_IoCsqInitialize(PIO_CSQ q, PIO_CSQ_INSERT_IRP insert, PIO_CSQ_REMOVE_IRP remove,
	PIO_CSQ_PEEK_NEXT_IRP peek, PIO_CSQ_ACQUIRE_LOCK lock, PIO_CSQ_RELEASE_LOCK unlock,
	PIO_CSQ_COMPLETE_CANCELED_IRP complete)
{
	return csq_init(q, (void *)insert, IO_TYPE_CSQ, remove, peek, lock, unlock, complete);
}

NTSTATUS NTAPI lab_IoCsqInitializeEx(PIO_CSQ q, PIO_CSQ_INSERT_IRP_EX insert, PIO_CSQ_REMOVE_IRP remove,
	PIO_CSQ_PEEK_NEXT_IRP peek, PIO_CSQ_ACQUIRE_LOCK lock, PIO_CSQ_RELEASE_LOCK unlock,
	PIO_CSQ_COMPLETE_CANCELED_IRP complete)
{
	return csq_init(q, (void *)insert, IO_TYPE_CSQ_EX, remove, peek, lock, unlock, complete);
}

NTSTATUS NTAPI lab_IoCsqInsertIrpEx(PIO_CSQ q, PIRP irp, PIO_CSQ_IRP_CONTEXT context, PVOID insert)
{
	NTSTATUS status = STATUS_SUCCESS;
	bool cancelled = false;
	KIRQL irql;

	if (context) {
		context->Type = IO_TYPE_CSQ_IRP_CONTEXT;
		context->Irp = irp;
		context->Csq = q;
	}
	irp->Tail.Overlay.DriverContext[3] = context ? (PVOID)context : (PVOID)q;
	q->ReservePointer = NULL;
	q->CsqAcquireLock(q, &irql);
	if (q->Type == IO_TYPE_CSQ_EX)
		status = ((PIO_CSQ_INSERT_IRP_EX)(void *)q->CsqInsertIrp)(q, irp, insert);
	else
		q->CsqInsertIrp(q, irp);
	if (!NT_SUCCESS(status) && q->Type == IO_TYPE_CSQ_EX) {
		q->CsqReleaseLock(q, irql);
		return status;
	}
	IoMarkIrpPending(irp);
	(void)IoSetCancelRoutine(irp, csq_cancel);
	if (irp->Cancel && IoSetCancelRoutine(irp, NULL)) {
		q->CsqRemoveIrp(q, irp);
		irp->Tail.Overlay.DriverContext[3] = NULL;
		if (context)
			context->Irp = NULL;
		cancelled = true;
	}
	q->CsqReleaseLock(q, irql);
	if (cancelled)
		q->CsqCompleteCanceledIrp(q, irp);
	return status;
}

void NTAPI lab_IoCsqInsertIrp(PIO_CSQ q, PIRP irp, PIO_CSQ_IRP_CONTEXT context)
{
	lab_IoCsqInsertIrpEx(q, irp, context, NULL);
}

/* Under the queue's lock: the request is the caller's, no cancel routine will run. */
static void csq_take(PIO_CSQ q, PIRP irp)
{
	IO_CSQ_IRP_CONTEXT *context = irp->Tail.Overlay.DriverContext[3];

	q->CsqRemoveIrp(q, irp);
	if (context && context->Type == IO_TYPE_CSQ_IRP_CONTEXT)
		context->Irp = NULL;
	irp->Tail.Overlay.DriverContext[3] = NULL;
}

PIRP NTAPI lab_IoCsqRemoveNextIrp(PIO_CSQ q, PVOID peek)
{
	PIRP irp = NULL;
	KIRQL irql;

	q->CsqAcquireLock(q, &irql);
	while ((irp = q->CsqPeekNextIrp(q, irp, peek)))
		if (IoSetCancelRoutine(irp, NULL)) {
			csq_take(q, irp);
			break;
		}
	q->CsqReleaseLock(q, irql);
	return irp;
}

PIRP NTAPI lab_IoCsqRemoveIrp(PIO_CSQ q, PIO_CSQ_IRP_CONTEXT context)
{
	PIRP irp;
	KIRQL irql;

	q->CsqAcquireLock(q, &irql);
	irp = context->Irp;
	if (irp && IoSetCancelRoutine(irp, NULL))
		csq_take(q, irp);
	else
		irp = NULL;
	q->CsqReleaseLock(q, irql);
	return irp;
}

/* ---- callbacks: \Callback\PowerState is the one that drivers ask for ---- */

struct registration {
	struct registration *next;
	PCALLBACK_FUNCTION fn;
	PVOID context;
};

static struct registration *registrations;
static struct lab_lock callback_lock;
static uint8_t power_state[16];

NTSTATUS NTAPI lab_ExCreateCallback(PCALLBACK_OBJECT *object, POBJECT_ATTRIBUTES attr, BOOLEAN create, BOOLEAN multiple)
{
	UNICODE_STRING known;

	(void)create;
	(void)multiple;
	RtlInitUnicodeString(&known, L"\\Callback\\PowerState");
	if (!attr || !attr->ObjectName || !RtlEqualUnicodeString(attr->ObjectName, &known, TRUE))
		return STATUS_OBJECT_NAME_NOT_FOUND;
	*object = (PCALLBACK_OBJECT)power_state;
	lab_object_made(power_state, LAB_STATIC, __builtin_return_address(0));
	return STATUS_SUCCESS;
}

PVOID NTAPI lab_ExRegisterCallback(PCALLBACK_OBJECT object, PCALLBACK_FUNCTION fn, PVOID context)
{
	struct registration *r = (void *)object == power_state ? lab_alloc(sizeof(*r)) : NULL;

	if (!r)
		return NULL;
	r->fn = fn;
	r->context = context;
	lab_lock(&callback_lock);
	r->next = registrations;
	registrations = r;
	lab_unlock(&callback_lock);
	return r;
}

void NTAPI lab_ExUnregisterCallback(PVOID registration)
{
	struct registration **at;

	lab_lock(&callback_lock);
	for (at = &registrations; *at && *at != registration; at = &(*at)->next)
		;
	if (*at)
		*at = (*at)->next;
	else
		lab_report("ExUnregisterCallback of %p, which is not registered", registration);
	lab_unlock(&callback_lock);
	lab_free(registration);
}

/* The machine's sleep says so here first: PO_CB_SYSTEM_STATE_LOCK with 0, and with 1 after the resume. */
void lab_callback_notify(uintptr_t a, uintptr_t b)
{
	for (struct registration *r = registrations; r; r = r->next)
		r->fn(r->context, (PVOID)a, (PVOID)b);
}

BOOLEAN NTAPI lab_SeTokenIsAdmin(PACCESS_TOKEN token)
{
	return token != NULL;
}

void NTAPI lab_ExRaiseStatus(NTSTATUS status)
{
	RtlRaiseStatus(status);
}

/* Windows ignores it since Vista. */
void NTAPI lab_PoStartNextPowerIrp(PIRP irp)
{
	(void)irp;
}
