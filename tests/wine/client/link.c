/* SPDX-License-Identifier: GPL-2.0-only */
/* The owner's side of host/windows/peer.h, as UsbWarp.sys has it, with a count of every answer. */
#include <initguid.h>

#include "client.h"

#include "usbwarp/ioctl.h"

#define GUID_OF(name, guid) DEFINE_GUID(name, guid)
GUID_OF(interface_guid, UW_NT_INTERFACE);

volatile LONG uwc_transfers;
volatile LONG64 uwc_bytes, uwc_copied;

static struct link *link_of(struct uw_device *dev) { return dev->owner; }

/* ---- what the device calls ---- */

static uint64_t now(struct uw_device *dev)
{
	LARGE_INTEGER frequency, ticks = KeQueryPerformanceCounter(&frequency);
	uint64_t f = (uint64_t)frequency.QuadPart, t = (uint64_t)ticks.QuadPart;

	(void)dev;
	return t / f * 1000000000u + t % f * 1000000000u / f;
}

static void arm(struct uw_device *dev, uint64_t when)
{
	(void)dev;
	(void)when;
	VIOLATION("arm is not used between the drivers\n");
}

static void check_call(struct link *l, const char *what)
{
	if (!l->open)
		VIOLATION("%s of a device that is not open\n", what);
	if (KeGetCurrentIrql() > DISPATCH_LEVEL)
		VIOLATION("%s at IRQL %u\n", what, KeGetCurrentIrql());
}

static void complete(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct request *r = UW_CONTAINER(io, struct request, io);
	struct link *l = link_of(dev);

	check_call(l, "complete");
	if (InterlockedExchange(&r->out, 0) != 1)
		VIOLATION("request %u answered once more, with status %u\n", (uint32_t)(r - l->request), io->status);
	if (io->status >= UW_ST_COUNT)
		VIOLATION("status %u\n", io->status);
	if (io->verb == UW_VERB_SUBMIT && io->actual > io->length)
		VIOLATION("%u bytes of %u\n", io->actual, io->length);
	InterlockedIncrement(&uwc_transfers);
	InterlockedExchangeAdd64(&uwc_bytes, io->actual);
	InterlockedExchangeAdd64(&uwc_copied, io->copied);
	InterlockedDecrement(&l->out);
	KeSetEvent(&r->done, IO_NO_INCREMENT, FALSE);
}

static void gone(struct uw_device *dev)
{
	struct link *l = link_of(dev);

	check_call(l, "gone");
	if (InterlockedIncrement(&l->gone) != 1)
		VIOLATION("gone twice\n");
}

static void wakeup(struct uw_device *dev)
{
	check_call(link_of(dev), "wakeup");
}

static void lost_power(struct uw_device *dev)
{
	check_call(link_of(dev), "lost_power");
	InterlockedIncrement(&link_of(dev)->lost_power);
}

static const struct uw_device_host host = {
	.now = now, .arm = arm, .complete = complete, .gone = gone, .wakeup = wakeup,
};

/* ---- finding and connecting ---- */

NTSTATUS uwc_find(FILE_OBJECT **file, DEVICE_OBJECT **device)
{
	UNICODE_STRING name;
	WCHAR *list;
	NTSTATUS status;

	status = IoGetDeviceInterfaces(&interface_guid, NULL, 0, &list);
	if (!NT_SUCCESS(status))
		return status;
	status = STATUS_NO_SUCH_DEVICE;
	if (list[0]) {
		RtlInitUnicodeString(&name, list);
		status = IoGetDeviceObjectPointer(&name, FILE_READ_DATA | FILE_WRITE_DATA, file, device);
	}
	ExFreePool(list);
	return status;
}

NTSTATUS uwc_connect(DEVICE_OBJECT *device, FILE_OBJECT *file, uint32_t size, uint32_t version, struct uw_peer **peer)
{
	struct uw_peer_connect c = { .size = size, .version = version };
	IO_STATUS_BLOCK io;
	KEVENT event;
	IRP *irp;
	NTSTATUS status;

	KeInitializeEvent(&event, NotificationEvent, FALSE);
	irp = IoBuildDeviceIoControlRequest(UW_PEER_CONNECT, device, &c, sizeof(c), NULL, 0, TRUE, &event, &io);
	if (!irp)
		return STATUS_INSUFFICIENT_RESOURCES;
	IoGetNextIrpStackLocation(irp)->FileObject = file;
	status = IoCallDriver(device, irp);
	if (status == STATUS_PENDING) {
		KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
		status = io.Status;
	}
	*peer = c.peer;
	return status;
}

static bool make_region(struct link *l)
{
	l->region = ExAllocatePoolWithTag(NonPagedPoolNx, REGION, UWC_TAG);
	if (!l->region)
		return false;
	uw_zero(l->region, REGION);
	l->mdl = IoAllocateMdl(l->region, REGION, FALSE, FALSE, NULL);
	if (!l->mdl)
		return false;
	MmBuildMdlForNonPagedPool(l->mdl);
	return true;
}

void uwc_link_free(struct link *l)
{
	if (l->file)
		ObDereferenceObject(l->file);
	if (l->mdl)
		IoFreeMdl(l->mdl);
	if (l->region)
		ExFreePoolWithTag(l->region, UWC_TAG);
	ExFreePoolWithTag(l, UWC_TAG);
}

struct link *uwc_link_new(NTSTATUS *status)
{
	struct link *l = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*l), UWC_TAG);
	uint32_t i;

	*status = STATUS_INSUFFICIENT_RESOURCES;
	if (!l)
		return NULL;
	uw_zero(l, sizeof(*l));
	KeInitializeEvent(&l->turn, SynchronizationEvent, TRUE);
	for (i = 0; i < REQUESTS; i++) {
		l->request[i].link = l;
		KeInitializeEvent(&l->request[i].done, NotificationEvent, FALSE);
	}
	if (make_region(l))
		*status = uwc_find(&l->file, &l->device);
	if (NT_SUCCESS(*status))
		*status = uwc_connect(l->device, l->file, sizeof(struct uw_peer_connect), UW_PEER_VERSION, &l->peer);
	if (NT_SUCCESS(*status))
		return l;
	uwc_link_free(l);
	return NULL;
}

/* ---- what the device is asked ---- */

uint32_t uwc_open(struct link *l)
{
	struct uw_peer *p = l->peer;
	uint32_t status;

	p->dev.host = &host;
	p->dev.owner = l;
	p->mdl = l->mdl;
	p->base = l->region;
	p->size = REGION;
	p->lost_power = lost_power;
	l->gone = l->lost_power = l->stop = 0;
	InterlockedExchange(&l->open, 1);
	status = (uint32_t)p->dev.ops->open(&p->dev);
	if (status != UW_ST_OK)
		InterlockedExchange(&l->open, 0);
	return status;
}

void uwc_close(struct link *l)
{
	uint32_t i;

	l->peer->dev.ops->close(&l->peer->dev);
	InterlockedExchange(&l->open, 0);
	if (l->out)
		VIOLATION("close left %d unanswered\n", (int)l->out);
	for (i = 0; i < REQUESTS; i++)
		if (l->request[i].out)
			VIOLATION("request %u is unanswered\n", i);
}

struct request *uwc_request(struct link *l, uint32_t n)
{
	struct request *r = &l->request[n];

	uw_zero(&r->io, sizeof(r->io));
	uw_list_init(&r->io.node);
	r->io.data = l->region;
	return r;
}

static void call(struct link *l, struct uw_transfer_io *io, bool cancel)
{
	KIRQL irql = PASSIVE_LEVEL;

	KeWaitForSingleObject(&l->turn, Executive, KernelMode, FALSE, NULL);
	if (l->raised)
		KeRaiseIrql(DISPATCH_LEVEL, &irql);
	if (cancel)
		l->peer->dev.ops->cancel(&l->peer->dev, io);
	else
		uw_device_begin(&l->peer->dev, io);
	if (l->raised)
		KeLowerIrql(irql);
	KeSetEvent(&l->turn, IO_NO_INCREMENT, FALSE);
}

void uwc_go(struct request *r)
{
	KeClearEvent(&r->done);
	if (InterlockedExchange(&r->out, 1))
		VIOLATION("request used while it is out\n");
	InterlockedIncrement(&r->link->out);
	call(r->link, &r->io, false);
}

/* As a session does: not after it has seen the answer, but perhaps after the answer was given. */
void uwc_cancel(struct request *r)
{
	call(r->link, &r->io, true);
}

bool uwc_wait(struct request *r)
{
	LARGE_INTEGER time;

	time.QuadPart = -(LONGLONG)PATIENCE * 10000;
	return KeWaitForSingleObject(&r->done, Executive, KernelMode, FALSE, &time) == STATUS_SUCCESS;
}

uint32_t uwc_verb(struct link *l, uint8_t verb, uint16_t arg0, uint16_t arg1)
{
	struct request *r = uwc_request(l, REQUESTS - 1);

	r->io.verb = verb;
	r->io.arg[0] = arg0;
	r->io.arg[1] = arg1;
	uwc_go(r);
	return uwc_wait(r) ? r->io.status : UW_ST_COUNT;
}

uint32_t uwc_control(struct link *l, uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint16_t length,
		     uint32_t *actual)
{
	const uint8_t setup[8] = { type, request, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index,
				   (uint8_t)(index >> 8), (uint8_t)length, (uint8_t)(length >> 8) };
	struct request *r = uwc_request(l, REQUESTS - 2);

	uw_copy(r->io.setup, setup, sizeof(setup));
	r->io.endpoint = type & 0x80;
	r->io.length = length;
	uwc_go(r);
	if (!uwc_wait(r))
		return UW_ST_COUNT;
	if (actual)
		*actual = r->io.actual;
	return r->io.status;
}

struct request *uwc_data(struct link *l, uint32_t n, uint8_t endpoint, uint32_t at, uint32_t length, uint8_t flags)
{
	struct request *r = uwc_request(l, n);

	r->io.type = UW_BULK;
	r->io.endpoint = endpoint;
	r->io.data = l->region + at;
	r->io.length = length;
	r->io.flags = flags;
	return r;
}

struct request *uwc_iso(struct link *l, uint32_t n, uint8_t endpoint, uint32_t at, uint32_t packets, uint32_t length,
			uint32_t stride)
{
	struct request *r = uwc_request(l, n);
	uint32_t i;

	r->io.type = UW_ISOCH;
	r->io.endpoint = endpoint;
	r->io.data = l->region + at;
	r->io.length = packets * stride;
	r->io.interval = 8;
	r->io.packets = (uint16_t)packets;
	r->io.iso = r->iso;
	for (i = 0; i < packets; i++)
		r->iso[i] = (struct uw_iso){ .offset = i * stride, .length = length, .status = UW_ST_OK };
	return r;
}

uint32_t uwc_random(struct link *l)
{
	l->seed = l->seed * 1664525u + 1013904223u;
	return l->seed >> 8;
}

void uwc_sleep(uint32_t ms)
{
	LARGE_INTEGER time;

	time.QuadPart = -(LONGLONG)ms * 10000;
	KeDelayExecutionThread(KernelMode, FALSE, &time);
}
