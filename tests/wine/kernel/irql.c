// SPDX-License-Identifier: GPL-2.0-only
/*
 * One IRQL per thread. Wine has none: threads at DISPATCH_LEVEL are preempted here as any other, so a spin lock yields;
 * but who calls what at which level is seen, and so is a lock that is taken twice or released by somebody else.
 *
 * Drivers read and write CR8 directly; that traps, and the handler here answers.
 */
#include "lab.h"

static DWORD slot;

KIRQL lab_irql(void)
{
	return (KIRQL)(uintptr_t)TlsGetValue(slot);
}

KIRQL lab_set_irql(KIRQL irql)
{
	KIRQL old = lab_irql();

	TlsSetValue(slot, (void *)(uintptr_t)irql);
	return old;
}

/* The register that mod r/m names, in the order of the machine's numbers. */
static ULONG64 *general(CONTEXT *c, unsigned int number)
{
	ULONG64 *const all[16] = { &c->Rax, &c->Rcx, &c->Rdx, &c->Rbx, &c->Rsp, &c->Rbp, &c->Rsi, &c->Rdi,
				   &c->R8, &c->R9, &c->R10, &c->R11, &c->R12, &c->R13, &c->R14, &c->R15 };

	return all[number & 15];
}

/* mov to or from cr8, the only privileged instruction of a driver's. */
static LONG WINAPI on_exception(EXCEPTION_POINTERS *e)
{
	const uint8_t *p = (const uint8_t *)e->ContextRecord->Rip;
	ULONG64 *reg;

	if (e->ExceptionRecord->ExceptionCode != STATUS_PRIVILEGED_INSTRUCTION &&
	    e->ExceptionRecord->ExceptionCode != STATUS_ACCESS_VIOLATION)
		return 0;
	lab_pool_fault(e);
	if (e->ExceptionRecord->ExceptionCode != STATUS_PRIVILEGED_INSTRUCTION || (p[0] & 0xfe) != 0x44 || p[1] != 0x0f ||
	    (p[2] != 0x20 && p[2] != 0x22) || (p[3] & 0xf8) != 0xc0)
		return 0;
	reg = general(e->ContextRecord, (p[3] & 7u) | (p[0] & 1u) << 3);
	if (p[2] == 0x20)
		*reg = lab_irql();
	else
		lab_set_irql((KIRQL)*reg);
	e->ContextRecord->Rip += 4;
	return -1;
}

void lab_irql_init(void)
{
	slot = TlsAlloc();
	AddVectoredExceptionHandler(1, on_exception);
}

/* ---- spin locks: the value is the owner's thread, which Wine's own code takes for "locked" as well ---- */

static void lock(KSPIN_LOCK *l, const char *name)
{
	LONG64 self = GetCurrentThreadId();
	unsigned int spins = 0;

	if (*(volatile LONG64 *)l == self) {
		lab_report("deadlock: %s of %p, which this thread holds", name, l);
		return;
	}
	while (InterlockedCompareExchange64((volatile LONG64 *)l, self, 0)) {
		if (++spins % 64 == 0)
			SwitchToThread();
		if (spins % 65536 == 0)
			Sleep(1);
	}
}

static void unlock(KSPIN_LOCK *l, const char *name)
{
	LONG64 owner = InterlockedExchange64((volatile LONG64 *)l, 0);

	if (owner != (LONG64)GetCurrentThreadId())
		lab_report("%s of %p, which thread %lld holds", name, l, owner);
	if (lab_irql() < DISPATCH_LEVEL)
		lab_report("%s of %p at IRQL %u", name, l, lab_irql());
}

KIRQL NTAPI lab_KeAcquireSpinLockRaiseToDpc(KSPIN_LOCK *l)
{
	KIRQL old = lab_irql();

	if (old < DISPATCH_LEVEL)
		lab_set_irql(DISPATCH_LEVEL);
	lock(l, "KeAcquireSpinLockRaiseToDpc");
	return old;
}

void NTAPI lab_KeReleaseSpinLock(KSPIN_LOCK *l, KIRQL old)
{
	unlock(l, "KeReleaseSpinLock");
	lab_set_irql(old);
}

void NTAPI lab_KeAcquireSpinLockAtDpcLevel(KSPIN_LOCK *l)
{
	if (lab_irql() < DISPATCH_LEVEL)
		lab_report("KeAcquireSpinLockAtDpcLevel at IRQL %u", lab_irql());
	lock(l, "KeAcquireSpinLockAtDpcLevel");
}

void NTAPI lab_KeReleaseSpinLockFromDpcLevel(KSPIN_LOCK *l)
{
	unlock(l, "KeReleaseSpinLockFromDpcLevel");
}

void NTAPI lab_KeAcquireInStackQueuedSpinLock(KSPIN_LOCK *l, KLOCK_QUEUE_HANDLE *h)
{
	h->LockQueue.Lock = l;
	h->LockQueue.Next = NULL;
	h->OldIrql = lab_KeAcquireSpinLockRaiseToDpc(l);
}

void NTAPI lab_KeReleaseInStackQueuedSpinLock(KLOCK_QUEUE_HANDLE *h)
{
	lab_KeReleaseSpinLock((KSPIN_LOCK *)h->LockQueue.Lock, h->OldIrql);
}

void NTAPI lab_KeAcquireInStackQueuedSpinLockAtDpcLevel(KSPIN_LOCK *l, KLOCK_QUEUE_HANDLE *h)
{
	h->LockQueue.Lock = l;
	h->LockQueue.Next = NULL;
	lab_KeAcquireSpinLockAtDpcLevel(l);
}

void NTAPI lab_KeReleaseInStackQueuedSpinLockFromDpcLevel(KLOCK_QUEUE_HANDLE *h)
{
	lab_KeReleaseSpinLockFromDpcLevel((KSPIN_LOCK *)h->LockQueue.Lock);
}

KIRQL NTAPI lab_KfRaiseIrql(KIRQL irql)
{
	KIRQL old = lab_set_irql(irql);

	if (irql < old)
		lab_report("KfRaiseIrql from %u down to %u", old, irql);
	return old;
}

void NTAPI lab_KeLowerIrql(KIRQL irql)
{
	KIRQL old = lab_set_irql(irql);

	if (irql > old)
		lab_report("KeLowerIrql from %u up to %u", old, irql);
}

/* ---- the cancel lock ---- */

static KSPIN_LOCK cancel_lock;

void NTAPI lab_IoAcquireCancelSpinLock(KIRQL *irql)
{
	*irql = lab_KeAcquireSpinLockRaiseToDpc(&cancel_lock);
}

void NTAPI lab_IoReleaseCancelSpinLock(KIRQL irql)
{
	lab_KeReleaseSpinLock(&cancel_lock, irql);
}

/* ---- fast mutexes: Wine's, at APC_LEVEL ---- */

void __fastcall lab_ExAcquireFastMutex(FAST_MUTEX *m)
{
	KIRQL old = lab_set_irql(APC_LEVEL);

	ExAcquireFastMutexUnsafe(m);
	m->OldIrql = old;
}

void __fastcall lab_ExReleaseFastMutex(FAST_MUTEX *m)
{
	KIRQL old = (KIRQL)m->OldIrql;

	ExReleaseFastMutexUnsafe(m);
	lab_set_irql(old);
}

/* ---- waits: no DPC may block ---- */

static void may_wait(const char *name, const LARGE_INTEGER *timeout)
{
	if (lab_irql() >= DISPATCH_LEVEL && (!timeout || timeout->QuadPart))
		lab_report("IRQL %u: %s would block", lab_irql(), name);
}

NTSTATUS NTAPI lab_KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode, BOOLEAN alertable,
	LARGE_INTEGER *timeout)
{
	may_wait("KeWaitForSingleObject", timeout);
	return KeWaitForSingleObject(object, reason, mode, alertable, timeout);
}

NTSTATUS NTAPI lab_KeWaitForMultipleObjects(ULONG count, PVOID objects[], WAIT_TYPE type, KWAIT_REASON reason,
	KPROCESSOR_MODE mode, BOOLEAN alertable, LARGE_INTEGER *timeout, PKWAIT_BLOCK blocks)
{
	may_wait("KeWaitForMultipleObjects", timeout);
	if (count > 3 && !blocks)
		lab_report("KeWaitForMultipleObjects of %lu without wait blocks", count);
	return KeWaitForMultipleObjects(count, objects, type, reason, mode, alertable, timeout, blocks);
}
