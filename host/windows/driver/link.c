// SPDX-License-Identifier: GPL-2.0-only
/*
 * One VM as this driver sees it: the region, the session in it, and the thread that alone touches the session.
 *
 *              a kick, an answer, a request                      nothing for poll ns, wake index published
 *   asleep -------------------------------------> awake: polls ---------------------------------------> asleep
 *
 * Whatever comes from elsewhere comes by one of three ways: transfers by an atomic list, requests by their queue, the rest
 * by a bit in look. Each producer publishes first and then reads asleep; the thread sets asleep first and then looks at all
 * three (P): so one of them sees the other, and an event is set only for a thread that sleeps.
 *
 * The link lives until its last device has been let go, which needs the device's close to have returned. So nothing that a
 * device may still reach goes before, and closing the handle waits for no hardware.
 */
#include <ntifs.h>

#include "link.h"

#include "ctl.h"
#include "dev.h"
#include "layout.h"
#include "trace.h"

#define BUDGET 64u       /* messages read before devices and requests get a turn */
#define LINKS_MAX 64u
#define DOORBELL (1u << 16) /* any value does for HDV; this one also addresses an ivshmem server's peer 1 */
#define PRIORITY 2       /* above what people run, and below real time: a thread that polls must not starve a system */

/* ---- from any context ---- */

void uw_link_put(struct uw_link *l)
{
	if (!InterlockedDecrement(&l->refs))
		uw_free(l);
}

static void wake(struct uw_link *l)
{
	uw_fence(); /* P */
	if (__atomic_load_n(&l->asleep, __ATOMIC_RELAXED))
		KeSetEvent(&l->wake, IO_NO_INCREMENT, FALSE);
}

void uw_link_look(struct uw_link *l, LONG what)
{
	InterlockedOr(&l->look, what);
	wake(l);
}

void uw_link_complete(struct uw_link *l, struct uw_transfer_io *io)
{
	struct uw_list *first = __atomic_load_n(&l->completed, __ATOMIC_RELAXED);

	do {
		io->node.next = first;
	} while (!__atomic_compare_exchange_n(&l->completed, &first, &io->node, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	wake(l);
}

static const struct uw_wait fresh = { &fresh, 0 };

NTSTATUS uw_link_ask(struct uw_link *l, IRP *irp)
{
	if (!uw_queue_put(&l->requests, irp, &fresh))
		return uw_finish(irp, STATUS_CANCELLED, 0);
	uw_link_look(l, UW_LOOK_REQUESTS);
	return STATUS_PENDING;
}

void uw_link_end(struct uw_link *l)
{
	uw_link_look(l, UW_LOOK_END);
}

/* ---- the thread: what comes in ---- */

uint32_t uw_link_reap(struct uw_link *l)
{
	struct uw_list *node, *next, *oldest = NULL;
	struct uw_transfer_io *io;
	uint32_t count = 0;

	if (!__atomic_load_n(&l->completed, __ATOMIC_RELAXED))
		return 0;
	for (node = __atomic_exchange_n(&l->completed, NULL, __ATOMIC_ACQUIRE); node; node = next) {
		next = node->next;
		node->next = oldest;
		oldest = node;
	}
	for (node = oldest; node; node = next, count++) {
		next = node->next;
		io = UW_CONTAINER(node, struct uw_transfer_io, node);
		uw_trace_transfer(l, io);
		uw_host_complete(&l->host, uw_xfer_of(io), l->now);
	}
	return count;
}

static void begin_end(struct uw_link *l)
{
	l->ending = true;
	uw_host_stop(&l->host, l->now);
	uw_devs_let_go(l);
}

/* Number of things that came. */
static uint32_t take(struct uw_link *l)
{
	LONG look = __atomic_load_n(&l->look, __ATOMIC_RELAXED) ? InterlockedExchange(&l->look, 0) : 0;
	uint32_t count = look != 0;
	IRP *irp;

	if (look & UW_LOOK_DEVICES)
		uw_devs_news(l);
	count += uw_link_reap(l);
	if (look & UW_LOOK_REQUESTS)
		while ((irp = uw_queue_get(&l->requests, &fresh)) != NULL)
			uw_ctl_serve(l, irp);
	if ((look & UW_LOOK_END) && !l->ending)
		begin_end(l);
	return count;
}

/* ---- the thread: what goes out ---- */

static void act(struct uw_link *l, const struct uw_action *action)
{
	struct uw_dev *dev = l->devs[action->port];

	switch (action->kind) {
	case UW_ACT_VERB:
		uw_dev_verb(dev, &action->xfer->io);
		break;
	case UW_ACT_CANCEL:
		uw_dev_cancel(dev, &action->xfer->io);
		break;
	case UW_ACT_CLOSE:
		uw_dev_suspend_binding(dev);
		break;
	default:
		uw_dev_resume_binding(dev);
		break;
	}
}

/* Number of things that happened. */
static uint32_t serve(struct uw_link *l)
{
	uint32_t count = uw_host_poll(&l->host, l->now, BUDGET);
	struct uw_action action;

	while (uw_host_next(&l->host, &action, l->now)) {
		act(l, &action);
		count++;
	}
	if (uw_host_kick(&l->host))
		KeSetEvent(l->interrupt, EVENT_INCREMENT, FALSE);
	return count;
}

/* What people are told of without asking. */
static void tell_changes(struct uw_link *l)
{
	const struct uw_counters *c = &l->host.counters;
	uint64_t breakers = c->value[UW_STAT_breaker_opened];
	uint64_t faults = c->value[UW_STAT_bad_tags] + c->value[UW_STAT_lies];

	if (faults != l->told_faults)
		uw_trace_fault(l, c->value[UW_STAT_bad_tags], c->value[UW_STAT_lies]);
	l->told_faults = faults;
	if (l->host.phase == l->told_phase && breakers == l->told_breakers)
		return;
	l->told_phase = l->host.phase;
	l->told_breakers = breakers;
	uw_ctl_stopped(l);
	uw_ctl_changed();
}

/* ---- the thread: when ---- */

/* Something happened: polling so far has paid, and may go on. */
static void poll_on(struct uw_link *l)
{
	if (l->polling)
		uw_spin_end(&l->spin, true);
	l->polling = l->poll && uw_spin_begin(&l->spin);
	l->awake_until = l->now + (l->polling ? l->poll : 0);
}

static bool nothing_came(struct uw_link *l)
{
	uw_fence(); /* P */
	return !__atomic_load_n(&l->look, __ATOMIC_RELAXED) && !__atomic_load_n(&l->completed, __ATOMIC_RELAXED);
}

/* In hundreds of nanoseconds from now, rounded up; negative means just that. */
static LARGE_INTEGER span(uint64_t from, uint64_t to)
{
	LARGE_INTEGER span;

	span.QuadPart = to > from ? -(LONGLONG)((to - from + 99) / 100) : 0;
	return span;
}

static void sleep(struct uw_link *l)
{
	uint64_t until = uw_host_deadline(&l->host, l->now);
	LARGE_INTEGER timeout = span(l->now, until);
	void *on[] = { l->doorbell, &l->wake };

	__atomic_store_n(&l->asleep, 1, __ATOMIC_RELAXED);
	if (nothing_came(l) && KeWaitForMultipleObjects(2, on, WaitAny, Executive, KernelMode, FALSE,
							until == UW_NEVER ? NULL : &timeout, NULL) == STATUS_WAIT_0) {
		/* The service's event may turn out to be one that does not reset itself. The kick that a reset takes away
		 * came before the look at the ring that follows. */
		KeClearEvent(l->doorbell);
		UW_COUNT(&l->host.counters, wakeups, 1);
		l->dirty = true;
	}
	__atomic_store_n(&l->asleep, 0, __ATOMIC_RELAXED);
}

static void turn(struct uw_link *l)
{
	uint32_t count = l->dirty;

	l->now = uw_now();
	l->dirty = false;
	count += take(l);
	count += serve(l);
	if (count) {
		tell_changes(l);
		poll_on(l);
	} else if (l->now < l->awake_until) {
		YieldProcessor();
	} else {
		if (l->polling)
			uw_spin_end(&l->spin, false);
		l->polling = false;
		tell_changes(l);
		if (uw_host_sleep(&l->host))
			sleep(l);
	}
}

static bool over(const struct uw_link *l)
{
	return l->ending && uw_host_stopped(&l->host) && uw_list_empty(&l->bound);
}

/* ---- the end ---- */

/* What the thread used, and nobody else can reach any more. */
static void release(struct uw_link *l)
{
	uw_region_close(&l->region);
	if (l->doorbell)
		ObDereferenceObject(l->doorbell);
	if (l->interrupt)
		ObDereferenceObject(l->interrupt);
	uw_free(l->memory.xfers);
	uw_free(l->memory.isos);
	uw_free(l->memory.iso_free);
}

/* The place among LINKS_MAX, taken by enter. */
static void leave(struct uw_link *l)
{
	uw_lock();
	uw_list_del(&l->node);
	uw_driver.links_count--;
	uw_unlock();
	uw_user_put();
}

/* A thread cannot wait for its own end, and the driver must not be unloaded before. */
static void NTAPI reap(DEVICE_OBJECT *device, void *context)
{
	struct uw_link *l = context;

	(void)device;
	(void)ZwWaitForSingleObject(l->thread, FALSE, NULL);
	ZwClose(l->thread);
	IoFreeWorkItem(l->reaper);
	leave(l);
	uw_link_put(l);
}

static void NTAPI run(void *context)
{
	LONG priority = PRIORITY;
	struct uw_link *l = context;
	IRP *irp;

	KeWaitForSingleObject(&l->begun, Executive, KernelMode, FALSE, NULL);
	(void)ZwSetInformationThread(ZwCurrentThread(), ThreadBasePriority, &priority, sizeof(priority));
	while (!over(l))
		turn(l);
	uw_queue_close(&l->requests);
	while ((irp = uw_queue_get(&l->requests, &(struct uw_wait){ NULL, 0 })) != NULL)
		uw_finish(irp, STATUS_CANCELLED, 0);
	uw_trace_session(l, false);
	release(l);
	uw_ctl_changed();
	IoQueueWorkItem(l->reaper, reap, DelayedWorkQueue, l);
	PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- the beginning ---- */

static NTSTATUS enter(struct uw_link *l)
{
	NTSTATUS status = STATUS_SUCCESS;

	uw_lock();
	if (uw_driver.stopping)
		status = STATUS_DELETE_PENDING;
	else if (uw_driver.links_count == LINKS_MAX)
		status = STATUS_TOO_MANY_SESSIONS;
	if (NT_SUCCESS(status)) {
		uw_driver.links_count++;
		uw_list_add(&uw_driver.links, &l->node);
		uw_user_get();
	}
	uw_unlock();
	return status;
}

static NTSTATUS take_event(uint64_t handle, KEVENT **event)
{
	/* mingw declares the variable with one pointer too many for an imported one. */
	NTSTATUS status = ObReferenceObjectByHandle((HANDLE)handle, EVENT_MODIFY_STATE | SYNCHRONIZE,
						    (POBJECT_TYPE)ExEventObjectType, UserMode, (void **)event, NULL);

	if (!NT_SUCCESS(status))
		*event = NULL;
	return status;
}

static bool allocate(struct uw_link *l, const struct uw_layout *layout)
{
	l->memory.region = l->region.base;
	l->memory.xfers = uw_alloc(layout->transfers * sizeof(*l->memory.xfers));
	l->memory.isos = uw_alloc((size_t)layout->isoch_max * layout->packets_max * sizeof(*l->memory.isos));
	l->memory.iso_free = uw_alloc(layout->isoch_max * sizeof(*l->memory.iso_free));
	return l->memory.xfers && l->memory.isos && l->memory.iso_free;
}

static void set_limits(struct uw_host_limits *limits, const struct uw_nt_open *o)
{
	uw_host_limits_default(limits);
	limits->breaker.threshold = uw_get32(o->breaker_threshold);
	limits->breaker.cooldown = uw_get32(o->breaker_cooldown) * UW_MS;
	limits->bucket.rate = uw_get32(o->rate);
	limits->bucket.burst = uw_get32(o->burst);
	limits->orphan = uw_get32(o->orphan) * UW_MS;
}

/*
 * Whether a device can have streams its own driver learns when it starts, and what a guest is offered is settled before any
 * device is there. So the offer goes by what UsbWarpFilter.sys is built for, and a device answers for itself: one whose
 * controller has no streams refuses them. WINDOWS.md says what that does to a guest. UW_STREAMS is set by the build.
 */
static void set_layout(struct uw_layout *layout, uint32_t size)
{
	uw_layout_default(layout, size);
	if (!UW_STREAMS)
		layout->features &= ~UW_FEATURE_STREAMS;
	layout->link = UW_LINK_DOORBELL | UW_LINK_INTERRUPT;
	layout->doorbell = DOORBELL;
}

static NTSTATUS make_session(struct uw_link *l, const struct uw_nt_open *o)
{
	struct uw_host_limits limits;
	struct uw_layout layout;
	NTSTATUS status = uw_region_open(&l->region, (HANDLE)uw_get64(o->section), uw_get32(o->size));

	if (NT_SUCCESS(status))
		status = take_event(uw_get64(o->doorbell), &l->doorbell);
	if (NT_SUCCESS(status))
		status = take_event(uw_get64(o->interrupt), &l->interrupt);
	if (!NT_SUCCESS(status))
		return status;
	set_layout(&layout, l->region.size);
	set_limits(&limits, o);
	if (!allocate(l, &layout))
		return STATUS_INSUFFICIENT_RESOURCES;
	l->now = uw_now();
	uw_host_init(&l->host, &layout, &limits, &l->memory, "UsbWarp.sys", uw_get32(o->epoch), l->now);
	l->told_phase = l->host.phase;
	return STATUS_SUCCESS;
}

static NTSTATUS start(struct uw_link *l)
{
	OBJECT_ATTRIBUTES attributes;
	NTSTATUS status;

	l->reaper = IoAllocateWorkItem(uw_driver.device);
	if (!l->reaper)
		return STATUS_INSUFFICIENT_RESOURCES;
	InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
	status = PsCreateSystemThread(&l->thread, SYNCHRONIZE, &attributes, NULL, NULL, run, l);
	if (NT_SUCCESS(status))
		KeSetEvent(&l->begun, IO_NO_INCREMENT, FALSE);
	else
		IoFreeWorkItem(l->reaper);
	return status;
}

static void init(struct uw_link *l, const struct uw_nt_open *o)
{
	l->refs = 2; /* the caller's and the thread's */
	l->poll = uw_get32(o->poll);
	l->dirty = true;
	uw_copy(l->name, o->name, sizeof(l->name));
	uw_list_init(&l->node);
	uw_list_init(&l->bound);
	uw_queue_init(&l->requests);
	KeInitializeEvent(&l->wake, SynchronizationEvent, FALSE);
	KeInitializeEvent(&l->begun, NotificationEvent, FALSE);
}

NTSTATUS uw_link_open(const struct uw_nt_open *o, struct uw_link **link)
{
	struct uw_link *l = uw_alloc(sizeof(*l));
	NTSTATUS status;

	if (!l)
		return STATUS_INSUFFICIENT_RESOURCES;
	init(l, o);
	status = enter(l);
	if (!NT_SUCCESS(status))
		goto out_free;
	status = make_session(l, o);
	if (!NT_SUCCESS(status))
		goto out_release;
	uw_trace_session(l, true);
	status = start(l);
	if (!NT_SUCCESS(status))
		goto out_stop;
	*link = l;
	uw_ctl_changed();
	return STATUS_SUCCESS;

out_stop: /* the page must not promise what nobody will keep; with no transfer one poll is enough */
	uw_host_stop(&l->host, l->now);
	(void)uw_host_poll(&l->host, l->now, 0);
	uw_trace_session(l, false);
out_release:
	release(l);
	leave(l);
out_free:
	uw_free(l);
	return status;
}
