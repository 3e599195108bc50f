// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer for UsbWarp.sys (host/windows/peer.h) that behaves as no real device does: it fails or dawdles when it is opened,
 * says things at any time, and its interface comes and goes. What it does is told by calls of its exports, which the
 * forwarding kernel makes for whoever asks (`call uwodd.sys NAME`).
 */
#include <initguid.h>

#include "peer.h"
#include "usbwarp/ioctl.h"

#define GUID_OF(name, guid) DEFINE_GUID(name, guid)
GUID_OF(interface_guid, UW_NT_INTERFACE);
#define EXPORT __declspec(dllexport) void

struct odd {
	DEVICE_OBJECT *self, *lower, *pdo;
	UNICODE_STRING link;
	PIO_WORKITEM work;
	IRP *pending;
	struct uw_peer peer;
	KSPIN_LOCK lock;
	struct uw_transfer_io *held;
};

static struct odd odd;
static volatile LONG open_status, open_ms, close_ms, connect_mode; /* of connect: 0 at once, 1 later, 2 nothing, 3 no */
static volatile LONG is_open, opens;

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path);

static void nap(LONG ms)
{
	LARGE_INTEGER time;

	time.QuadPart = -(LONGLONG)ms * 10000;
	if (ms)
		KeDelayExecutionThread(KernelMode, FALSE, &time);
}

/* ---- the backend ---- */

static struct uw_transfer_io *take_held(void)
{
	struct uw_transfer_io *io;
	KIRQL irql;

	KeAcquireSpinLock(&odd.lock, &irql);
	io = odd.held;
	odd.held = NULL;
	KeReleaseSpinLock(&odd.lock, irql);
	return io;
}

static void answer(struct uw_transfer_io *io, uint32_t status)
{
	io->status = status;
	io->actual = 0;
	odd.peer.dev.host->complete(&odd.peer.dev, io);
}

static int odd_open(struct uw_device *dev)
{
	(void)dev;
	InterlockedIncrement(&opens);
	nap(open_ms);
	is_open = !open_status;
	return open_status;
}

static void odd_close(struct uw_device *dev)
{
	struct uw_transfer_io *io = take_held();

	(void)dev;
	nap(close_ms);
	if (io)
		answer(io, UW_ST_CANCELLED);
	is_open = 0;
}

/* The last transfer is kept until somebody cancels it or closes; the one before it has ended then. */
static void odd_submit(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_transfer_io *before;
	KIRQL irql;

	(void)dev;
	KeAcquireSpinLock(&odd.lock, &irql);
	before = odd.held;
	odd.held = io;
	KeReleaseSpinLock(&odd.lock, irql);
	if (before)
		answer(before, UW_ST_STALL);
}

static void odd_cancel(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_transfer_io *held = take_held();

	(void)dev;
	(void)io;
	if (held)
		answer(held, UW_ST_CANCELLED);
}

static void odd_verb(struct uw_device *dev, struct uw_transfer_io *io)
{
	(void)dev;
	answer(io, UW_ST_OK);
}

static const struct uw_backend backend = {
	.name = "odd", .open = odd_open, .close = odd_close, .submit = odd_submit, .cancel = odd_cancel, .reset = odd_verb,
	.set_configuration = odd_verb, .set_interface = odd_verb, .clear_halt = odd_verb, .alloc_streams = odd_verb,
	.free_streams = odd_verb, .suspend = odd_verb, .resume = odd_verb,
};

/* ---- what it is told ---- */

EXPORT odd_normal(void) { open_status = open_ms = close_ms = connect_mode = 0; }
EXPORT odd_fail_open(void) { open_status = UW_ST_NO_DEVICE; }
EXPORT odd_slow_open(void) { open_ms = 1000; }
EXPORT odd_slow_close(void) { close_ms = 1000; }
EXPORT odd_connect_later(void) { connect_mode = 1; }
EXPORT odd_connect_to_nothing(void) { connect_mode = 2; }
EXPORT odd_refuse(void) { connect_mode = 3; }
EXPORT odd_hide(void) { IoSetDeviceInterfaceState(&odd.link, FALSE); }
EXPORT odd_show(void) { IoSetDeviceInterfaceState(&odd.link, TRUE); }

EXPORT odd_flap(void)
{
	odd_hide();
	odd_show();
}

/* Everything that a device may say to its owner, from DISPATCH_LEVEL. */
EXPORT odd_speak(void)
{
	const struct uw_device_host *host = odd.peer.dev.host;
	uint64_t before;
	KIRQL irql;

	KeRaiseIrql(DISPATCH_LEVEL, &irql);
	before = host->now(&odd.peer.dev);
	host->arm(&odd.peer.dev, before);
	host->wakeup(&odd.peer.dev);
	odd.peer.lost_power(&odd.peer.dev);
	if (host->now(&odd.peer.dev) < before)
		DbgPrint("UWLAB: uwodd: time goes back\n");
	KeLowerIrql(irql);
}

EXPORT odd_gone(void) { odd.peer.dev.host->gone(&odd.peer.dev); }

EXPORT odd_say(void) { DbgPrint("uwodd: open %d opens %d\n", (int)is_open, (int)opens); }

/* ---- requests to UsbWarpFilter.sys that nobody would send ---- */

static NTSTATUS NTAPI on_answer(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	(void)device;
	(void)irp;
	KeSetEvent(context, IO_NO_INCREMENT, FALSE);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS ask(DEVICE_OBJECT *device, const IO_STACK_LOCATION *what, KPROCESSOR_MODE mode)
{
	IRP *irp = IoAllocateIrp(device->StackSize, FALSE);
	IO_STACK_LOCATION *at;
	NTSTATUS status;
	KEVENT event;

	if (!irp)
		return STATUS_INSUFFICIENT_RESOURCES;
	KeInitializeEvent(&event, NotificationEvent, FALSE);
	irp->RequestorMode = mode;
	irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
	at = IoGetNextIrpStackLocation(irp);
	at->MajorFunction = what->MajorFunction;
	at->MinorFunction = what->MinorFunction;
	at->FileObject = what->FileObject;
	at->Parameters = what->Parameters;
	IoSetCompletionRoutine(irp, on_answer, &event, TRUE, TRUE, TRUE);
	if (IoCallDriver(device, irp) == STATUS_PENDING)
		KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
	status = irp->IoStatus.Status;
	IoFreeIrp(irp);
	return status;
}

static void expect(const char *what, NTSTATUS is, NTSTATUS wanted)
{
	if (is != wanted)
		DbgPrint("UWLAB: uwodd: %s: %08x instead of %08x\n", what, (unsigned int)is, (unsigned int)wanted);
}

static void ask_filter(DEVICE_OBJECT *device, FILE_OBJECT *file)
{
	struct uw_peer_connect c = { .size = sizeof(c), .version = UW_PEER_VERSION };
	static FILE_OBJECT named;
	IO_STACK_LOCATION at = { .MajorFunction = IRP_MJ_CREATE, .FileObject = &named };

	expect("a program opens it", ask(device, &at, UserMode), STATUS_ACCESS_DENIED);
	named.FileName = (UNICODE_STRING)RTL_CONSTANT_STRING(L"\\below");
	expect("a name below it", ask(device, &at, KernelMode), STATUS_OBJECT_NAME_NOT_FOUND);
	at = (IO_STACK_LOCATION){ .MajorFunction = IRP_MJ_READ, .FileObject = file };
	expect("a read", ask(device, &at, KernelMode), STATUS_INVALID_DEVICE_REQUEST);
	at.MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
	at.Parameters.DeviceIoControl.IoControlCode = UW_PEER_CONNECT + 4;
	expect("another code", ask(device, &at, KernelMode), STATUS_INVALID_DEVICE_REQUEST);
	at.Parameters.DeviceIoControl.IoControlCode = UW_PEER_CONNECT;
	expect("connecting to nothing", ask(device, &at, KernelMode), STATUS_INVALID_PARAMETER);
	at.Parameters.DeviceIoControl.Type3InputBuffer = &c;
	expect("a program connects", ask(device, &at, UserMode), STATUS_ACCESS_DENIED);
	at.FileObject = NULL;
	expect("connecting without a file", ask(device, &at, KernelMode), STATUS_INVALID_PARAMETER);
	at = (IO_STACK_LOCATION){ .MajorFunction = IRP_MJ_SYSTEM_CONTROL, .FileObject = file };
	(void)ask(device, &at, KernelMode); /* the bus's to answer */
	at = (IO_STACK_LOCATION){ .MajorFunction = IRP_MJ_POWER, .MinorFunction = IRP_MN_QUERY_POWER };
	at.Parameters.Power.Type = DevicePowerState;
	at.Parameters.Power.State.DeviceState = PowerDeviceD3;
	expect("may it sleep", ask(device, &at, KernelMode), STATUS_SUCCESS);
	at.MinorFunction = IRP_MN_SET_POWER;
	at.Parameters.Power.State.DeviceState = PowerDeviceD0;
	expect("awake as it is", ask(device, &at, KernelMode), STATUS_SUCCESS);
}

static bool ask_capabilities(DEVICE_OBJECT *device)
{
	DEVICE_CAPABILITIES caps = { .Size = sizeof(caps), .Version = 1 };
	IO_STACK_LOCATION at = { .MajorFunction = IRP_MJ_PNP, .MinorFunction = IRP_MN_QUERY_CAPABILITIES };

	at.Parameters.DeviceCapabilities.Capabilities = &caps;
	expect("capabilities", ask(device, &at, KernelMode), STATUS_SUCCESS);
	caps.Version = 7;
	caps.SurpriseRemovalOK = FALSE;
	expect("capabilities of another version", ask(device, &at, KernelMode), STATUS_UNSUCCESSFUL);
	return !caps.SurpriseRemovalOK;
}

/* Of the first device there is. */
EXPORT odd_ask_filter(void)
{
	DEVICE_OBJECT *device;
	UNICODE_STRING name;
	FILE_OBJECT *file;
	NTSTATUS status;
	WCHAR *list;

	if (!NT_SUCCESS(IoGetDeviceInterfaces(&interface_guid, NULL, 0, &list)))
		return;
	RtlInitUnicodeString(&name, list);
	status = IoGetDeviceObjectPointer(&name, FILE_READ_DATA | FILE_WRITE_DATA, &file, &device);
	ExFreePool(list);
	expect("kernel code opens it", status, STATUS_SUCCESS);
	if (!NT_SUCCESS(status))
		return;
	ask_filter(device, file);
	if (!ask_capabilities(device))
		DbgPrint("UWLAB: uwodd: an answer that failed was changed\n");
	ObDereferenceObject(file);
	DbgPrint("uwodd: asked\n");
}

/* Wine's server refuses a name below a device by itself. */
EXPORT odd_ask_driver(void)
{
	UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\UsbWarp");
	static FILE_OBJECT named;
	IO_STACK_LOCATION at = { .MajorFunction = IRP_MJ_CREATE, .FileObject = &named };
	DEVICE_OBJECT *device;
	FILE_OBJECT *file;
	NTSTATUS status = IoGetDeviceObjectPointer(&name, FILE_READ_DATA | FILE_WRITE_DATA, &file, &device);

	expect("kernel code opens UsbWarp", status, STATUS_SUCCESS);
	if (!NT_SUCCESS(status))
		return;
	named.FileName = (UNICODE_STRING)RTL_CONSTANT_STRING(L"\\below");
	expect("a name below UsbWarp", ask(device, &at, UserMode), STATUS_OBJECT_NAME_NOT_FOUND);
	ObDereferenceObject(file);
	DbgPrint("uwodd: asked\n");
}

/* ---- the driver ---- */

static NTSTATUS finish(IRP *irp, NTSTATUS status)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = 0;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

static NTSTATUS connect(IRP *irp)
{
	struct uw_peer_connect *c = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.Type3InputBuffer;

	if (connect_mode == 3)
		return finish(irp, STATUS_DEVICE_BUSY);
	c->peer = connect_mode == 2 ? NULL : &odd.peer;
	return finish(irp, STATUS_SUCCESS);
}

static VOID NTAPI on_work(DEVICE_OBJECT *device, void *context)
{
	(void)device;
	(void)context;
	nap(50);
	connect(odd.pending);
}

static NTSTATUS NTAPI on_internal(DEVICE_OBJECT *device, IRP *irp)
{
	(void)device;
	if (connect_mode != 1)
		return connect(irp);
	IoMarkIrpPending(irp);
	odd.pending = irp;
	IoQueueWorkItem(odd.work, on_work, DelayedWorkQueue, NULL);
	return STATUS_PENDING;
}

static NTSTATUS NTAPI on_file(DEVICE_OBJECT *device, IRP *irp)
{
	(void)device;
	return finish(irp, STATUS_SUCCESS);
}

static NTSTATUS NTAPI on_pnp(DEVICE_OBJECT *device, IRP *irp)
{
	UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;
	NTSTATUS status;

	if (minor == IRP_MN_START_DEVICE)
		odd_show();
	if (minor == IRP_MN_REMOVE_DEVICE)
		odd_hide();
	if (minor == IRP_MN_START_DEVICE || minor == IRP_MN_REMOVE_DEVICE || minor == IRP_MN_QUERY_REMOVE_DEVICE ||
	    minor == IRP_MN_CANCEL_REMOVE_DEVICE || minor == IRP_MN_SURPRISE_REMOVAL)
		irp->IoStatus.Status = STATUS_SUCCESS;
	IoSkipCurrentIrpStackLocation(irp);
	status = IoCallDriver(odd.lower, irp);
	if (minor == IRP_MN_REMOVE_DEVICE) {
		IoDetachDevice(odd.lower);
		RtlFreeUnicodeString(&odd.link);
		IoFreeWorkItem(odd.work);
		IoDeleteDevice(device);
	}
	return status;
}

static NTSTATUS NTAPI on_power(DEVICE_OBJECT *device, IRP *irp)
{
	(void)device;
	IoSkipCurrentIrpStackLocation(irp);
	return IoCallDriver(odd.lower, irp);
}

static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
	NTSTATUS status = IoCreateDevice(driver, 0, NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &odd.self);

	if (!NT_SUCCESS(status))
		return status;
	odd.pdo = pdo;
	odd.work = IoAllocateWorkItem(odd.self);
	KeInitializeSpinLock(&odd.lock);
	odd.peer.dev.ops = &backend;
	odd.peer.dev.speed = UW_SPEED_HIGH;
	odd.peer.dev.vendor = 0x1209;
	odd.peer.dev.product = 0x0dd0;
	odd.lower = IoAttachDeviceToDeviceStack(odd.self, pdo);
	status = odd.work && odd.lower ? IoRegisterDeviceInterface(pdo, &interface_guid, NULL, &odd.link) :
		 STATUS_INSUFFICIENT_RESOURCES;
	if (NT_SUCCESS(status))
		odd.self->Flags &= ~DO_DEVICE_INITIALIZING;
	return status;
}

static VOID NTAPI unload(DRIVER_OBJECT *driver)
{
	(void)driver;
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
	(void)path;
	driver->MajorFunction[IRP_MJ_CREATE] = on_file;
	driver->MajorFunction[IRP_MJ_CLEANUP] = on_file;
	driver->MajorFunction[IRP_MJ_CLOSE] = on_file;
	driver->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = on_internal;
	driver->MajorFunction[IRP_MJ_PNP] = on_pnp;
	driver->MajorFunction[IRP_MJ_POWER] = on_power;
	driver->DriverExtension->AddDevice = add_device;
	driver->DriverUnload = unload;
	return STATUS_SUCCESS;
}
