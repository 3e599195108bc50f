// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device stacks, interfaces and notifications. Every driver of the laboratory lives in this process, so the tables here
 * know all devices that matter: names lead to device objects without Wine's server, from any thread.
 */
#define INITGUID
#include "pnp.h"
#include "object.h"

struct device {
	struct device *next;
	DEVICE_OBJECT *object;
	DEVICE_OBJECT *below;
	UNICODE_STRING name;
	bool started;
	WCHAR instance[200];
};

struct iface {
	struct iface *next;
	DEVICE_OBJECT *lowest;
	GUID class;
	UNICODE_STRING link;
	bool enabled;
};

struct notify {
	struct notify *next;
	IO_NOTIFICATION_EVENT_CATEGORY category;
	DRIVER_OBJECT *driver;
	GUID class;
	FILE_OBJECT *file;
	DEVICE_OBJECT *lowest;
	PDRIVER_NOTIFICATION_CALLBACK_ROUTINE fn;
	void *context;
	LONG running;
	DWORD thread;              /* that runs it now */
	bool gone;
};

static struct device *devices;
static struct iface *ifaces;
static struct notify *notifies;
static struct lab_lock table;
static HANDLE arrivals;            /* wakes the thread that tells about interfaces */

static bool copy_string(UNICODE_STRING *to, const UNICODE_STRING *from)
{
	to->Buffer = lab_alloc(from->Length + sizeof(WCHAR));
	if (!to->Buffer)
		return false;
	memcpy(to->Buffer, from->Buffer, from->Length);
	to->Length = from->Length;
	to->MaximumLength = from->Length + sizeof(WCHAR);
	return true;
}

/* Under the table's lock. */
static struct device *find(const DEVICE_OBJECT *object)
{
	struct device *d = devices;

	while (d && d->object != object)
		d = d->next;
	return d;
}

/* The entry of an object; one of Wine's own gets one when it is met. */
static struct device *know(DEVICE_OBJECT *object)
{
	struct device *d = find(object);

	if (!d && (d = lab_alloc(sizeof(*d)))) {
		d->object = object;
		d->next = devices;
		devices = d;
	}
	return d;
}

DEVICE_OBJECT *lab_below(DEVICE_OBJECT *object)
{
	struct device *d;

	lab_lock(&table);
	d = find(object);
	object = d ? d->below : NULL;
	lab_unlock(&table);
	return object;
}

DEVICE_OBJECT *lab_top(DEVICE_OBJECT *object)
{
	while (object->AttachedDevice)
		object = object->AttachedDevice;
	return object;
}

static DEVICE_OBJECT *lowest_of(DEVICE_OBJECT *object)
{
	DEVICE_OBJECT *below;

	while ((below = lab_below(object)))
		object = below;
	return object;
}

/* ---- devices ---- */

NTSTATUS NTAPI lab_IoCreateDevice(PDRIVER_OBJECT driver, ULONG extension, PUNICODE_STRING name, DEVICE_TYPE type,
	ULONG characteristics, BOOLEAN exclusive, PDEVICE_OBJECT *object)
{
	NTSTATUS status = IoCreateDevice(driver, extension, name, type, characteristics, exclusive, object);
	struct device *d;

	if (!NT_SUCCESS(status))
		return status;
	(*object)->Flags |= DO_DEVICE_INITIALIZING;
	lab_lock(&table);
	d = know(*object);
	if (d && name)
		copy_string(&d->name, name);
	lab_unlock(&table);
	return status;
}

static void forget(DEVICE_OBJECT *object)
{
	struct device **at, *d;

	lab_lock(&table);
	for (at = &devices; *at && (*at)->object != object; at = &(*at)->next)
		;
	d = *at;
	if (d)
		*at = d->next;
	lab_unlock(&table);
	if (d)
		lab_free(d->name.Buffer);
	lab_free(d);
}

void NTAPI lab_IoDeleteDevice(PDEVICE_OBJECT object)
{
	if (object->AttachedDevice)
		lab_report("IoDeleteDevice of %p, to which %p is attached", object, object->AttachedDevice);
	if (lab_below(object))
		lab_report("IoDeleteDevice of %p, which is attached to %p", object, lab_below(object));
	forget(object);
	IoDeleteDevice(object);
}

PDEVICE_OBJECT NTAPI lab_IoAttachDeviceToDeviceStack(PDEVICE_OBJECT source, PDEVICE_OBJECT target)
{
	DEVICE_OBJECT *below = IoAttachDeviceToDeviceStack(source, target);

	if (!below)
		return NULL;
	lab_lock(&table);
	know(source)->below = below;
	know(below);
	lab_unlock(&table);
	return below;
}

NTSTATUS NTAPI lab_IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT source, PDEVICE_OBJECT target, PDEVICE_OBJECT *below)
{
	*below = lab_IoAttachDeviceToDeviceStack(source, target);
	return *below ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

void NTAPI lab_IoDetachDevice(PDEVICE_OBJECT below)
{
	struct device *d;

	if (!below->AttachedDevice) {
		lab_report("IoDetachDevice of %p, to which nothing is attached", below);
		return;
	}
	lab_lock(&table);
	d = find(below->AttachedDevice);
	if (d)
		d->below = NULL;
	lab_unlock(&table);
	IoDetachDevice(below);
}

DEVICE_OBJECT *lab_pnp_stack(unsigned int n)
{
	DEVICE_OBJECT *found = NULL;
	unsigned int left = n + 1, total = 0;

	lab_lock(&table);
	for (struct device *d = devices; d; d = d->next)
		total += !d->below && d->object->AttachedDevice;
	/* Devices are entered at the head of the list: the parents, which are older, stand behind. */
	left = total >= left ? total - n : 0;
	for (struct device *d = devices; d && left; d = d->next)
		if (!d->below && d->object->AttachedDevice && !--left)
			found = d->object;
	lab_unlock(&table);
	return found;
}

DEVICE_OBJECT *lab_pnp_known(unsigned int n)
{
	DEVICE_OBJECT *found = NULL;

	lab_lock(&table);
	for (struct device *d = devices; d && !found; d = d->next)
		if (d->instance[0] && !n--)
			found = d->object;
	lab_unlock(&table);
	return found;
}

static NTSTATUS query_id(DEVICE_OBJECT *lowest, BUS_QUERY_ID_TYPE type, WCHAR **id)
{
	IO_STATUS_BLOCK iosb;
	KEVENT done;
	DEVICE_OBJECT *top = lab_top(lowest);
	IRP *irp;

	KeInitializeEvent(&done, NotificationEvent, FALSE);
	irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, top, NULL, 0, NULL, &done, &iosb);
	if (!irp)
		return STATUS_INSUFFICIENT_RESOURCES;
	irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
	IoGetNextIrpStackLocation(irp)->MinorFunction = IRP_MN_QUERY_ID;
	IoGetNextIrpStackLocation(irp)->Parameters.QueryId.IdType = type;
	if (lab_IoCallDriver(top, irp) == STATUS_PENDING)
		KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
	*id = NT_SUCCESS(iosb.Status) ? (WCHAR *)iosb.Information : NULL;
	return iosb.Status;
}

/* Device id, backslash, instance: asked of the bus when the device starts, and kept. */
static void learn_instance(DEVICE_OBJECT *lowest)
{
	WCHAR *device = NULL, *instance = NULL, text[200];
	struct device *d;
	size_t n = 0;

	if (NT_SUCCESS(query_id(lowest, BusQueryDeviceID, &device)) && NT_SUCCESS(query_id(lowest, BusQueryInstanceID, &instance)) &&
	    device && instance) {
		for (const WCHAR *p = device; *p && n < 198; p++)
			text[n++] = *p;
		text[n++] = '\\';
		for (const WCHAR *p = instance; *p && n < 199; p++)
			text[n++] = *p;
	}
	text[n] = 0;
	if (device)
		ExFreePoolWithTag(device, 0);
	if (instance)
		ExFreePoolWithTag(instance, 0);
	lab_lock(&table);
	d = know(lowest);
	memcpy(d->instance, text, sizeof(text));
	d->started = true;
	lab_unlock(&table);
}

const WCHAR *lab_pnp_instance(DEVICE_OBJECT *lowest)
{
	const struct device *d;
	const WCHAR *text = L"";

	lab_lock(&table);
	d = find(lowest);
	if (d)
		text = d->instance;
	lab_unlock(&table);
	return text;
}

/* ---- interfaces ---- */

static struct iface *find_iface(const UNICODE_STRING *link)
{
	struct iface *i = ifaces;

	while (i && !RtlEqualUnicodeString(&i->link, link, TRUE))
		i = i->next;
	return i;
}

NTSTATUS NTAPI lab_IoRegisterDeviceInterface(PDEVICE_OBJECT pdo, CONST GUID *class, PUNICODE_STRING reference,
	PUNICODE_STRING link)
{
	NTSTATUS status = IoRegisterDeviceInterface(pdo, class, reference, link);
	struct iface *i;

	if (!NT_SUCCESS(status))
		return status;
	lab_lock(&table);
	i = find_iface(link);
	if (!i && (i = lab_alloc(sizeof(*i)))) {
		copy_string(&i->link, link);
		i->next = ifaces;
		ifaces = i;
	}
	i->lowest = pdo;
	i->class = *class;
	lab_unlock(&table);
	return status;
}

static NTSTATUS tell(struct notify *n, void *what)
{
	NTSTATUS status;
	KIRQL irql;

	n->thread = GetCurrentThreadId();
	status = n->fn(what, n->context);
	n->thread = 0;
	irql = lab_set_irql(PASSIVE_LEVEL);
	if (irql != PASSIVE_LEVEL)
		lab_report("notification routine returned at IRQL %u", irql);
	return status;
}

/* Tells one registration of one interface's coming or going. */
static void tell_iface(struct notify *n, const GUID *class, UNICODE_STRING *link, bool here)
{
	DEVICE_INTERFACE_CHANGE_NOTIFICATION what = { .Version = 1, .Size = sizeof(what) };

	what.Event = here ? GUID_DEVICE_INTERFACE_ARRIVAL : GUID_DEVICE_INTERFACE_REMOVAL;
	what.InterfaceClassGuid = *class;
	what.SymbolicLinkName = link;
	tell(n, &what);
}

/* The next registration after `last` that fits; it cannot go away until put_notify. */
static struct notify *next_notify(struct notify *last, IO_NOTIFICATION_EVENT_CATEGORY category, const GUID *class,
	const DEVICE_OBJECT *lowest)
{
	struct notify *n;

	lab_lock(&table);
	for (n = last ? last->next : notifies; n; n = n->next)
		if (!n->gone && n->category == category && (!class || RtlCompareMemory(&n->class, class, 16) == 16) &&
		    (!lowest || n->lowest == lowest))
			break;
	if (n)
		n->running++;
	if (last)
		last->running--;
	lab_unlock(&table);
	return n;
}

struct arrival {
	struct arrival *next;
	GUID class;
	UNICODE_STRING link;
	bool here;
};

static struct arrival *pending;

/* Windows tells from a system thread, some time later, in order. */
static DWORD WINAPI teller(void *unused)
{
	struct arrival *a;

	(void)unused;
	for (;;) {
		WaitForSingleObject(arrivals, ~0u);
		for (;;) {
			lab_lock(&table);
			a = pending;
			if (a)
				pending = a->next;
			lab_unlock(&table);
			if (!a)
				break;
			for (struct notify *n = NULL; (n = next_notify(n, EventCategoryDeviceInterfaceChange, &a->class, NULL));)
				tell_iface(n, &a->class, &a->link, a->here);
			lab_free(a->link.Buffer);
			lab_free(a);
		}
	}
	return 0;
}

static void announce(const struct iface *i, bool here)
{
	struct arrival *a = lab_alloc(sizeof(*a)), **end;

	a->class = i->class;
	a->here = here;
	copy_string(&a->link, &i->link);
	lab_lock(&table);
	for (end = &pending; *end; end = &(*end)->next)
		;
	*end = a;
	lab_unlock(&table);
	SetEvent(arrivals);
}

NTSTATUS NTAPI lab_IoSetDeviceInterfaceState(PUNICODE_STRING link, BOOLEAN enable)
{
	NTSTATUS status = IoSetDeviceInterfaceState(link, enable);
	struct iface *i;

	if (!NT_SUCCESS(status))
		return status;
	lab_lock(&table);
	i = find_iface(link);
	if (i)
		i->enabled = enable;
	lab_unlock(&table);
	if (i)
		announce(i, enable);
	return status;
}

NTSTATUS NTAPI lab_IoGetDeviceInterfaces(CONST GUID *class, PDEVICE_OBJECT pdo, ULONG flags, PWSTR *list)
{
	SIZE_T size = sizeof(WCHAR);
	WCHAR *to;

	lab_lock(&table);
	for (struct iface *i = ifaces; i; i = i->next)
		size += i->link.Length + sizeof(WCHAR);
	to = *list = lab_pool_get(size, 0x20706e50, __builtin_return_address(0));
	for (struct iface *i = to ? ifaces : NULL; i; i = i->next)
		if (RtlCompareMemory(&i->class, class, 16) == 16 && (!pdo || i->lowest == pdo) &&
		    (i->enabled || (flags & DEVICE_INTERFACE_INCLUDE_NONACTIVE))) {
			memcpy(to, i->link.Buffer, i->link.Length);
			to += i->link.Length / sizeof(WCHAR);
			*to++ = 0;
		}
	if (to)
		*to = 0;
	lab_unlock(&table);
	return to ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* ---- notifications ---- */

static void tell_existing(struct notify *n)
{
	for (struct iface *i = ifaces; i; i = i->next)
		if (i->enabled && RtlCompareMemory(&i->class, &n->class, 16) == 16)
			tell_iface(n, &i->class, &i->link, true);
}

NTSTATUS NTAPI lab_IoRegisterPlugPlayNotification(IO_NOTIFICATION_EVENT_CATEGORY category, ULONG flags, PVOID data,
	PDRIVER_OBJECT driver, PDRIVER_NOTIFICATION_CALLBACK_ROUTINE fn, PVOID context, PVOID *entry)
{
	struct notify *n = lab_alloc(sizeof(*n));

	n->driver = driver;
	if (category == EventCategoryDeviceInterfaceChange) {
		n->class = *(GUID *)data;
	} else if (category == EventCategoryTargetDeviceChange) {
		n->file = data;
		n->lowest = lowest_of(n->file->DeviceObject);
	} else {
		lab_report("IoRegisterPlugPlayNotification of category %d", category);
		lab_free(n);
		return STATUS_NOT_SUPPORTED;
	}
	n->category = category;
	n->fn = fn;
	n->context = context;
	n->running = 1;
	lab_lock(&table);
	n->next = notifies;
	notifies = n;
	lab_unlock(&table);
	*entry = n;
	if (category == EventCategoryDeviceInterfaceChange && (flags & PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES))
		tell_existing(n);
	lab_lock(&table);
	n->running--;
	lab_unlock(&table);
	return STATUS_SUCCESS;
}

/* Returns when the routine runs no more, unless it is the routine itself that asks. */
NTSTATUS NTAPI lab_IoUnregisterPlugPlayNotification(PVOID entry)
{
	struct notify *n = entry;
	LONG running;
	bool inside = n->thread == GetCurrentThreadId();

	n->gone = true;
	for (unsigned int ms = 0; !inside; ms++) {
		lab_lock(&table);
		running = n->running;
		lab_unlock(&table);
		if (!running)
			break;
		if (ms == 10000)
			lab_report("IoUnregisterPlugPlayNotification waits for 10 s");
		Sleep(1);
	}
	return STATUS_SUCCESS;
}

NTSTATUS NTAPI lab_IoUnregisterPlugPlayNotificationEx(PVOID entry)
{
	return lab_IoUnregisterPlugPlayNotification(entry);
}

NTSTATUS lab_pnp_target(DEVICE_OBJECT *lowest, enum lab_target what)
{
	TARGET_DEVICE_REMOVAL_NOTIFICATION n = { .Version = 1, .Size = sizeof(n) };
	NTSTATUS status = STATUS_SUCCESS, one;

	n.Event = what == LAB_QUERY_REMOVE ? GUID_TARGET_DEVICE_QUERY_REMOVE :
		  what == LAB_REMOVE_CANCELLED ? GUID_TARGET_DEVICE_REMOVE_CANCELLED : GUID_TARGET_DEVICE_REMOVE_COMPLETE;
	for (struct notify *r = NULL; (r = next_notify(r, EventCategoryTargetDeviceChange, NULL, lowest));) {
		n.FileObject = r->file;
		one = tell(r, &n);
		if (!NT_SUCCESS(one) && what == LAB_QUERY_REMOVE)
			status = one;
	}
	return status;
}

/* ---- opening by name ---- */

static DEVICE_OBJECT *by_name(const UNICODE_STRING *name)
{
	DEVICE_OBJECT *object = NULL;
	struct iface *i;

	lab_lock(&table);
	i = find_iface(name);
	if (i && i->enabled)
		object = i->lowest;
	for (struct device *d = devices; d && !object; d = d->next)
		if (d->name.Buffer && RtlEqualUnicodeString(&d->name, name, TRUE))
			object = d->object;
	lab_unlock(&table);
	return object;
}

/*
 * As Windows does: opens the stack, then closes the handle, so CLEANUP comes at once and CLOSE with the last reference of
 * the file object.
 */
NTSTATUS NTAPI lab_IoGetDeviceObjectPointer(PUNICODE_STRING name, ACCESS_MASK access, PFILE_OBJECT *file,
	PDEVICE_OBJECT *device)
{
	DEVICE_OBJECT *lowest = by_name(name), *top;
	FILE_OBJECT *f;
	NTSTATUS status;

	(void)access;
	if (!lowest)
		return STATUS_OBJECT_NAME_NOT_FOUND;
	if (!(f = lab_pool_get(sizeof(*f), 0x656c6946, NULL)))
		return STATUS_INSUFFICIENT_RESOURCES;
	memset(f, 0, sizeof(*f));
	f->Type = 5;
	f->Size = sizeof(*f);
	f->DeviceObject = lowest;
	top = lab_top(lowest);
	lab_open_add(f, lowest);
	status = lab_send_file(top, f, IRP_MJ_CREATE, KernelMode);
	if (!NT_SUCCESS(status)) {
		lab_open_remove(f);
		lab_pool_put(f, NULL);
		return status;
	}
	lab_send_file(top, f, IRP_MJ_CLEANUP, KernelMode);
	lab_object_made(f, LAB_FILE, __builtin_return_address(0));
	*file = f;
	*device = top;
	return STATUS_SUCCESS;
}

static DWORD WINAPI close_file(void *context)
{
	FILE_OBJECT *f = context;

	lab_send_file(lab_top(f->DeviceObject), f, IRP_MJ_CLOSE, KernelMode);
	lab_open_remove(f);
	lab_pool_put(f, NULL);
	return 0;
}

void lab_file_destroy(void *object)
{
	if (lab_irql() == PASSIVE_LEVEL)
		close_file(object);
	else
		CloseHandle(CreateThread(NULL, 0, close_file, object, 0, NULL));
}

PDEVICE_OBJECT NTAPI lab_IoGetRelatedDeviceObject(PFILE_OBJECT file)
{
	return lab_top(file->DeviceObject);
}

/* ---- what Wine's plug and play thread sends goes by here ---- */

static void disable_interfaces(DEVICE_OBJECT *lowest)
{
	struct iface *i;

	do {
		lab_lock(&table);
		for (i = ifaces; i && !(i->enabled && i->lowest == lowest); i = i->next)
			;
		lab_unlock(&table);
		if (i)
			lab_IoSetDeviceInterfaceState(&i->link, FALSE);
	} while (i);
}

static void wait_for_handles(DEVICE_OBJECT *lowest)
{
	for (unsigned int ms = 0; lab_open_count(lowest); ms++) {
		if (ms == 30000) {
			lab_report("device %p: %u handles still open 30 s after SURPRISE_REMOVAL", lowest, lab_open_count(lowest));
			return;
		}
		Sleep(1);
	}
}

void lab_pnp_before(DEVICE_OBJECT *device, UCHAR minor)
{
	DEVICE_OBJECT *lowest = lowest_of(device);

	if (minor != IRP_MN_REMOVE_DEVICE || device == lowest)
		return;
	disable_interfaces(lowest);
	lab_pnp_target(lowest, LAB_REMOVE_COMPLETE);
	wait_for_handles(lowest);
}

void lab_pnp_after(DEVICE_OBJECT *device, UCHAR minor, NTSTATUS status)
{
	DEVICE_OBJECT *lowest;

	if (minor != IRP_MN_START_DEVICE || !NT_SUCCESS(status))
		return;
	lowest = lowest_of(device);
	learn_instance(lowest);
	for (DEVICE_OBJECT *d = lowest->AttachedDevice; d; d = d->AttachedDevice)
		if (d->Flags & DO_DEVICE_INITIALIZING)
			lab_report("%ls: DO_DEVICE_INITIALIZING is still set", d->DriverObject->DriverName.Buffer);
}

/* A plug and play or power request of ours, to the top of a stack; returns when it is complete. */
NTSTATUS lab_pnp_send(DEVICE_OBJECT *lowest, UCHAR major, UCHAR minor, const POWER_STATE *state, POWER_STATE_TYPE type)
{
	IO_STATUS_BLOCK iosb = { 0 };
	DEVICE_OBJECT *top = lab_top(lowest);
	IRP *irp = lab_allocate_irp(top->StackSize, FALSE);
	IO_STACK_LOCATION *sp = IoGetNextIrpStackLocation(irp);
	KEVENT done;

	KeInitializeEvent(&done, NotificationEvent, FALSE);
	irp->UserEvent = &done;
	irp->UserIosb = &iosb;
	irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
	sp->MajorFunction = major;
	sp->MinorFunction = minor;
	if (state) {
		sp->Parameters.Power.Type = type;
		sp->Parameters.Power.State = *state;
	}
	lab_IoCallDriver(top, irp);
	KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
	return iosb.Status;
}

void lab_pnp_left(DRIVER_OBJECT *driver)
{
	lab_lock(&table);
	for (struct notify *n = notifies; n; n = n->next)
		if (!n->gone && n->driver == driver) {
			lab_report("%ls leaves a notification registered", driver->DriverName.Buffer);
			n->gone = true;
		}
	lab_unlock(&table);
}

void lab_pnp_init(void)
{
	arrivals = CreateEventW(NULL, FALSE, FALSE, NULL);
	CloseHandle(CreateThread(NULL, 0, teller, NULL, 0, NULL));
}
