// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devnodes that UsbWarpFilter.sys drives, and which session's port each is attached to.
 *
 *   FREE --attach--> OPENING --open--> ATTACHED --guest orphaned--> WAITING --guest back--> OPENING
 *    ^------------- detach, unplugged, open failed: from any, when no open or close is under way ----'
 *
 * What may block (connecting to the peer, its open and close) is a job, done by a work item, one at a time for a device and
 * never in the session's thread. What a job or the peer has to say is a bit of news for that thread.
 *
 *   interface arrives --> connect --> free to be claimed <--> claimed by a session
 *   query-remove, removal --> leaving: the session lets go, then the reference is dropped --> doomed: freed
 *                                                              '--remove cancelled--> connect
 */
#include <initguid.h>

#include "dev.h"

#include "ctl.h"
#include "trace.h"

#include <wdmguid.h>

#define GUID_OF(a, b, c, ...) { a, b, c, { __VA_ARGS__ } }
#define EXPAND(...) GUID_OF(__VA_ARGS__)

static const GUID interface_class = EXPAND(UW_NT_INTERFACE);

enum {
	JOB_CONNECT = 1,
	JOB_OPEN = 2,
	JOB_CLOSE = 4,
	JOB_DROP = 8,
	JOB_RUNNING = 16,

	NEWS_OPENED = 1,
	NEWS_CLOSED = 2,
	NEWS_GONE = 4,
	NEWS_WAKEUP = 8,
	NEWS_LOST_POWER = 16,
};

static void *arrivals; /* our registration for interfaces */

static void dev_put(struct uw_dev *dev)
{
	if (InterlockedDecrement(&dev->refs))
		return;
	IoFreeWorkItem(dev->item);
	uw_free(dev);
	uw_user_put();
}

/* The link is there: it is claimed under the lock, or the caller has a reference. */
static void tell(struct uw_dev *dev, struct uw_link *link, LONG news)
{
	InterlockedOr(&dev->news, news);
	uw_link_look(link, UW_LOOK_DEVICES);
}

/* ---- what devices ask of their host ---- */

static uint64_t device_now(struct uw_device *device)
{
	(void)device;
	return uw_now();
}

static void device_arm(struct uw_device *device, uint64_t when)
{
	(void)device;
	(void)when;
}

/* Between open and close the link waits for the device, so it is there. */
static void device_complete(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_dev *dev = device->owner;

	uw_link_complete(dev->user, io);
}

/* What comes to a device that nobody has open says nothing that Windows does not say as well. */
static void pass_on(struct uw_device *device, LONG news)
{
	struct uw_dev *dev = device->owner;
	KIRQL irql;

	KeAcquireSpinLock(&dev->guard, &irql);
	if (dev->user)
		tell(dev, dev->user, news);
	KeReleaseSpinLock(&dev->guard, irql);
}

static void device_gone(struct uw_device *device)
{
	pass_on(device, NEWS_GONE);
}

static void device_wakeup(struct uw_device *device)
{
	pass_on(device, NEWS_WAKEUP);
}

static void device_lost_power(struct uw_device *device)
{
	pass_on(device, NEWS_LOST_POWER);
}

static const struct uw_device_host device_host = {
	.now = device_now,
	.arm = device_arm,
	.complete = device_complete,
	.gone = device_gone,
	.wakeup = device_wakeup,
};

/* ---- jobs: the reference to the peer ---- */

static void post(struct uw_dev *dev, LONG job);
static void part(struct uw_dev *dev, bool doomed);

static NTSTATUS ask_peer(DEVICE_OBJECT *device, FILE_OBJECT *file, struct uw_peer_connect *connect)
{
	IO_STATUS_BLOCK result;
	NTSTATUS status;
	KEVENT done;
	IRP *irp;

	KeInitializeEvent(&done, NotificationEvent, FALSE);
	irp = IoBuildDeviceIoControlRequest(UW_PEER_CONNECT, device, connect, sizeof(*connect), NULL, 0, TRUE, &done, &result);
	if (!irp)
		return STATUS_INSUFFICIENT_RESOURCES;
	IoGetNextIrpStackLocation(irp)->FileObject = file; /* the peer serves it until it is closed */
	status = IoCallDriver(device, irp);
	if (status == STATUS_PENDING) {
		KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
		status = result.Status;
	}
	return NT_SUCCESS(status) && !connect->peer ? STATUS_UNSUCCESSFUL : status;
}

/* Runs in Windows' own context for such changes, one at a time for a device. */
static NTSTATUS NTAPI on_target_change(void *notification, void *context)
{
	const TARGET_DEVICE_REMOVAL_NOTIFICATION *n = notification;
	struct uw_dev *dev = context;

	if (IsEqualGUID(&n->Event, &GUID_TARGET_DEVICE_QUERY_REMOVE)) {
		uw_lock();
		part(dev, false);
		uw_unlock();
		/* The removal goes on when this returns, and would be refused while the reference is held. */
		KeWaitForSingleObject(&dev->dropped, Executive, KernelMode, FALSE, NULL);
	} else if (IsEqualGUID(&n->Event, &GUID_TARGET_DEVICE_REMOVE_CANCELLED)) {
		uw_lock();
		dev->leaving = dev->doomed;
		uw_unlock();
		post(dev, JOB_CONNECT);
	} else if (IsEqualGUID(&n->Event, &GUID_TARGET_DEVICE_REMOVE_COMPLETE)) {
		uw_lock();
		part(dev, true);
		uw_unlock();
	}
	return STATUS_SUCCESS;
}

static void forget_target(struct uw_dev *dev)
{
	if (dev->notification)
		IoUnregisterPlugPlayNotificationEx(dev->notification);
	dev->notification = NULL;
}

static NTSTATUS open_peer(struct uw_dev *dev, struct uw_peer_connect *connect)
{
	DEVICE_OBJECT *device;
	UNICODE_STRING path;
	NTSTATUS status;

	RtlInitUnicodeString(&path, dev->path);
	status = IoGetDeviceObjectPointer(&path, FILE_READ_DATA | FILE_WRITE_DATA, &dev->file, &device);
	if (!NT_SUCCESS(status)) {
		dev->file = NULL;
		return status;
	}
	forget_target(dev); /* of a file object that a cancelled removal closed */
	status = IoRegisterPlugPlayNotification(EventCategoryTargetDeviceChange, 0, dev->file, uw_driver.object,
						on_target_change, dev, &dev->notification);
	if (!NT_SUCCESS(status))
		dev->notification = NULL;
	else
		status = ask_peer(device, dev->file, connect);
	if (!NT_SUCCESS(status)) {
		ObDereferenceObject(dev->file);
		dev->file = NULL;
	}
	return status;
}

static void connect(struct uw_dev *dev)
{
	struct uw_peer_connect connect = { .size = sizeof(connect), .version = UW_PEER_VERSION };
	bool leaving;
	NTSTATUS status;

	uw_lock();
	leaving = dev->leaving || dev->peer;
	uw_unlock();
	if (leaving)
		return;
	KeClearEvent(&dev->dropped);
	status = open_peer(dev, &connect);
	uw_trace_device(dev, status);
	if (!NT_SUCCESS(status)) {
		KeSetEvent(&dev->dropped, IO_NO_INCREMENT, FALSE);
		return;
	}
	connect.peer->dev.host = &device_host;
	connect.peer->dev.owner = dev;
	connect.peer->lost_power = device_lost_power;
	uw_lock();
	dev->peer = connect.peer;
	uw_unlock();
	uw_ctl_changed();
}

/* The last thing that happens to a device, but that one of the same name may have come. */
static void bury(struct uw_dev *dev)
{
	bool again;

	forget_target(dev);
	uw_lock();
	again = dev->again && !uw_driver.stopping;
	if (again) {
		dev->again = dev->doomed = dev->leaving = false;
	} else {
		uw_list_del(&dev->node);
		uw_driver.devs_count--;
	}
	uw_unlock();
	if (again)
		post(dev, JOB_CONNECT);
	else
		dev_put(dev);
}

static void drop(struct uw_dev *dev)
{
	bool doomed, buried;

	uw_lock();
	dev->peer = NULL;
	doomed = dev->doomed;
	buried = uw_list_empty(&dev->node);
	uw_unlock();
	if (dev->file)
		ObDereferenceObject(dev->file);
	dev->file = NULL;
	KeSetEvent(&dev->dropped, IO_NO_INCREMENT, FALSE);
	uw_ctl_changed();
	if (doomed && !buried)
		bury(dev);
}

/* ---- jobs: the device itself ---- */

static void set_user(struct uw_dev *dev, struct uw_link *link)
{
	KIRQL irql;

	KeAcquireSpinLock(&dev->guard, &irql);
	dev->user = link;
	KeReleaseSpinLock(&dev->guard, irql);
}

/* At this news the thread may let the device go, and end. */
static void report(struct uw_dev *dev, LONG news)
{
	struct uw_link *link = dev->link;

	uw_link_get(link);
	tell(dev, link, news);
	uw_link_put(link);
}

static void open(struct uw_dev *dev)
{
	struct uw_peer *peer = dev->peer;

	peer->mdl = dev->link->region.mdl;
	peer->base = dev->link->region.base;
	peer->size = dev->link->region.size;
	set_user(dev, dev->link);
	dev->opened = peer->dev.ops->open(&peer->dev);
	if (dev->opened)
		set_user(dev, NULL);
	report(dev, NEWS_OPENED);
}

static void close(struct uw_dev *dev)
{
	dev->peer->dev.ops->close(&dev->peer->dev);
	set_user(dev, NULL);
	report(dev, NEWS_CLOSED);
}

static void do_jobs(struct uw_dev *dev, LONG jobs)
{
	if (jobs & JOB_CONNECT)
		connect(dev);
	if (jobs & JOB_OPEN)
		open(dev);
	if (jobs & JOB_CLOSE)
		close(dev);
	if (jobs & JOB_DROP)
		drop(dev);
}

static void NTAPI run_jobs(DEVICE_OBJECT *device, void *context)
{
	struct uw_dev *dev = context;
	LONG jobs;

	(void)device;
	do {
		while ((jobs = InterlockedAnd(&dev->jobs, JOB_RUNNING) & ~JOB_RUNNING) != 0)
			do_jobs(dev, jobs);
	} while (InterlockedCompareExchange(&dev->jobs, 0, JOB_RUNNING) != JOB_RUNNING);
	dev_put(dev);
}

static void post(struct uw_dev *dev, LONG job)
{
	if (InterlockedOr(&dev->jobs, job | JOB_RUNNING) & JOB_RUNNING)
		return;
	InterlockedIncrement(&dev->refs);
	IoQueueWorkItem(dev->item, run_jobs, DelayedWorkQueue, dev);
}

/* ---- interfaces that come and go; uw_driver.lock is held where it says so ---- */

/* Locked. Takes the device from whoever has it. */
static void part(struct uw_dev *dev, bool doomed)
{
	dev->leaving = true;
	dev->doomed |= doomed;
	dev->again = false;
	if (dev->link)
		tell(dev, dev->link, NEWS_GONE);
	else
		post(dev, JOB_DROP);
}

static void make_key(uint16_t key[UW_NT_LINK], const uint16_t *name)
{
	uint32_t i;

	RtlZeroMemory(key, UW_NT_LINK * sizeof(*key));
	for (i = 0; i < UW_NT_LINK - 1 && name[i]; i++)
		key[i] = RtlUpcaseUnicodeChar(name[i]);
}

/* Locked. */
static struct uw_dev *find(const uint16_t key[UW_NT_LINK])
{
	struct uw_list *node;
	struct uw_dev *dev;

	for (node = uw_driver.devs.next; node != &uw_driver.devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (RtlCompareMemory(dev->key, key, sizeof(dev->key)) == sizeof(dev->key))
			return dev;
	}
	return NULL;
}

/* Locked. */
static void adopt(struct uw_dev *dev)
{
	struct uw_dev *known = find(dev->key);

	if (known && known->doomed) {
		known->again = true;
	} else if (known) {
		post(known, JOB_CONNECT);
	} else if (!uw_driver.stopping && uw_driver.devs_count < UW_NT_DEVICES_MAX) {
		uw_driver.devs_count++;
		uw_list_add(&uw_driver.devs, &dev->node);
		InterlockedIncrement(&dev->refs);
		post(dev, JOB_CONNECT);
	}
}

static void arrive(const UNICODE_STRING *link)
{
	uint32_t units = link->Length / sizeof(uint16_t);
	struct uw_dev *dev;

	if (units <= UW_DEV_PREFIX || units >= UW_DEV_PREFIX + UW_NT_LINK)
		return;
	dev = uw_alloc(sizeof(*dev));
	if (!dev)
		return;
	dev->item = IoAllocateWorkItem(uw_driver.device);
	if (!dev->item) {
		uw_free(dev);
		return;
	}
	dev->refs = 1;
	KeInitializeSpinLock(&dev->guard);
	uw_user_get();
	uw_list_init(&dev->node);
	uw_list_init(&dev->bound);
	KeInitializeEvent(&dev->dropped, NotificationEvent, TRUE);
	uw_copy(dev->path, link->Buffer, link->Length);
	make_key(dev->key, dev->path + UW_DEV_PREFIX);
	uw_lock();
	adopt(dev);
	uw_unlock();
	dev_put(dev);
}

static void leave(const UNICODE_STRING *link)
{
	uint16_t name[UW_NT_LINK] = { 0 }, key[UW_NT_LINK];
	uint32_t units = link->Length / sizeof(uint16_t);
	struct uw_dev *dev;

	if (units <= UW_DEV_PREFIX || units >= UW_DEV_PREFIX + UW_NT_LINK)
		return;
	uw_copy(name, link->Buffer + UW_DEV_PREFIX, link->Length - UW_DEV_PREFIX * sizeof(uint16_t));
	make_key(key, name);
	uw_lock();
	dev = find(key);
	if (dev)
		part(dev, true);
	uw_unlock();
}

static NTSTATUS NTAPI on_interface_change(void *notification, void *context)
{
	const DEVICE_INTERFACE_CHANGE_NOTIFICATION *n = notification;

	(void)context;
	if (IsEqualGUID(&n->Event, &GUID_DEVICE_INTERFACE_ARRIVAL))
		arrive(n->SymbolicLinkName);
	else if (IsEqualGUID(&n->Event, &GUID_DEVICE_INTERFACE_REMOVAL))
		leave(n->SymbolicLinkName);
	return STATUS_SUCCESS;
}

NTSTATUS uw_devs_open(void)
{
	return IoRegisterPlugPlayNotification(EventCategoryDeviceInterfaceChange,
					      PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES,
					      (void *)(ULONG_PTR)&interface_class, uw_driver.object, on_interface_change, NULL,
					      &arrivals);
}

void uw_devs_close(void)
{
	struct uw_list *node;

	IoUnregisterPlugPlayNotificationEx(arrivals);
	uw_lock();
	for (node = uw_driver.devs.next; node != &uw_driver.devs; node = node->next)
		part(UW_CONTAINER(node, struct uw_dev, node), true);
	uw_unlock();
}

static void describe(const struct uw_dev *dev, struct uw_nt_device *record)
{
	const struct uw_device *device = &dev->peer->dev;
	uint32_t i;

	for (i = 0; dev->path[UW_DEV_PREFIX + i]; i++)
		record->link[i] = uw_put16(dev->path[UW_DEV_PREFIX + i]);
	if (dev->link)
		uw_copy(record->vm, dev->link->name, sizeof(record->vm));
	record->vendor = uw_put16(device->vendor);
	record->product = uw_put16(device->product);
	record->release = uw_put16(device->release);
	record->speed = device->speed;
	record->port = dev->port;
	record->state = dev->state;
}

void uw_devs_list(struct uw_nt_devices *list)
{
	struct uw_list *node;
	struct uw_dev *dev;
	uint32_t count = 0;

	uw_lock();
	for (node = uw_driver.devs.next; node != &uw_driver.devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (dev->peer && count < UW_NT_DEVICES_MAX)
			describe(dev, &list->devices[count++]);
	}
	uw_unlock();
	list->count = uw_put32(count);
}

/* ---- the session's thread: states ---- */

static void start_open(struct uw_dev *dev)
{
	dev->state = UW_CTL_OPENING;
	dev->busy = true;
	dev->reopen = false;
	post(dev, JOB_OPEN);
	uw_ctl_changed();
}

static void start_close(struct uw_dev *dev)
{
	dev->state = UW_CTL_WAITING;
	dev->busy = true;
	post(dev, JOB_CLOSE);
	uw_ctl_changed();
}

/* The end of a binding. Somebody else may claim the device at once. */
static void unbind(struct uw_dev *dev)
{
	struct uw_link *l = dev->link;

	if (dev->port)
		l->devs[dev->port] = NULL;
	uw_trace_attach(l, dev, UW_CTL_FREE);
	uw_ctl_detached(l, dev);
	uw_lock();
	dev->port = 0;
	dev->state = UW_CTL_FREE;
	uw_list_del(&dev->bound);
	dev->link = NULL;
	if (dev->leaving)
		post(dev, JOB_DROP);
	uw_unlock();
	uw_ctl_changed();
	dev_put(dev);
}

void uw_dev_let_go(struct uw_dev *dev)
{
	if (dev->release)
		return;
	dev->release = true;
	if (dev->port)
		uw_host_detach(&dev->link->host, dev->port, dev->link->now);
	if (dev->state == UW_CTL_ATTACHED)
		start_close(dev);
	else if (!dev->busy)
		unbind(dev);
}

void uw_devs_let_go(struct uw_link *l)
{
	struct uw_list *node, *next;

	for (node = l->bound.next; node != &l->bound; node = next) {
		next = node->next;
		uw_dev_let_go(UW_CONTAINER(node, struct uw_dev, bound));
	}
}

static bool port_is_free(const struct uw_link *l, uint32_t port, uint8_t speed)
{
	const struct uw_host *h = &l->host;

	return port && port <= uw_layout_ports(&h->layout) && !l->devs[port] && !h->ports[port].speed &&
	       (speed == UW_SPEED_SUPER) == (port > h->layout.usb2_ports) && uw_list_empty(&h->ports[port].used);
}

/* The core knows nothing of a device that has left its port but is still being closed. */
static uint8_t choose_port(const struct uw_link *l, uint8_t speed, uint8_t want)
{
	uint32_t port;

	if (port_is_free(l, want, speed))
		return want;
	for (port = 1; port <= uw_layout_ports(&l->host.layout); port++)
		if (port_is_free(l, port, speed))
			return (uint8_t)port;
	return 0;
}

/* Locked. Whether the peer may be claimed, and if so it is. */
static enum uw_ctl_status claim(struct uw_link *l, struct uw_dev *dev, uint8_t want)
{
	if (!dev || !dev->peer || dev->leaving)
		return UW_CTL_NO_DEVICE;
	if (dev->link)
		return UW_CTL_BOUND;
	if (!choose_port(l, dev->peer->dev.speed, want))
		return UW_CTL_NO_PORT;
	InterlockedExchange(&dev->news, 0);
	InterlockedIncrement(&dev->refs);
	dev->link = l;
	dev->release = dev->reopen = false;
	dev->seen = 0;
	dev->want = want;
	uw_list_add(&l->bound, &dev->bound);
	return UW_CTL_OK;
}

enum uw_ctl_status uw_dev_bind(struct uw_link *l, const struct uw_nt_attach *a, struct uw_dev **dev)
{
	uint16_t name[UW_NT_LINK], key[UW_NT_LINK];
	enum uw_ctl_status status;
	uint32_t i;

	for (i = 0; i < UW_NT_LINK; i++)
		name[i] = uw_get16(a->link[i]);
	make_key(key, name);
	uw_lock();
	*dev = find(key);
	status = claim(l, *dev, a->port);
	uw_unlock();
	if (status == UW_CTL_OK)
		start_open(*dev);
	return status;
}

static void attach(struct uw_dev *dev)
{
	struct uw_link *l = dev->link;
	uint8_t speed = dev->peer->dev.speed;

	dev->state = UW_CTL_ATTACHED;
	if (dev->port) {
		uw_host_opened(&l->host, dev->port);
		return;
	}
	dev->port = choose_port(l, speed, dev->want);
	if (!dev->port) {
		uw_ctl_attached(l, dev, UW_CTL_NO_PORT);
		uw_dev_let_go(dev);
		return;
	}
	l->devs[dev->port] = dev;
	uw_host_attach(&l->host, dev->port, speed, l->now);
	/* Who asked may have cancelled meanwhile, and then the device is to be as it was. */
	if (!uw_ctl_attached(l, dev, UW_CTL_OK))
		uw_dev_let_go(dev);
}

static void on_opened(struct uw_dev *dev)
{
	dev->busy = false;
	if (dev->opened) {
		dev->state = UW_CTL_WAITING;
		uw_ctl_attached(dev->link, dev, UW_CTL_FAILED);
		if (dev->release)
			unbind(dev);
		else
			uw_dev_let_go(dev);
	} else if (dev->release) {
		start_close(dev);
	} else {
		attach(dev);
		uw_trace_attach(dev->link, dev, dev->state);
		uw_ctl_changed();
	}
}

static void on_closed(struct uw_dev *dev)
{
	dev->busy = false;
	if (dev->release)
		unbind(dev);
	else if (dev->reopen)
		start_open(dev);
}

/* The last two may end the binding. What is gone and still being opened or closed goes when that has ended; what has just
 * been opened is closed. */
static void heed(struct uw_dev *dev, LONG news)
{
	struct uw_host *h = &dev->link->host;
	bool there = dev->port && !dev->release;

	if (there && (news & NEWS_WAKEUP))
		uw_host_event(h, dev->port, UW_EVENT_WAKEUP);
	if (there && (news & NEWS_LOST_POWER))
		uw_host_event(h, dev->port, UW_EVENT_LOST_POWER);
	if ((news & NEWS_GONE) && dev->busy)
		uw_dev_let_go(dev);
	if (news & NEWS_OPENED)
		on_opened(dev);
	else if (news & NEWS_CLOSED)
		on_closed(dev);
	else if ((news & NEWS_GONE) && !dev->busy)
		uw_dev_let_go(dev);
}

/* What a device completed before its close returned is taken before the close is heeded. */
void uw_devs_news(struct uw_link *l)
{
	struct uw_list *node, *next;
	struct uw_dev *dev;

	for (node = l->bound.next; node != &l->bound; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, bound);
		dev->seen = InterlockedExchange(&dev->news, 0);
	}
	uw_link_reap(l);
	for (node = l->bound.next; node != &l->bound; node = next) {
		next = node->next;
		dev = UW_CONTAINER(node, struct uw_dev, bound);
		if (dev->seen)
			heed(dev, dev->seen);
	}
}

/* ---- the actions of a link ---- */

void uw_dev_verb(struct uw_dev *dev, struct uw_transfer_io *io)
{
	struct uw_device *device = &dev->peer->dev;

	uw_device_begin(device, io);
}

/* A close that is under way ends every transfer by itself, and after it the peer would not know this one. */
void uw_dev_cancel(struct uw_dev *dev, struct uw_transfer_io *io)
{
	if (dev->state == UW_CTL_ATTACHED)
		dev->peer->dev.ops->cancel(&dev->peer->dev, io);
}

void uw_dev_suspend_binding(struct uw_dev *dev)
{
	if (dev->state == UW_CTL_ATTACHED)
		start_close(dev);
}

void uw_dev_resume_binding(struct uw_dev *dev)
{
	if (dev->state != UW_CTL_WAITING || dev->release)
		return;
	if (dev->busy)
		dev->reopen = true;
	else
		start_open(dev);
}
