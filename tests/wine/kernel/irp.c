// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests. Both Wine's dispatcher and the drivers come through IoCallDriver and IoCompleteRequest here, so this is where
 * CLEANUP is sent before CLOSE, where plug and play requests are waited for, and where a second completion is seen.
 */
#include "lab.h"
#include "object.h"
#include "pnp.h"

#define IRP_TAG 0x20707249

/* A file object with requests under way, Wine's or ours. */
struct open {
	struct open *next;
	FILE_OBJECT *file;
	DEVICE_OBJECT *device;     /* the lowest of the stack */
	LONG requests;
};

static struct open *opens;
static struct lab_lock opens_lock;

/* Wine cancels what a program names, though another thread may have ended and freed it meanwhile; Windows cannot. */
static struct lab_lock life_lock;

#define DRIVERS_OWN 0x80           /* in AllocationFlags: its owner's completion routine keeps it */

static IRP *allocate(CCHAR stack, const void *by)
{
	USHORT size = (USHORT)(sizeof(IRP) + stack * sizeof(IO_STACK_LOCATION));
	IRP *irp = lab_pool_get(size, IRP_TAG, by);

	if (irp)
		IoInitializeIrp(irp, size, stack);
	return irp;
}

PIRP NTAPI lab_IoAllocateIrp(CCHAR stack, BOOLEAN quota)
{
	IRP *irp = allocate(stack, __builtin_return_address(0));

	(void)quota;
	if (irp)
		irp->AllocationFlags |= DRIVERS_OWN;
	return irp;
}

/* For Wine's own requests, which are freed at their end. */
IRP *NTAPI lab_allocate_irp(CCHAR stack, BOOLEAN quota)
{
	(void)quota;
	return allocate(stack, __builtin_return_address(0));
}

void NTAPI lab_IoFreeIrp(PIRP irp)
{
	MDL *mdl = irp->MdlAddress, *next;

	if (irp->Type != IO_TYPE_IRP) {
		lab_report("IoFreeIrp of %p, which is no request", irp);
		return;
	}
	for (; mdl; mdl = next) {
		next = mdl->Next;
		IoFreeMdl(mdl);
	}
	lab_lock(&life_lock);
	lab_pool_put(irp, __builtin_return_address(0));
	lab_unlock(&life_lock);
}

void NTAPI lab_IoReuseIrp(PIRP irp, NTSTATUS status)
{
	UCHAR flags = irp->AllocationFlags;

	if (irp->CancelRoutine)
		lab_report("IoReuseIrp of %p, whose cancel routine is set", irp);
	IoInitializeIrp(irp, irp->Size, irp->StackCount);
	irp->AllocationFlags = flags;
	irp->IoStatus.Status = status;
}

/* ---- calls ---- */

/* Wine's root bus refuses power requests, which Windows' accepts. */
static NTSTATUS NTAPI root_bus_power(PDEVICE_OBJECT device, PIRP irp)
{
	(void)device;
	irp->IoStatus.Status = STATUS_SUCCESS;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return STATUS_SUCCESS;
}

static PDRIVER_DISPATCH dispatch_of(const DEVICE_OBJECT *device, UCHAR major)
{
	PDRIVER_DISPATCH dispatch = device->DriverObject->MajorFunction[major];
	void *base = NULL;

	if (major == IRP_MJ_POWER)
		RtlPcToFileHeader((void *)dispatch, &base);
	return base && base == GetModuleHandleW(L"ntoskrnl.exe") ? root_bus_power : dispatch;
}

/*
 * What a dispatch routine returns must fit what it does: STATUS_PENDING if and only if the location was marked pending.
 * Both are known only when the routine has returned and the request has passed its location, in either order.
 */
struct flight {
	struct flight *next;
	const IRP *irp;
	const IO_STACK_LOCATION *sp;
	PDRIVER_DISPATCH dispatch;
	NTSTATUS status;
	bool returned, passed, marked;
	bool before;               /* a driver above, which shares the location, had marked it */
	UCHAR major, minor;
};

static struct flight *flights;
static struct lab_lock flights_lock;

static struct flight *flight_start(const IRP *irp, const IO_STACK_LOCATION *sp, PDRIVER_DISPATCH dispatch)
{
	struct flight *f = lab_alloc(sizeof(*f));

	*f = (struct flight){ .irp = irp, .sp = sp, .dispatch = dispatch, .major = sp->MajorFunction, .minor = sp->MinorFunction,
			     .before = sp->Control & SL_PENDING_RETURNED };
	lab_lock(&flights_lock);
	f->next = flights;
	flights = f;
	lab_unlock(&flights_lock);
	return f;
}

/* Both ends are known, or the request has been freed: judges, and forgets it. Under the lock. */
static void flight_end(struct flight *f)
{
	struct flight **at;
	char text[96];

	if ((f->status == STATUS_PENDING) != f->marked && !f->before)
		lab_report("%s, function %u.%u, returned %#lx and had %smarked the request pending",
			   lab_where((void *)f->dispatch, text, sizeof(text)), f->major, f->minor, f->status, f->marked ? "" : "not ");
	for (at = &flights; *at != f; at = &(*at)->next)
		;
	*at = f->next;
	lab_free(f);
}

static void flight_returned(struct flight *f, NTSTATUS status)
{
	char text[96];

	lab_lock(&flights_lock);
	f->status = status;
	f->returned = true;
	if (f->passed)
		flight_end(f);
	else if (status != STATUS_PENDING)
		lab_report("%s, function %u.%u, returned %#lx, and the request is not complete",
			   lab_where((void *)f->dispatch, text, sizeof(text)), f->major, f->minor, status);
	lab_unlock(&flights_lock);
}

/* The request leaves this location; a driver below may have shared it. */
static void flight_passed(const IRP *irp, const IO_STACK_LOCATION *sp, bool marked)
{
	struct flight *f, *next;

	lab_lock(&flights_lock);
	for (f = flights; f; f = next) {
		next = f->next;
		if (f->irp != irp || f->sp != sp || f->passed)
			continue;
		f->passed = true;
		f->marked = marked;
		if (f->returned)
			flight_end(f);
	}
	lab_unlock(&flights_lock);
}

static NTSTATUS call(DEVICE_OBJECT *device, IRP *irp)
{
	IO_STACK_LOCATION *sp;
	PDRIVER_DISPATCH dispatch;
	KIRQL before = lab_irql(), after;
	struct flight *f;
	NTSTATUS status;
	char text[96];

	if (irp->Type != IO_TYPE_IRP || irp->CurrentLocation <= 1) {
		lab_report("IoCallDriver of %p: type %d, location %d of %d", irp, irp->Type, irp->CurrentLocation, irp->StackCount);
		KeBugCheckEx(0x35, (ULONG_PTR)irp, 0, 0, 0);
	}
	if (irp->CancelRoutine)
		lab_report("request %p is passed on with its cancel routine set", irp);
	irp->CurrentLocation--;
	sp = --irp->Tail.Overlay.CurrentStackLocation;
	sp->DeviceObject = device;
	dispatch = dispatch_of(device, sp->MajorFunction);
	f = flight_start(irp, sp, dispatch);
	status = dispatch(device, irp);
	flight_returned(f, status);
	after = lab_irql();
	if (after != before) {
		lab_report("IRQL %u before, %u after %s", before, after, lab_where((void *)dispatch, text, sizeof(text)));
		lab_set_irql(before);
	}
	return status;
}

static struct open **find_open(const FILE_OBJECT *file)
{
	struct open **o = &opens;

	while (*o && (*o)->file != file)
		o = &(*o)->next;
	return o;
}

void lab_open_add(FILE_OBJECT *file, DEVICE_OBJECT *device)
{
	struct open *o = lab_alloc(sizeof(*o));

	while (lab_below(device))
		device = lab_below(device);
	o->file = file;
	o->device = device;
	lab_lock(&opens_lock);
	o->next = opens;
	opens = o;
	lab_unlock(&opens_lock);
}

void lab_open_remove(FILE_OBJECT *file)
{
	struct open **at, *o;

	lab_lock(&opens_lock);
	at = find_open(file);
	o = *at;
	if (o)
		*at = o->next;
	lab_unlock(&opens_lock);
	lab_free(o);
}

/* Counts a request of an open file in or out; how many are under way now. */
static LONG count(FILE_OBJECT *file, LONG change)
{
	struct open *o;
	LONG now = 0;

	if (!file)
		return 0;
	lab_lock(&opens_lock);
	o = *find_open(file);
	if (o)
		now = o->requests += change;
	lab_unlock(&opens_lock);
	return now;
}

static bool is_open(const FILE_OBJECT *file)
{
	bool open;

	lab_lock(&opens_lock);
	open = *find_open(file) != NULL;
	lab_unlock(&opens_lock);
	return open;
}

uint32_t lab_open_count(const DEVICE_OBJECT *lowest)
{
	uint32_t n = 0;

	lab_lock(&opens_lock);
	for (struct open *o = opens; o; o = o->next)
		n += o->device == lowest;
	lab_unlock(&opens_lock);
	return n;
}

static bool counted(const IO_STACK_LOCATION *sp)
{
	return sp->MajorFunction == IRP_MJ_READ || sp->MajorFunction == IRP_MJ_WRITE ||
	       sp->MajorFunction == IRP_MJ_DEVICE_CONTROL || sp->MajorFunction == IRP_MJ_FLUSH_BUFFERS;
}

/* Sends a request of one kind for a file and waits for its end. */
NTSTATUS lab_send_file(DEVICE_OBJECT *device, FILE_OBJECT *file, UCHAR major, KPROCESSOR_MODE mode)
{
	IO_STATUS_BLOCK iosb = { 0 };
	IO_STACK_LOCATION *sp;
	IO_SECURITY_CONTEXT security = { .DesiredAccess = FILE_ALL_ACCESS, .FullCreateOptions = FILE_OPEN << 24 };
	KEVENT done;
	IRP *irp = lab_allocate_irp(device->StackSize, FALSE);

	if (!irp)
		return STATUS_INSUFFICIENT_RESOURCES;
	KeInitializeEvent(&done, NotificationEvent, FALSE);
	irp->UserIosb = &iosb;
	irp->UserEvent = &done;
	irp->RequestorMode = mode;
	irp->Tail.Overlay.OriginalFileObject = file;
	sp = IoGetNextIrpStackLocation(irp);
	sp->MajorFunction = major;
	sp->FileObject = file;
	if (major == IRP_MJ_CREATE) {
		sp->Parameters.Create.SecurityContext = &security;
		sp->Parameters.Create.Options = security.FullCreateOptions;
		sp->Parameters.Create.ShareAccess = FILE_SHARE_READ | FILE_SHARE_WRITE;
	}
	if (call(device, irp) == STATUS_PENDING)
		KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
	return iosb.Status;
}

/* ---- closing: CLEANUP when the last handle goes, CLOSE when the last request has ended too ---- */

struct closing {
	DEVICE_OBJECT *device;
	IRP *irp;
	FILE_OBJECT *file;
};

static void finish_close(struct closing *c)
{
	for (unsigned int ms = 0; count(c->file, 0) > 0; ms++) {
		if (ms == 10000)
			lab_report("file %p: %ld requests still under way 10 s after CLEANUP", c->file, count(c->file, 0));
		Sleep(1);
	}
	lab_open_remove(c->file);
	call(c->device, c->irp);
}

static DWORD WINAPI close_later(void *context)
{
	struct closing *c = context;
	FILE_OBJECT *file = c->file;

	finish_close(c);
	ObfDereferenceObject(file);
	lab_free(c);
	return 0;
}

void NTAPI lab_IoCompleteRequest(PIRP irp, CCHAR boost);

/* A file whose CREATE failed: Wine hands it out all the same, then uses and closes it, Windows does not. */
static NTSTATUS spare_driver(IRP *irp, NTSTATUS status)
{
	irp->IoStatus.Status = status;
	lab_IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

static NTSTATUS close_file(DEVICE_OBJECT *device, IRP *irp, FILE_OBJECT *file)
{
	struct closing c = { device, irp, file }, *later;

	if (!is_open(file))
		return spare_driver(irp, STATUS_SUCCESS);
	lab_send_file(device, file, IRP_MJ_CLEANUP, UserMode);
	if (count(file, 0) <= 0) {
		lab_open_remove(file);
		return call(device, irp);
	}
	later = lab_alloc(sizeof(*later));
	*later = c;
	ObfReferenceObject(file); /* Wine frees it when this returns */
	CloseHandle(CreateThread(NULL, 0, close_later, later, 0, NULL));
	return STATUS_PENDING;
}

/* Synchronous plug and play requests. Wine forgets to wait for some of its own, which may pend all the same. */
static NTSTATUS pnp_and_wait(DEVICE_OBJECT *device, IRP *irp)
{
	IO_STATUS_BLOCK *iosb = irp->UserIosb;
	KEVENT *event = irp->UserEvent, done;
	UCHAR minor = IoGetNextIrpStackLocation(irp)->MinorFunction;

	lab_pnp_before(device, minor);
	KeInitializeEvent(&done, NotificationEvent, FALSE);
	irp->UserEvent = &done;
	call(device, irp);
	KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
	lab_pnp_after(device, minor, iosb->Status);
	if (event)
		KeSetEvent(event, IO_NO_INCREMENT, FALSE);
	return iosb->Status;
}

/* A request that enters its first stack: where it came from decides. */
static NTSTATUS first_call(DEVICE_OBJECT *device, IRP *irp)
{
	IO_STACK_LOCATION *sp = IoGetNextIrpStackLocation(irp);
	FILE_OBJECT *file = irp->Tail.Overlay.OriginalFileObject;

	if (irp->RequestorMode == UserMode && file) {
		sp->FileObject = file;
		if (sp->MajorFunction == IRP_MJ_CREATE)
			lab_open_add(file, device);
		else if (sp->MajorFunction == IRP_MJ_CLOSE)
			return close_file(device, irp, file);
		else if (counted(sp) && !is_open(file))
			return spare_driver(irp, STATUS_INVALID_HANDLE);
		else if (counted(sp))
			count(file, 1);
	}
	if (sp->MajorFunction == IRP_MJ_PNP && irp->UserIosb && !(irp->AllocationFlags & DRIVERS_OWN))
		return pnp_and_wait(device, irp);
	return call(device, irp);
}

NTSTATUS NTAPI lab_IoCallDriver(PDEVICE_OBJECT device, PIRP irp)
{
	if (irp->CurrentLocation == irp->StackCount + 1)
		return first_call(device, irp);
	return call(device, irp);
}

NTSTATUS FASTCALL lab_IofCallDriver(PDEVICE_OBJECT device, PIRP irp)
{
	return lab_IoCallDriver(device, irp);
}

NTSTATUS NTAPI lab_PoCallDriver(PDEVICE_OBJECT device, PIRP irp)
{
	return lab_IoCallDriver(device, irp);
}

/* ---- completion ---- */

static bool wanted(const IO_STACK_LOCATION *sp, const IRP *irp)
{
	if (!sp->CompletionRoutine)
		return false;
	return (NT_SUCCESS(irp->IoStatus.Status) && (sp->Control & SL_INVOKE_ON_SUCCESS)) ||
	       (!NT_SUCCESS(irp->IoStatus.Status) && (sp->Control & SL_INVOKE_ON_ERROR)) ||
	       (irp->Cancel && (sp->Control & SL_INVOKE_ON_CANCEL));
}

/* The last location is done: what Wine's own code does, with our memory. */
static void finish(IRP *irp)
{
	IO_STACK_LOCATION *first = (IO_STACK_LOCATION *)(irp + 1) + irp->StackCount - 1;
	KEVENT *event = irp->UserEvent;

	if (irp->RequestorMode == UserMode && counted(first))
		count(irp->Tail.Overlay.OriginalFileObject, -1);
	else if (irp->RequestorMode == UserMode && first->MajorFunction == IRP_MJ_CREATE && !NT_SUCCESS(irp->IoStatus.Status))
		lab_open_remove(irp->Tail.Overlay.OriginalFileObject);
	if (irp->AllocationFlags & DRIVERS_OWN) {
		lab_report("request %p, a driver's own, goes past its last completion routine; completed twice?", irp);
		return;
	}
	if (irp->Flags & IRP_DEALLOCATE_BUFFER)
		HeapFree(GetProcessHeap(), 0, irp->AssociatedIrp.SystemBuffer);
	if (irp->UserIosb)
		*irp->UserIosb = irp->IoStatus;
	lab_IoFreeIrp(irp);
	if (event)
		KeSetEvent(event, IO_NO_INCREMENT, FALSE);
}

void NTAPI lab_IoCompleteRequest(PIRP irp, CCHAR boost)
{
	IO_STACK_LOCATION *sp;
	DEVICE_OBJECT *device;
	bool run;

	(void)boost;
	if (irp->Type != IO_TYPE_IRP || irp->CurrentLocation > irp->StackCount + 1) {
		lab_report("request %p is completed twice", irp);
		return;
	}
	if (irp->IoStatus.Status == STATUS_PENDING || irp->CancelRoutine)
		lab_report("request %p completes with status %#lx, cancel routine %p", irp, irp->IoStatus.Status,
			   (void *)irp->CancelRoutine);
	while (irp->CurrentLocation <= irp->StackCount) {
		sp = irp->Tail.Overlay.CurrentStackLocation;
		irp->PendingReturned = (sp->Control & SL_PENDING_RETURNED) != 0;
		flight_passed(irp, sp, irp->PendingReturned);
		irp->CurrentLocation++;
		irp->Tail.Overlay.CurrentStackLocation++;
		device = irp->CurrentLocation <= irp->StackCount ? irp->Tail.Overlay.CurrentStackLocation->DeviceObject : NULL;
		run = wanted(sp, irp);
		sp->Control = 0;
		if (run) {
			if (sp->CompletionRoutine(device, irp, sp->Context) == STATUS_MORE_PROCESSING_REQUIRED)
				return;
		} else if (irp->PendingReturned && irp->CurrentLocation <= irp->StackCount) {
			IoMarkIrpPending(irp);
		}
	}
	if (irp->CurrentLocation == irp->StackCount + 1) {
		irp->CurrentLocation++;
		finish(irp);
	}
}

void FASTCALL lab_IofCompleteRequest(PIRP irp, CCHAR boost)
{
	lab_IoCompleteRequest(irp, boost);
}

/* With the cancel lock held, which the routine releases. */
static BOOLEAN cancel(IRP *irp, PDRIVER_CANCEL routine, KIRQL irql)
{
	char text[96];

	if (!routine) {
		IoReleaseCancelSpinLock(irql);
		return FALSE;
	}
	if (irp->CurrentLocation > irp->StackCount + 1)
		lab_report("IoCancelIrp of %p, which is completed", irp);
	irp->CancelIrql = irql;
	routine(irp->Tail.Overlay.CurrentStackLocation->DeviceObject, irp);
	if (lab_irql() != irql) {
		lab_report("cancel routine %s returned at IRQL %u, not %u", lab_where((void *)routine, text, sizeof(text)), lab_irql(), irql);
		lab_set_irql(irql);
	}
	return TRUE;
}

BOOLEAN NTAPI lab_IoCancelIrp(PIRP irp)
{
	PDRIVER_CANCEL routine;
	KIRQL irql;

	if (irp->Type != IO_TYPE_IRP)
		lab_report("IoCancelIrp of %p, which is no request", irp);
	IoAcquireCancelSpinLock(&irql);
	irp->Cancel = TRUE;
	routine = IoSetCancelRoutine(irp, NULL);
	return cancel(irp, routine, irql);
}

/* From whoever takes the routine on, the request lives until the routine has ended it. */
static BOOLEAN NTAPI wine_cancels(IRP *irp)
{
	PDRIVER_CANCEL routine;
	KIRQL irql;

	IoAcquireCancelSpinLock(&irql);
	lab_lock(&life_lock);
	if (!lab_pool_lives(irp)) {
		lab_unlock(&life_lock);
		IoReleaseCancelSpinLock(irql);
		return FALSE;
	}
	irp->Cancel = TRUE;
	routine = IoSetCancelRoutine(irp, NULL);
	lab_unlock(&life_lock);
	return cancel(irp, routine, irql);
}

void lab_irp_init(void)
{
	lab_hook("IoAllocateIrp", lab_allocate_irp, false);
	lab_hook("IoFreeIrp", lab_IoFreeIrp, false);
	lab_hook("IoCallDriver", lab_IoCallDriver, false);
	lab_hook("IoCompleteRequest", lab_IoCompleteRequest, false);
	lab_hook("IoCancelIrp", wine_cancels, false);
	lab_hook("IoAcquireCancelSpinLock", lab_IoAcquireCancelSpinLock, false);
	lab_hook("IoReleaseCancelSpinLock", lab_IoReleaseCancelSpinLock, false);
}
