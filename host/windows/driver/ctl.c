// SPDX-License-Identifier: GPL-2.0-only
/*
 * What programs ask of the driver: the device controls of usbwarp/ioctl.h.
 *
 * A request is judged where it arrives, in the caller's context. What concerns a session then goes to that session's
 * thread, which alone may look at it; what waits there can be cancelled, and is when its handle is closed.
 */
#include "ctl.h"

#include "trace.h"

#define POLL_MAX 1000000000u   /* nanoseconds, as on other hosts */
#define ORPHAN_MIN 100u        /* milliseconds */
#define SPAN_MAX 3600000u      /* milliseconds */
#define REGION_MAX (64u << 20) /* a 32-bit BAR has to fit into a gap of 128 MiB */
#define RELEASE "0.1.0"

enum client_state { BLANK, GREETED, OPENING, OPEN, ENDED };

/* One handle. */
struct client {
	KSPIN_LOCK lock;           /* guards the rest */
	uint8_t state;             /* enum client_state */
	struct uw_link *link;      /* from OPEN on */
};

/* ---- handles ---- */

static struct client *client_of(IRP *irp)
{
	return IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext;
}

/* Moves on if the handle is in that state. */
static bool advance(struct client *c, enum client_state from, enum client_state to)
{
	bool may;
	KIRQL irql;

	KeAcquireSpinLock(&c->lock, &irql);
	may = c->state == from;
	if (may)
		c->state = (uint8_t)to;
	KeReleaseSpinLock(&c->lock, irql);
	return may;
}

static bool is_greeted(struct client *c)
{
	return __atomic_load_n(&c->state, __ATOMIC_RELAXED) != BLANK;
}

/* With a reference; NULL: the handle is no session. */
static struct uw_link *link_of(struct client *c)
{
	struct uw_link *link = NULL;
	KIRQL irql;

	KeAcquireSpinLock(&c->lock, &irql);
	if (c->state == OPEN) {
		link = c->link;
		uw_link_get(link);
	}
	KeReleaseSpinLock(&c->lock, irql);
	return link;
}

NTSTATUS NTAPI uw_ctl_create(DEVICE_OBJECT *device, IRP *irp)
{
	FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
	struct client *c;

	(void)device;
	if (file->FileName.Length)
		return uw_finish(irp, STATUS_OBJECT_NAME_NOT_FOUND, 0);
	c = uw_alloc(sizeof(*c));
	if (!c)
		return uw_finish(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
	KeInitializeSpinLock(&c->lock);
	file->FsContext = c;
	return uw_finish(irp, STATUS_SUCCESS, 0);
}

static void cancel_all(struct uw_queue *q, const FILE_OBJECT *file)
{
	IRP *irp;

	while ((irp = uw_queue_get_of(q, file)) != NULL)
		uw_finish(irp, STATUS_CANCELLED, 0);
}

/* The handle is closed, or about to be: its session ends by itself. Twice does no harm. */
static void end(struct client *c, const FILE_OBJECT *file)
{
	struct uw_link *link;
	KIRQL irql;

	KeAcquireSpinLock(&c->lock, &irql);
	link = c->link;
	c->link = NULL;
	c->state = ENDED;
	KeReleaseSpinLock(&c->lock, irql);
	cancel_all(&uw_driver.watches, file);
	if (!link)
		return;
	cancel_all(&link->requests, file);
	uw_link_end(link);
	uw_link_put(link);
}

NTSTATUS NTAPI uw_ctl_cleanup(DEVICE_OBJECT *device, IRP *irp)
{
	(void)device;
	end(client_of(irp), IoGetCurrentIrpStackLocation(irp)->FileObject);
	return uw_finish(irp, STATUS_SUCCESS, 0);
}

NTSTATUS NTAPI uw_ctl_close(DEVICE_OBJECT *device, IRP *irp)
{
	FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;

	(void)device;
	end(client_of(irp), file);
	uw_free(file->FsContext);
	file->FsContext = NULL;
	return uw_finish(irp, STATUS_SUCCESS, 0);
}

/* ---- what concerns no session ---- */

static bool is_zero(const uw_u8 *bytes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (bytes[i])
			return false;
	return true;
}

/* At least one zero at the end, and zeros only behind the first. */
static bool is_text(const uw_u8 *text, size_t size)
{
	size_t i;

	for (i = 0; i < size && text[i]; i++)
		;
	return i < size && is_zero(text + i, size - i);
}

static NTSTATUS do_hello(struct client *c, IRP *irp)
{
	struct uw_nt_hello *hello = irp->AssociatedIrp.SystemBuffer;

	if (!is_zero(hello->reserved, sizeof(hello->reserved)) || !is_text(hello->release, sizeof(hello->release)) ||
	    uw_get16(hello->version_min) > UW_NT_VERSION || uw_get16(hello->version_max) < UW_NT_VERSION)
		return STATUS_INVALID_PARAMETER;
	if (!advance(c, BLANK, GREETED))
		return STATUS_INVALID_DEVICE_STATE;
	RtlZeroMemory(hello, sizeof(*hello));
	hello->version_min = hello->version_max = uw_put16(UW_NT_VERSION);
	uw_copy(hello->release, RELEASE, sizeof(RELEASE));
	return STATUS_SUCCESS;
}

static bool is_open_valid(const struct uw_nt_open *o)
{
	uint32_t size = uw_get32(o->size), cooldown = uw_get32(o->breaker_cooldown), orphan = uw_get32(o->orphan);

	return is_text(o->name, sizeof(o->name)) && o->name[0] && uw_power_of_two(size) && size >= UW_REGION_MIN &&
	       size <= REGION_MAX && uw_get32(o->poll) <= POLL_MAX && cooldown && cooldown <= SPAN_MAX &&
	       uw_get32(o->burst) && orphan >= ORPHAN_MIN && orphan <= SPAN_MAX && is_zero(o->reserved, sizeof(o->reserved));
}

/* A handle that was closed meanwhile gets no session. */
static bool give_link(struct client *c, struct uw_link *link)
{
	bool open;
	KIRQL irql;

	KeAcquireSpinLock(&c->lock, &irql);
	open = c->state == OPENING;
	if (open) {
		c->link = link;
		c->state = OPEN;
	}
	KeReleaseSpinLock(&c->lock, irql);
	return open;
}

static NTSTATUS do_open(struct client *c, IRP *irp)
{
	struct uw_nt_open *o = irp->AssociatedIrp.SystemBuffer;
	struct uw_nt_opened *opened = irp->AssociatedIrp.SystemBuffer;
	struct uw_link *link;
	NTSTATUS status;

	if (!is_open_valid(o))
		return STATUS_INVALID_PARAMETER;
	if (!advance(c, GREETED, OPENING))
		return STATUS_INVALID_DEVICE_STATE;
	status = uw_link_open(o, &link);
	if (!NT_SUCCESS(status)) {
		(void)advance(c, OPENING, GREETED);
		return status;
	}
	RtlZeroMemory(opened, sizeof(*opened));
	opened->doorbell = uw_put32(link->host.layout.doorbell);
	if (give_link(c, link))
		return STATUS_SUCCESS;
	uw_link_end(link);
	uw_link_put(link);
	return STATUS_CANCELLED;
}

static NTSTATUS do_devices(struct client *c, IRP *irp)
{
	struct uw_nt_devices *list = irp->AssociatedIrp.SystemBuffer;

	(void)c;
	RtlZeroMemory(list, sizeof(*list));
	list->generation = uw_put32((uint32_t)uw_driver.generation);
	uw_devs_list(list);
	return STATUS_SUCCESS;
}

/* ---- changes ---- */

/* Requests wait for &uw_driver.generation to differ from the one they name. */
static void tell_watchers(void)
{
	struct uw_wait stale = { (const void *)&uw_driver.generation, 0 };
	struct uw_nt_watch *watch;
	uint32_t now;
	IRP *irp;

	for (;;) {
		now = (uint32_t)uw_driver.generation;
		stale.what = now;
		irp = uw_queue_get_other(&uw_driver.watches, &stale);
		if (!irp)
			return;
		watch = irp->AssociatedIrp.SystemBuffer;
		watch->generation = uw_put32(now);
		uw_finish(irp, STATUS_SUCCESS, sizeof(*watch));
	}
}

void uw_ctl_changed(void)
{
	InterlockedIncrement(&uw_driver.generation);
	tell_watchers();
}

/* A change that came between is seen by the second look, and so is the end of the handle, to whose object the request no
 * longer keeps a reference once it has been put. */
static NTSTATUS do_watch(struct client *c, IRP *irp)
{
	FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
	const struct uw_nt_watch *watch = irp->AssociatedIrp.SystemBuffer;
	struct uw_wait wait = { (const void *)&uw_driver.generation, uw_get32(watch->generation) };
	NTSTATUS status = STATUS_CANCELLED;

	if (!is_zero(watch->reserved, sizeof(watch->reserved)))
		return STATUS_INVALID_PARAMETER;
	ObReferenceObject(file);
	if (uw_queue_put(&uw_driver.watches, irp, &wait))
		status = STATUS_PENDING;
	tell_watchers();
	if (__atomic_load_n(&c->state, __ATOMIC_RELAXED) == ENDED)
		cancel_all(&uw_driver.watches, file);
	ObDereferenceObject(file);
	return status;
}

/* ---- what concerns a session: judged here, carried out by its thread ---- */

static bool is_present_valid(const struct uw_link *l, const void *body)
{
	const struct uw_nt_present *p = body;

	(void)l;
	return p->present <= 1 && is_zero(p->reserved, sizeof(p->reserved));
}

static bool is_attach_valid(const struct uw_link *l, const void *body)
{
	const struct uw_nt_attach *a = body;
	uint32_t units;

	for (units = 0; units < UW_NT_LINK && uw_get16(a->link[units]); units++)
		;
	return units && units < UW_NT_LINK && is_zero((const uw_u8 *)&a->link[units], 2 * (UW_NT_LINK - units)) &&
	       a->port <= uw_layout_ports(&l->host.layout) && is_zero(a->reserved, sizeof(a->reserved));
}

static bool is_stats_valid(const struct uw_link *l, const void *body)
{
	const struct uw_nt_port *p = body;

	return p->port <= uw_layout_ports(&l->host.layout) && is_zero(p->reserved, sizeof(p->reserved));
}

static bool is_detach_valid(const struct uw_link *l, const void *body)
{
	return ((const struct uw_nt_port *)body)->port && is_stats_valid(l, body);
}

static void do_present(struct uw_link *l, IRP *irp)
{
	const struct uw_nt_present *p = irp->AssociatedIrp.SystemBuffer;

	uw_host_link(&l->host, p->present, l->now);
	uw_finish(irp, STATUS_SUCCESS, 0);
	uw_ctl_changed();
}

/* Puts the request where its end will find it. */
static bool wait_for(struct uw_link *l, IRP *irp, const void *on, ULONG_PTR what)
{
	const struct uw_wait wait = { on, what };

	if (uw_queue_put(&l->requests, irp, &wait))
		return true;
	uw_finish(irp, STATUS_CANCELLED, 0);
	return false;
}

static void put_attached(const struct uw_link *l, const struct uw_dev *dev, IRP *irp, enum uw_ctl_status status)
{
	struct uw_nt_attached *attached = irp->AssociatedIrp.SystemBuffer;

	(void)l;
	RtlZeroMemory(attached, sizeof(*attached));
	attached->status = uw_put16((uint16_t)status);
	attached->port = status == UW_CTL_OK ? dev->port : 0;
	uw_finish(irp, STATUS_SUCCESS, sizeof(*attached));
}

static void do_attach(struct uw_link *l, IRP *irp)
{
	struct uw_dev *dev;
	enum uw_ctl_status status = uw_dev_bind(l, irp->AssociatedIrp.SystemBuffer, &dev);

	/* The answer comes through this thread, so it cannot come before the request waits for it. */
	if (status != UW_CTL_OK)
		put_attached(l, NULL, irp, status);
	else
		(void)wait_for(l, irp, dev, UW_NT_ATTACH);
}

bool uw_ctl_attached(struct uw_link *l, struct uw_dev *dev, enum uw_ctl_status status)
{
	const struct uw_wait wait = { dev, UW_NT_ATTACH };
	IRP *irp = uw_queue_get(&l->requests, &wait);

	if (irp)
		put_attached(l, dev, irp, status);
	return irp != NULL;
}

static void do_detach(struct uw_link *l, IRP *irp)
{
	const struct uw_nt_port *p = irp->AssociatedIrp.SystemBuffer;
	struct uw_dev *dev = l->devs[p->port];

	if (!dev)
		uw_finish(irp, STATUS_INVALID_DEVICE_STATE, 0);
	else if (wait_for(l, irp, dev, UW_NT_DETACH))
		uw_dev_let_go(dev);
}

void uw_ctl_detached(struct uw_link *l, struct uw_dev *dev)
{
	const struct uw_wait wait = { dev, UW_NT_DETACH };
	IRP *irp;

	(void)uw_ctl_attached(l, dev, UW_CTL_FAILED);
	while ((irp = uw_queue_get(&l->requests, &wait)) != NULL)
		uw_finish(irp, STATUS_SUCCESS, 0);
}

static void do_stop(struct uw_link *l, IRP *irp)
{
	uw_host_stop(&l->host, l->now);
	if (wait_for(l, irp, l, UW_NT_STOP))
		uw_ctl_stopped(l);
}

void uw_ctl_stopped(struct uw_link *l)
{
	const struct uw_wait wait = { l, UW_NT_STOP };
	IRP *irp;

	if (!uw_host_stopped(&l->host))
		return;
	while ((irp = uw_queue_get(&l->requests, &wait)) != NULL)
		uw_finish(irp, STATUS_SUCCESS, 0);
}

static void put_port(const struct uw_link *l, uint32_t port, struct uw_nt_port_status *s)
{
	const struct uw_host_port *p = &l->host.ports[port];
	const struct uw_dev *dev = l->devs[port];

	if (!dev)
		return;
	s->transfers = uw_put32(p->active);
	s->failures = uw_put32(p->breaker.failures);
	s->state = dev->state;
	s->speed = dev->peer->dev.speed;
	s->breaker = p->breaker.state;
}

static void do_status(struct uw_link *l, IRP *irp)
{
	struct uw_nt_status *s = irp->AssociatedIrp.SystemBuffer;
	const struct uw_host *h = &l->host;
	uint32_t port;

	RtlZeroMemory(s, sizeof(*s));
	if (h->phase == UW_PHASE_RUN)
		uw_copy(s->guest, h->guest_name, UW_CTL_NAME - 1);
	s->features = uw_put64(h->features);
	s->size = uw_put32(h->layout.size);
	s->epoch = uw_put32(h->epoch);
	s->incarnation = uw_put32(h->incarnation);
	s->transfers = uw_put32(h->active);
	s->transfers_max = uw_put32(h->layout.transfers);
	s->generation = uw_put32((uint32_t)uw_driver.generation);
	s->phase = h->phase;
	s->present = h->present;
	s->usb2_ports = h->layout.usb2_ports;
	s->usb3_ports = h->layout.usb3_ports;
	for (port = 1; port <= uw_layout_ports(&h->layout); port++)
		put_port(l, port, &s->ports[port - 1]);
	uw_finish(irp, STATUS_SUCCESS, sizeof(*s));
}

_Static_assert(UW_STAT_COUNT <= UW_CTL_VALUES_MAX, "a record holds all counters");

static void do_stats(struct uw_link *l, IRP *irp)
{
	uint8_t port = ((const struct uw_nt_port *)irp->AssociatedIrp.SystemBuffer)->port;
	const struct uw_counters *counters = port ? &l->host.ports[port].counters : &l->host.counters;
	const struct uw_histogram *latency = port ? &l->host.ports[port].latency : &l->host.latency;
	struct uw_nt_stats *s = irp->AssociatedIrp.SystemBuffer;
	uint32_t i;

	RtlZeroMemory(s, sizeof(*s));
	s->samples = uw_put64(uw_histogram_total(latency));
	s->p50 = uw_put64(uw_histogram_at(latency, 500));
	s->p90 = uw_put64(uw_histogram_at(latency, 900));
	s->p99 = uw_put64(uw_histogram_at(latency, 990));
	s->max = uw_put64(uw_histogram_at(latency, 1000));
	s->count = uw_put32(UW_STAT_COUNT);
	for (i = 0; i < UW_STAT_COUNT; i++)
		s->value[i] = uw_put64(counters->value[i]);
	uw_finish(irp, STATUS_SUCCESS, sizeof(*s));
}

/* ---- dispatch ---- */

#define SIZE(type) sizeof(struct uw_nt_##type)

static const struct control {
	ULONG code, in, out;
	NTSTATUS (*here)(struct client *c, IRP *irp);          /* carried out at once; or else */
	bool (*valid)(const struct uw_link *l, const void *body); /* NULL: nothing to check */
	void (*there)(struct uw_link *l, IRP *irp);            /* carried out by the session's thread */
} controls[] = {
	{ UW_NT_HELLO, SIZE(hello), SIZE(hello), do_hello, NULL, NULL },
	{ UW_NT_OPEN, SIZE(open), SIZE(opened), do_open, NULL, NULL },
	{ UW_NT_PRESENT, SIZE(present), 0, NULL, is_present_valid, do_present },
	{ UW_NT_ATTACH, SIZE(attach), SIZE(attached), NULL, is_attach_valid, do_attach },
	{ UW_NT_DETACH, SIZE(port), 0, NULL, is_detach_valid, do_detach },
	{ UW_NT_WATCH, SIZE(watch), SIZE(watch), do_watch, NULL, NULL },
	{ UW_NT_STATUS, 0, SIZE(status), NULL, NULL, do_status },
	{ UW_NT_STATS, SIZE(port), SIZE(stats), NULL, is_stats_valid, do_stats },
	{ UW_NT_STOP, 0, 0, NULL, NULL, do_stop },
	{ UW_NT_DEVICES, 0, SIZE(devices), do_devices, NULL, NULL },
};

static const struct control *find(ULONG code)
{
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(controls); i++)
		if (controls[i].code == code)
			return &controls[i];
	return NULL;
}

void uw_ctl_serve(struct uw_link *l, IRP *irp)
{
	const struct control *control = find(IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode);

	if (l->ending)
		uw_finish(irp, STATUS_CANCELLED, 0);
	else
		control->there(l, irp);
}

/* STATUS_PENDING: the request is somebody else's by now. */
static NTSTATUS ask_session(const struct control *control, struct client *c, IRP *irp)
{
	struct uw_link *link = link_of(c);
	NTSTATUS status = STATUS_INVALID_PARAMETER;

	if (!link)
		return uw_finish(irp, STATUS_INVALID_DEVICE_STATE, 0);
	if (!control->valid || control->valid(link, irp->AssociatedIrp.SystemBuffer))
		status = uw_link_ask(link, irp);
	else
		uw_finish(irp, status, 0);
	uw_link_put(link);
	return status;
}

NTSTATUS NTAPI uw_ctl_control(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);
	const struct control *control = find(at->Parameters.DeviceIoControl.IoControlCode);
	struct client *c = client_of(irp);
	NTSTATUS status;

	(void)device;
	if (!control)
		return uw_finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
	if (at->Parameters.DeviceIoControl.InputBufferLength != control->in ||
	    at->Parameters.DeviceIoControl.OutputBufferLength != control->out)
		return uw_finish(irp, STATUS_INVALID_BUFFER_SIZE, 0);
	if (control->code != UW_NT_HELLO && !is_greeted(c))
		return uw_finish(irp, STATUS_INVALID_DEVICE_STATE, 0);
	if (!control->here)
		return ask_session(control, c, irp);
	status = control->here(c, irp);
	if (status == STATUS_PENDING)
		return status;
	return uw_finish(irp, status, NT_SUCCESS(status) ? control->out : 0);
}
