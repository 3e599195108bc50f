// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmdevicehost.dll as Microsoft documents it, checked: each call is judged by the order of calls, the life of handles, the
 * device's own description of itself and what the guest has programmed.
 */
#include "hdv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API HRESULT WINAPI
#define GRACE 250                 /* milliseconds in which a delivery may still carry what the guest has just replaced */
#define HOSTS 16
#define E_STATE HRESULT_FROM_WIN32(ERROR_INVALID_STATE)
#define E_LOST HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE)

CRITICAL_SECTION hdv_lock;
CONDITION_VARIABLE hdv_changed = CONDITION_VARIABLE_INIT;

/* Hosts and devices are never freed, so that a dead handle is known as one. */
static struct hdv_host *hosts[HOSTS];

void hdv_fault(const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lab_report("hdv", "%s", text);
}

uint64_t hdv_now(void)
{
	return GetTickCount64();
}

/* ---- handles ---- */

static struct hdv_host *find_host(void *handle)
{
	int i;

	for (i = 0; i < HOSTS; i++)
		if (hosts[i] && hosts[i] == handle)
			return hosts[i];
	return NULL;
}

static struct hdv_device *find_device(void *handle)
{
	int i, j;

	for (i = 0; i < HOSTS && hosts[i]; i++)
		for (j = 0; j < HDV_DEVICES; j++)
			if (hosts[i]->devices[j] && hosts[i]->devices[j] == handle)
				return hosts[i]->devices[j];
	return NULL;
}

/* Enters the lock for a call on a device; the result is to be returned at once if it has failed. */
static HRESULT enter(const char *call, void *handle, struct hdv_device **device)
{
	HRESULT result = S_OK;

	EnterCriticalSection(&hdv_lock);
	*device = find_device(handle);
	if (!*device || !(*device)->host->alive) {
		hdv_fault("%s: %p is %s", call, handle, *device ? "a device whose host was torn down" : "no device");
		result = E_HANDLE;
	} else if ((*device)->host->lost) {
		result = E_LOST;
	}
	if (FAILED(result))
		LeaveCriticalSection(&hdv_lock);
	return result;
}

static HRESULT leave(HRESULT result)
{
	WakeAllConditionVariable(&hdv_changed);
	LeaveCriticalSection(&hdv_lock);
	return result;
}

/* What was acquired may be given back also when the VM has ended. */
static HRESULT enter_release(const char *call, void *handle, struct hdv_device **device)
{
	HRESULT result = enter(call, handle, device);

	if (result == E_LOST)
		EnterCriticalSection(&hdv_lock);
	return result;
}

/* ---- hosts ---- */

static void ring(struct hdv_host *h)
{
	int i, j;

	EnterCriticalSection(&hdv_lock);
	for (i = 0; i < HDV_DEVICES; i++)
		for (j = 0; h->devices[i] && j < HDV_DOORBELLS; j++)
			if (h->devices[i]->doorbells[j].used)
				SetEvent(h->devices[i]->doorbells[j].event);
	LeaveCriticalSection(&hdv_lock);
}

static void command(struct hdv_host *h, const char *text)
{
	int i;

	EnterCriticalSection(&hdv_lock);
	for (i = HDV_DEVICES - 1; i >= 0; i--)
		if (h->devices[i] && h->devices[i]->state == HDV_STARTED)
			break;
	if (i >= 0)
		memcpy(h->devices[i]->command, text, LAB_TEXT);
	else
		lab_line_send(&h->line, LAB_PLAYED, h->vm.number, 1, 0);
	leave(S_OK);
}

static void received(struct lab_line *line, const struct lab_message *m)
{
	struct hdv_host *h = line->owner;

	if (m && m->type == LAB_RUNG)
		ring(h);
	else if (m && m->type == LAB_PLAY)
		command(h, m->text);
}

static bool resolve(void *system, struct lab_vm *vm)
{
	HMODULE module = GetModuleHandleA("computecore.dll");
	uwlab_system_fn fn = module ? (uwlab_system_fn)(void *)GetProcAddress(module, "UwlabSystem") : NULL;

	return fn && fn(system, vm);
}

static HRESULT initialize(const char *call, void *system, uint32_t flags, HDV_HOST *host)
{
	struct hdv_host *h;
	int i;

	if (!host || flags > HdvDeviceHostFlagInitializeComSecurity) {
		hdv_fault("%s: no place for the host, or flags %x", call, flags);
		return E_INVALIDARG;
	}
	h = calloc(1, sizeof(*h));
	h->system = system;
	if (!resolve(system, &h->vm) || !h->vm.running) {
		hdv_fault("%s: %p is no compute system that runs", call, system);
		free(h);
		return E_INVALIDARG;
	}
	h->line.received = received;
	h->line.owner = h;
	h->memory = calloc(1, HDV_GUEST_MEMORY);
	if (!lab_line_open(&h->line, LAB_ROLE_HDV, h->vm.number)) {
		hdv_fault("%s: no broker", call);
		return E_LOST;
	}
	EnterCriticalSection(&hdv_lock);
	for (i = 0; hosts[i] && i < HOSTS - 1; i++)
		;
	h->alive = true;
	hosts[i] = h;
	*host = h;
	return leave(S_OK);
}

API HdvInitializeDeviceHost(void *system, HDV_HOST *host)
{
	return initialize("HdvInitializeDeviceHost", system, 0, host);
}

API HdvInitializeDeviceHostEx(void *system, HDV_DEVICE_HOST_FLAGS flags, HDV_HOST *host)
{
	return initialize("HdvInitializeDeviceHostEx", system, flags, host);
}

static void check_balance(struct hdv_device *d)
{
	int i;

	for (i = 0; i < HDV_RANGES; i++)
		if (d->ranges[i].used) {
			hdv_fault("teardown: a section-backed range at page %llu of BAR %llu is still there",
				  (unsigned long long)d->ranges[i].first, (unsigned long long)d->ranges[i].bar);
			CloseHandle(d->ranges[i].section);
		}
	for (i = 0; i < HDV_DOORBELLS; i++)
		if (d->doorbells[i].used) {
			hdv_fault("teardown: the doorbell at %llx of BAR %llu is still registered",
				  (unsigned long long)d->doorbells[i].offset, (unsigned long long)d->doorbells[i].bar);
			CloseHandle(d->doorbells[i].event);
		}
	for (i = 0; i < HDV_APERTURES; i++)
		if (d->apertures[i])
			hdv_fault("teardown: the guest memory aperture at %p is still there", d->apertures[i]);
	memset(d->ranges, 0, sizeof(d->ranges));
	memset(d->doorbells, 0, sizeof(d->doorbells));
}

/* The worker calls back while the caller of the teardown waits: whoever holds a lock in both will hang, here as there. */
static DWORD WINAPI stop_devices(void *argument)
{
	struct hdv_host *h = argument;
	int i;

	for (i = 0; i < HDV_DEVICES; i++)
		if (h->devices[i])
			hdv_worker_stop(h->devices[i]);
	return 0;
}

static bool is_guest_thread(struct hdv_host *h)
{
	int i;

	for (i = 0; i < HDV_DEVICES; i++)
		if (h->devices[i] && h->devices[i]->thread && h->devices[i]->thread_id == GetCurrentThreadId())
			return true;
	return false;
}

static bool wait_stopped(struct hdv_host *h)
{
	HANDLE thread = CreateThread(NULL, 0, stop_devices, h, 0, NULL);
	bool done = WaitForSingleObject(thread, 30000) == WAIT_OBJECT_0;

	CloseHandle(thread);
	return done;
}

API HdvTeardownDeviceHost(HDV_HOST host)
{
	struct hdv_host *h;
	int i;

	EnterCriticalSection(&hdv_lock);
	h = find_host(host);
	LeaveCriticalSection(&hdv_lock);
	if (!h || !h->alive) {
		hdv_fault("HdvTeardownDeviceHost: %p is %s", host, h ? "a host that was torn down" : "no host");
		return E_HANDLE;
	}
	if (is_guest_thread(h)) {
		hdv_fault("HdvTeardownDeviceHost: called from inside a callback of one of its devices");
		return E_STATE;
	}
	if (!wait_stopped(h)) {
		hdv_fault("HdvTeardownDeviceHost: the devices' Stop and Teardown have not returned in 30 s");
		return E_FAIL;
	}
	EnterCriticalSection(&hdv_lock);
	h->alive = false;
	for (i = 0; i < HDV_DEVICES; i++)
		if (h->devices[i])
			check_balance(h->devices[i]);
	leave(S_OK);
	lab_line_close(&h->line);
	free(h->memory);
	h->memory = NULL;
	return S_OK;
}

static bool complete(const HDV_PCI_DEVICE_INTERFACE *f)
{
	return f && f->Version == HdvPciDeviceInterfaceVersion1 && f->Initialize && f->Teardown && f->SetConfiguration &&
	       f->GetDetails && f->Start && f->Stop && f->ReadConfigSpace && f->WriteConfigSpace && f->ReadInterceptedMemory &&
	       f->WriteInterceptedMemory;
}

API HdvCreateDeviceInstance(HDV_HOST host, HDV_DEVICE_TYPE type, const GUID *class, const GUID *instance, const void *face,
			    void *context, HDV_DEVICE *device)
{
	struct hdv_host *h;
	struct hdv_device *d;
	int i;

	EnterCriticalSection(&hdv_lock);
	h = find_host(host);
	if (!h || !h->alive) {
		hdv_fault("HdvCreateDeviceInstance: %p is no host", host);
		return leave(E_HANDLE);
	}
	if (type != HdvDeviceTypePCI || !class || !instance || !device || !complete(face)) {
		hdv_fault("HdvCreateDeviceInstance: type %d, or an incomplete interface", type);
		return leave(E_INVALIDARG);
	}
	for (i = 0; i < HDV_DEVICES && h->devices[i]; i++)
		if (IsEqualGUID(&h->devices[i]->instance, instance)) {
			hdv_fault("HdvCreateDeviceInstance: the instance id is used twice");
			return leave(E_INVALIDARG);
		}
	if (i == HDV_DEVICES)
		return leave(E_OUTOFMEMORY);
	d = calloc(1, sizeof(*d));
	d->host = h;
	d->class = *class;
	d->instance = *instance;
	d->face = *(const HDV_PCI_DEVICE_INTERFACE *)face;
	d->context = context;
	h->devices[i] = d;
	*device = d;
	return leave(h->lost ? E_LOST : S_OK);
}

/* ---- guest memory ---- */

static HRESULT guest_memory(const char *call, HDV_DEVICE device, uint64_t at, uint32_t count, void *buffer, uint8_t **memory)
{
	struct hdv_device *d;
	HRESULT result = enter(call, device, &d);

	if (FAILED(result))
		return result;
	if (d->state != HDV_STARTED || !buffer || !count || at >= HDV_GUEST_MEMORY || count > HDV_GUEST_MEMORY - at) {
		hdv_fault("%s: %u bytes at %llx, device in state %d", call, count, (unsigned long long)at, d->state);
		return leave(E_INVALIDARG);
	}
	*memory = d->host->memory + at;
	return S_OK;
}

API HdvReadGuestMemory(HDV_DEVICE device, UINT64 at, UINT32 count, BYTE *buffer)
{
	uint8_t *memory;
	HRESULT result = guest_memory("HdvReadGuestMemory", device, at, count, buffer, &memory);

	if (FAILED(result))
		return result;
	memcpy(buffer, memory, count);
	return leave(S_OK);
}

API HdvWriteGuestMemory(HDV_DEVICE device, UINT64 at, UINT32 count, const BYTE *buffer)
{
	uint8_t *memory;
	HRESULT result = guest_memory("HdvWriteGuestMemory", device, at, count, (void *)buffer, &memory);

	if (FAILED(result))
		return result;
	memcpy(memory, buffer, count);
	return leave(S_OK);
}

API HdvCreateGuestMemoryAperture(HDV_DEVICE device, UINT64 at, UINT32 count, BOOL protect, void **mapped)
{
	struct hdv_device *d = device;
	uint8_t *memory;
	HRESULT result = guest_memory("HdvCreateGuestMemoryAperture", device, at, count, mapped, &memory);
	int i;

	(void)protect;
	if (FAILED(result))
		return result;
	for (i = 0; i < HDV_APERTURES && d->apertures[i]; i++)
		;
	if (i == HDV_APERTURES)
		return leave(E_OUTOFMEMORY);
	d->apertures[i] = *mapped = memory;
	return leave(S_OK);
}

API HdvDestroyGuestMemoryAperture(HDV_DEVICE device, void *mapped)
{
	struct hdv_device *d;
	HRESULT result = enter_release("HdvDestroyGuestMemoryAperture", device, &d);
	int i;

	if (FAILED(result) && result != E_LOST)
		return result;
	for (i = 0; i < HDV_APERTURES; i++)
		if (mapped && d->apertures[i] == mapped) {
			d->apertures[i] = NULL;
			return leave(result);
		}
	hdv_fault("HdvDestroyGuestMemoryAperture: there is none at %p", mapped);
	return leave(E_INVALIDARG);
}

/* ---- interrupts and doorbells ---- */

static bool in_force(const struct hdv_device *d, uint64_t address, uint32_t data)
{
	uint64_t now = hdv_now();
	int i;

	for (i = 0; i < HDV_PAIRS; i++)
		if (d->pairs[i].until && d->pairs[i].address == address && d->pairs[i].data == data &&
		    (d->pairs[i].until == UINT64_MAX || now < d->pairs[i].until + GRACE))
			return true;
	return false;
}

API HdvDeliverGuestInterrupt(HDV_DEVICE device, UINT64 address, UINT32 data)
{
	struct hdv_device *d;
	HRESULT result = enter("HdvDeliverGuestInterrupt", device, &d);

	if (FAILED(result))
		return result;
	if (d->state != HDV_STARTED && d->state != HDV_STARTING) {
		hdv_fault("HdvDeliverGuestInterrupt: the device is not started (state %d)", d->state);
		return leave(E_STATE);
	}
	if (!in_force(d, address, data)) {
		hdv_fault("HdvDeliverGuestInterrupt: %llx, %x is not what the guest has programmed, or is masked or disabled",
			  (unsigned long long)address, data);
		return leave(E_INVALIDARG);
	}
	d->interrupts++;
	leave(S_OK);
	return lab_line_send(&d->host->line, LAB_INTERRUPT, d->host->vm.number, 0, 0) ? S_OK : E_LOST;
}

/* Bytes of a BAR as GetDetails tells them; 0 when there is no such BAR. */
static uint64_t bar_size(const struct hdv_device *d, uint64_t bar)
{
	uint64_t mask;

	if (bar >= HDV_PCI_BAR_COUNT || !d->probed[bar])
		return 0;
	if (bar && (d->probed[bar - 1] & 7) == 4)
		return 0;
	mask = d->probed[bar] & ~15u;
	if ((d->probed[bar] & 6) == 4 && bar + 1 < HDV_PCI_BAR_COUNT)
		mask |= (uint64_t)d->probed[bar + 1] << 32;
	else
		mask |= 0xffffffff00000000ull;
	return -mask;
}

static struct hdv_doorbell *find_doorbell(struct hdv_device *d, uint64_t bar, uint64_t offset, uint64_t trigger,
					  uint64_t flags)
{
	struct hdv_doorbell *b;

	for (b = d->doorbells; b < d->doorbells + HDV_DOORBELLS; b++)
		if (b->used && b->bar == bar && b->offset == offset &&
		    ((flags | b->flags) & HDV_DOORBELL_ANY_VALUE || b->trigger == trigger))
			return b;
	return NULL;
}

/* ivshmem's register is 32 bits wide at offset 12, and the value names a peer: any other doorbell never rings here. */
static bool doorbell_is_ours(const struct hdv_device *d, uint64_t bar, uint64_t offset, uint64_t trigger, uint64_t flags)
{
	uint64_t size = flags & 0x7fffffff;

	if (flags & ~(uint64_t)(HDV_DOORBELL_ANY_VALUE | 7) || size > HDV_DOORBELL_SIZE_MAX) {
		hdv_fault("HdvRegisterDoorbell: flags %llx", (unsigned long long)flags);
		return false;
	}
	if (bar != HDV_REGISTERS || offset != 12 || offset + 4 > bar_size(d, bar) || trigger >> 32 ||
	    (size && size != HDV_DOORBELL_SIZE_DWORD) || flags & HDV_DOORBELL_ANY_VALUE) {
		hdv_fault("HdvRegisterDoorbell: BAR %llu, offset %llx, value %llx, flags %llx never rings", (unsigned long long)bar,
			  (unsigned long long)offset, (unsigned long long)trigger, (unsigned long long)flags);
		return false;
	}
	return true;
}

static HRESULT add_doorbell(struct hdv_device *d, struct hdv_doorbell new, HANDLE event)
{
	struct hdv_doorbell *b;

	if (find_doorbell(d, new.bar, new.offset, new.trigger, new.flags)) {
		hdv_fault("HdvRegisterDoorbell: registered twice");
		return E_INVALIDARG;
	}
	for (b = d->doorbells; b < d->doorbells + HDV_DOORBELLS && b->used; b++)
		;
	if (b == d->doorbells + HDV_DOORBELLS)
		return E_OUTOFMEMORY;
	if (!DuplicateHandle(GetCurrentProcess(), event, GetCurrentProcess(), &new.event, EVENT_MODIFY_STATE | SYNCHRONIZE,
			     FALSE, 0)) {
		hdv_fault("HdvRegisterDoorbell: %p is no event", event);
		return E_HANDLE;
	}
	*b = new;
	b->used = true;
	lab_line_send(&d->host->line, LAB_DOORBELL, d->host->vm.number, new.trigger, 1);
	return S_OK;
}

API HdvRegisterDoorbell(HDV_DEVICE device, HDV_PCI_BAR_SELECTOR bar, UINT64 offset, UINT64 trigger, UINT64 flags,
			HANDLE event)
{
	struct hdv_doorbell new = { .bar = bar, .offset = offset, .trigger = trigger, .flags = flags };
	struct hdv_device *d;
	HRESULT result = enter("HdvRegisterDoorbell", device, &d);

	if (FAILED(result))
		return result;
	if (d->state != HDV_STARTING && d->state != HDV_STARTED) {
		hdv_fault("HdvRegisterDoorbell: the device is not started (state %d)", d->state);
		return leave(E_STATE);
	}
	if (!doorbell_is_ours(d, bar, offset, trigger, flags))
		return leave(E_INVALIDARG);
	return leave(add_doorbell(d, new, event));
}

API HdvUnregisterDoorbell(HDV_DEVICE device, HDV_PCI_BAR_SELECTOR bar, UINT64 offset, UINT64 trigger, UINT64 flags)
{
	struct hdv_device *d;
	struct hdv_doorbell *b;
	HRESULT result = enter_release("HdvUnregisterDoorbell", device, &d);

	if (FAILED(result) && result != E_LOST)
		return result;
	b = find_doorbell(d, bar, offset, trigger, flags);
	if (!b || b->flags != flags) {
		hdv_fault("HdvUnregisterDoorbell: no such doorbell: BAR %d, offset %llx, value %llx, flags %llx", bar,
			  (unsigned long long)offset, (unsigned long long)trigger, (unsigned long long)flags);
		return leave(E_INVALIDARG);
	}
	CloseHandle(b->event);
	b->used = false;
	lab_line_send(&d->host->line, LAB_DOORBELL, d->host->vm.number, trigger, 0);
	return leave(result);
}

/* ---- section-backed ranges ---- */

static uint64_t section_size(HANDLE section)
{
	struct {
		void *base;
		ULONG attributes;
		LARGE_INTEGER size;
	} basic = { 0 };
	LONG(NTAPI *query)(HANDLE, int, void *, SIZE_T, SIZE_T *) =
		(void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), "NtQuerySection");

	return query(section, 0, &basic, sizeof(basic), NULL) >= 0 ? (uint64_t)basic.size.QuadPart : 0;
}

static HRESULT judge_range(struct hdv_device *d, const struct hdv_range *n, HANDLE section)
{
	uint64_t bar = bar_size(d, n->bar) / HDV_PAGE, pages = section_size(section) / HDV_PAGE;
	const struct hdv_range *r;

	if (!d->memory || (d->state != HDV_STARTED && d->state != HDV_STARTING)) {
		hdv_fault("HdvCreateSectionBackedMmioRange: %s", d->memory ? "the device is not started" :
			  "before Memory Space Enable");
		return E_STATE;
	}
	if (!n->pages || n->first >= bar || n->pages > bar - n->first || n->flags & ~(HDV_MMIO_WRITEABLE)) {
		hdv_fault("HdvCreateSectionBackedMmioRange: pages %llu + %llu of BAR %llu (%llu pages), flags %x",
			  (unsigned long long)n->first, (unsigned long long)n->pages, (unsigned long long)n->bar,
			  (unsigned long long)bar, n->flags);
		return E_INVALIDARG;
	}
	if (n->section_first >= pages || n->pages > pages - n->section_first) {
		hdv_fault("HdvCreateSectionBackedMmioRange: pages %llu + %llu of a section of %llu pages",
			  (unsigned long long)n->section_first, (unsigned long long)n->pages, (unsigned long long)pages);
		return E_INVALIDARG;
	}
	for (r = d->ranges; r < d->ranges + HDV_RANGES; r++)
		if (r->used && r->bar == n->bar && n->first < r->first + r->pages && r->first < n->first + n->pages) {
			hdv_fault("HdvCreateSectionBackedMmioRange: page %llu is mapped already", (unsigned long long)n->first);
			return E_INVALIDARG;
		}
	return S_OK;
}

API HdvCreateSectionBackedMmioRange(HDV_DEVICE device, HDV_PCI_BAR_SELECTOR bar, UINT64 first, UINT64 pages, UINT32 flags,
				    HANDLE section, UINT64 section_first)
{
	struct hdv_range new = { true, bar, first, pages, section_first, flags, NULL };
	struct hdv_device *d;
	struct hdv_range *r;
	HRESULT result = enter("HdvCreateSectionBackedMmioRange", device, &d);

	if (FAILED(result))
		return result;
	result = judge_range(d, &new, section);
	for (r = d->ranges; r < d->ranges + HDV_RANGES && r->used; r++)
		;
	if (SUCCEEDED(result) && r == d->ranges + HDV_RANGES)
		result = E_OUTOFMEMORY;
	if (SUCCEEDED(result) && !DuplicateHandle(GetCurrentProcess(), section, GetCurrentProcess(), &new.section, 0, FALSE,
						  DUPLICATE_SAME_ACCESS))
		result = E_HANDLE;
	if (SUCCEEDED(result))
		*r = new;
	return leave(result);
}

API HdvDestroySectionBackedMmioRange(HDV_DEVICE device, HDV_PCI_BAR_SELECTOR bar, UINT64 first)
{
	struct hdv_device *d;
	struct hdv_range *r;
	HRESULT result = enter_release("HdvDestroySectionBackedMmioRange", device, &d);

	if (FAILED(result) && result != E_LOST)
		return result;
	for (r = d->ranges; r < d->ranges + HDV_RANGES; r++)
		if (r->used && r->bar == (uint64_t)bar && r->first == first) {
			CloseHandle(r->section);
			r->used = false;
			return leave(result);
		}
	hdv_fault("HdvDestroySectionBackedMmioRange: nothing begins at page %llu of BAR %d", (unsigned long long)first, bar);
	return leave(E_INVALIDARG);
}

/* ---- what computecore.dll tells ---- */

static struct hdv_device *find_instance(const GUID *vm, const GUID *instance)
{
	int i, j;

	for (i = 0; i < HOSTS && hosts[i]; i++)
		for (j = 0; j < HDV_DEVICES && hosts[i]->alive && IsEqualGUID(&hosts[i]->vm.id, vm); j++)
			if (hosts[i]->devices[j] && IsEqualGUID(&hosts[i]->devices[j]->instance, instance))
				return hosts[i]->devices[j];
	return NULL;
}

API UwlabPlug(const GUID *vm, const GUID *instance, const GUID *class, UINT32 count, const PCWSTR *configuration)
{
	struct hdv_device *d;

	EnterCriticalSection(&hdv_lock);
	d = find_instance(vm, instance);
	if (!d || !IsEqualGUID(&d->class, class) || d->state != HDV_CREATED) {
		hdv_fault("FlexibleIov: no device of that instance and class is waiting");
		return leave(HRESULT_FROM_WIN32(ERROR_NOT_FOUND));
	}
	d->state = HDV_STARTING;
	leave(S_OK);
	return hdv_worker_start(d, count, configuration);
}

/* instance NULL: all of that VM, which has ended. */
API UwlabUnplug(const GUID *vm, const GUID *instance, BOOL gone)
{
	struct hdv_device *d = NULL;
	int i;

	EnterCriticalSection(&hdv_lock);
	for (i = 0; gone && i < HOSTS && hosts[i]; i++)
		if (hosts[i]->alive && IsEqualGUID(&hosts[i]->vm.id, vm))
			hosts[i]->lost = true;
	if (instance)
		d = find_instance(vm, instance);
	leave(S_OK);
	if (instance && !d)
		return HRESULT_FROM_WIN32(ERROR_NOT_FOUND);
	if (d)
		hdv_worker_stop(d);
	for (i = 0; gone && i < HOSTS && hosts[i]; i++)
		if (hosts[i]->alive && IsEqualGUID(&hosts[i]->vm.id, vm))
			wait_stopped(hosts[i]);
	return S_OK;
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, void *reserved)
{
	int i;

	(void)self;
	(void)reserved;
	if (reason == DLL_PROCESS_ATTACH)
		InitializeCriticalSection(&hdv_lock);
	for (i = 0; reason == DLL_PROCESS_DETACH && i < HOSTS && hosts[i]; i++)
		if (hosts[i]->alive)
			hdv_fault("end of the process: a device host of %s was not torn down", hosts[i]->vm.name);
	return TRUE;
}
