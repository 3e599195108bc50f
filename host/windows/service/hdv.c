/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The PCI device that one VM sees.
 *
 *   callbacks (HDV's threads)          mapper (one thread)             courier (one thread, TIME_CRITICAL)
 *   config writes, start, stop ------> maps the region, registers      interrupt event -> MSI
 *   say what is wanted      <--------- the doorbell, undoes both
 *                            settled
 *
 * HDV refuses to map before the guest enables memory, and the guest looks at the region at once afterwards, so the write
 * that enables memory is held until the mapper is done. Whether HDV can map while a callback of the same device has not
 * returned is documented nowhere: so the mapper is a thread of its own, the callback waits for a limited time only, and
 * an access that comes still earlier is intercepted and answered from the section.
 */
#include "hdv.h"

#include <stdio.h>
#include <stdlib.h>

#include "hdvapi.h"
#include "log.h"
#include "loop.h"
#include "wide.h"

#define SETTLE 250u            /* milliseconds that a callback waits for the mapper */
#define SETTLE_LAST 5000u      /* the same for an access that cannot be answered without */
#define DELIVERING 20u         /* milliseconds that a change of the message waits for one under way */

/* Tells Hyper-V which emulator serves the device: {6f2f5a58-7f07-4c69-9a5c-0a1f53b1c1d4} */
static const GUID class_id = { 0x6f2f5a58, 0x7f07, 0x4c69, { 0x9a, 0x5c, 0x0a, 0x1f, 0x53, 0xb1, 0xc1, 0xd4 } };

struct uw_hdv {
	struct uw_hdv_parts parts;
	HANDLE host, device;
	GUID instance;
	struct uw_layout layout;
	const uint8_t *view;           /* of the section, read only: for reads that were intercepted */
	HANDLE mapper, courier, quit;

	SRWLOCK lock;                  /* guards all below */
	CONDITION_VARIABLE changed, settled;
	struct uw_pci pci;
	bool started;                  /* between HDV's start and stop */
	bool closing;
	uint32_t wanted, done;         /* generations of what is wanted of the mapper */
	bool mapped;                   /* as the mapper left it */
	bool delivering;
	struct uw_hdv_numbers numbers;
};

static struct uw_hdv_api api;

/* ---- loading ---- */

static bool get(void *to, const char *name)
{
	FARPROC at = GetProcAddress(api.module, name);

	memcpy(to, &at, sizeof(at));
	return at != NULL;
}

static HRESULT load(void)
{
	/* Some builds have it in computecore.dll instead, which forwards. */
	static const wchar_t *const modules[] = { L"vmdevicehost.dll", L"computecore.dll" };
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(modules) && !api.unmap; i++) {
		api.module = LoadLibraryExW(modules[i], NULL,
					    LOAD_LIBRARY_SEARCH_SYSTEM32 | LOAD_LIBRARY_SEARCH_APPLICATION_DIR);
		if (!api.module)
			continue;
		get(&api.init_ex, "HdvInitializeDeviceHostEx");
		if (get(&api.init, "HdvInitializeDeviceHost") && get(&api.fini, "HdvTeardownDeviceHost") &&
		    get(&api.create, "HdvCreateDeviceInstance") && get(&api.deliver, "HdvDeliverGuestInterrupt") &&
		    get(&api.ring, "HdvRegisterDoorbell") && get(&api.unring, "HdvUnregisterDoorbell") &&
		    get(&api.map, "HdvCreateSectionBackedMmioRange") &&
		    get(&api.unmap, "HdvDestroySectionBackedMmioRange"))
			return S_OK;
		api.unmap = NULL;
	}
	return api.unmap ? S_OK : HRESULT_FROM_WIN32(ERROR_MOD_NOT_FOUND);
}

/* ---- the mapper ---- */

static void unmap_all(struct uw_hdv *h, const struct uw_mmio_range *ranges, uint32_t count)
{
	HRESULT result;

	while (count--) {
		result = api.unmap(h->device, UW_PCI_BAR_REGION, ranges[count].page);
		if (FAILED(result)) /* as it does when the VM has ended, and its device with it */
			uw_log(UW_LOG_DEBUG, "HDV does not unmap page %u: %s", (uint32_t)ranges[count].page,
			       uw_error_text((uint32_t)result));
	}
}

static bool map_all(struct uw_hdv *h, const struct uw_mmio_range *ranges, uint32_t count)
{
	HRESULT result;
	uint32_t i;

	for (i = 0; i < count; i++) {
		result = api.map(h->device, UW_PCI_BAR_REGION, ranges[i].page, ranges[i].pages,
				 ranges[i].writable ? UW_HDV_WRITEABLE : 0, h->parts.section, ranges[i].page);
		if (SUCCEEDED(result))
			continue;
		uw_log(UW_LOG_ERROR, "HDV does not map pages %u and following: %s", (uint32_t)ranges[i].page,
		       uw_error_text((uint32_t)result));
		unmap_all(h, ranges, i);
		return false;
	}
	return true;
}

static bool ring(struct uw_hdv *h, bool on)
{
	HRESULT result;

	if (on)
		result = api.ring(h->device, UW_PCI_BAR_REGISTERS, UW_PCI_REGISTER_DOORBELL, h->parts.doorbell_value,
				  UW_HDV_DOORBELL_DWORD, h->parts.doorbell);
	else
		result = api.unring(h->device, UW_PCI_BAR_REGISTERS, UW_PCI_REGISTER_DOORBELL,
				    h->parts.doorbell_value, UW_HDV_DOORBELL_DWORD);
	if (FAILED(result) && on)
		uw_log(UW_LOG_WARNING, "HDV does not register the doorbell, so each kick is intercepted: %s",
		       uw_error_text((uint32_t)result));
	else if (FAILED(result))
		uw_log(UW_LOG_DEBUG, "HDV does not unregister the doorbell: %s", uw_error_text((uint32_t)result));
	return on && SUCCEEDED(result);
}

static DWORD WINAPI mapper_main(void *arg)
{
	struct uw_hdv *h = arg;
	struct uw_mmio_range ranges[UW_MMIO_RANGES];
	uint32_t count = uw_mmio_ranges(&h->layout, ranges), generation;
	bool mapped = false, rings = false, map, bell, closing = false;

	AcquireSRWLockExclusive(&h->lock);
	while (!closing || mapped || rings) {
		while (h->done == h->wanted && !h->closing)
			SleepConditionVariableSRW(&h->changed, &h->lock, INFINITE, 0);
		generation = h->wanted;
		closing = h->closing;
		bell = h->started && !closing;
		map = bell && uw_pci_memory(&h->pci);
		ReleaseSRWLockExclusive(&h->lock);
		if (bell != rings)
			rings = ring(h, bell);
		if (map && !mapped)
			mapped = map_all(h, ranges, count);
		else if (!map && mapped)
			unmap_all(h, ranges, count);
		mapped = map && mapped;
		AcquireSRWLockExclusive(&h->lock);
		h->mapped = mapped;
		h->done = generation;
		WakeAllConditionVariable(&h->settled);
		if (closing)
			break;
	}
	ReleaseSRWLockExclusive(&h->lock);
	return 0;
}

/* With the lock held. Tells the mapper that something is wanted, and waits a moment for it. */
static void settle(struct uw_hdv *h, DWORD patience)
{
	uint32_t generation = ++h->wanted;

	WakeAllConditionVariable(&h->changed);
	/* On closing the mapper undoes everything by itself, and may be gone already. */
	while (!h->closing && uw_ahead(generation, h->done) > 0)
		if (!SleepConditionVariableSRW(&h->settled, &h->lock, patience, 0))
			break;
}

/* ---- the courier ---- */

static bool take_message(struct uw_hdv *h, uint64_t *address, uint32_t *data)
{
	bool send = false;

	AcquireSRWLockExclusive(&h->lock);
	if (h->started)
		send = uw_pci_interrupt(&h->pci, address, data);
	else
		h->pci.latched = true;
	h->delivering = send;
	h->numbers.masked += !send;
	ReleaseSRWLockExclusive(&h->lock);
	return send;
}

/* The lock is not held while HDV works: a config write must not wait for a delivery that may wait for it. */
static void deliver(struct uw_hdv *h)
{
	uint64_t begun = uw_clock(), address;
	HRESULT result;
	uint32_t data;

	if (!take_message(h, &address, &data))
		return;
	result = api.deliver(h->device, address, data);
	AcquireSRWLockExclusive(&h->lock);
	h->delivering = false;
	h->numbers.interrupts++;
	h->numbers.failed += FAILED(result);
	uw_histogram_add(&h->numbers.latency, uw_clock() - begun);
	WakeAllConditionVariable(&h->settled);
	ReleaseSRWLockExclusive(&h->lock);
}

static DWORD WINAPI courier_main(void *arg)
{
	struct uw_hdv *h = arg;
	HANDLE events[] = { h->quit, h->parts.interrupt };

	SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_TIME_CRITICAL);
	while (WaitForMultipleObjects(2, events, FALSE, INFINITE) == WAIT_OBJECT_0 + 1)
		deliver(h);
	return 0;
}

/* ---- callbacks ---- */

static HRESULT CALLBACK on_initialize(void *context)
{
	(void)context;
	return S_OK;
}

static void CALLBACK on_teardown(void *context)
{
	struct uw_hdv *h = context;

	h->parts.ended(h->parts.context);
}

static HRESULT CALLBACK on_configuration(void *context, UINT32 count, const PCWSTR *values)
{
	(void)context;
	(void)count;
	(void)values;
	return S_OK;
}

static HRESULT CALLBACK on_details(void *context, struct uw_hdv_id *id, UINT32 bars, UINT32 *masks)
{
	struct uw_hdv *h = context;
	uint32_t all[UW_PCI_BARS], i;

	*id = (struct uw_hdv_id){
		.vendor = UW_PCI_VENDOR,
		.device = UW_PCI_DEVICE,
		.revision = UW_PCI_REVISION,
		.class_code = UW_PCI_CLASS,
		.subsystem_vendor = UW_PCI_SUBSYSTEM_VENDOR,
		.subsystem = UW_PCI_SUBSYSTEM,
	};
	uw_pci_probe(&h->pci, all);
	for (i = 0; i < bars; i++)
		masks[i] = i < UW_PCI_BARS ? all[i] : 0;
	return S_OK;
}

static HRESULT CALLBACK on_start(void *context)
{
	struct uw_hdv *h = context;
	bool latched;

	AcquireSRWLockExclusive(&h->lock);
	/* The session's first kick may have come before; one interrupt too many costs a look, one too few half a minute. */
	latched = h->pci.latched;
	uw_pci_init(&h->pci, h->parts.size, h->parts.wide);
	h->pci.latched = latched;
	h->started = true;
	settle(h, SETTLE);
	ReleaseSRWLockExclusive(&h->lock);
	return S_OK;
}

static void CALLBACK on_stop(void *context)
{
	struct uw_hdv *h = context;

	AcquireSRWLockExclusive(&h->lock);
	h->started = false;
	settle(h, SETTLE_LAST);
	while (h->delivering && SleepConditionVariableSRW(&h->settled, &h->lock, SETTLE, 0))
		;
	ReleaseSRWLockExclusive(&h->lock);
	h->parts.ended(h->parts.context);
}

static HRESULT CALLBACK on_read_config(void *context, UINT32 offset, UINT32 *value)
{
	struct uw_hdv *h = context;

	AcquireSRWLockShared(&h->lock);
	*value = uw_pci_read(&h->pci, offset, 4);
	ReleaseSRWLockShared(&h->lock);
	return S_OK;
}

/*
 * When the guest moves its interrupt elsewhere it may soon use the old vector for something else: so such a write
 * returns when no delivery to the old place is under way any more, or when that takes suspiciously long.
 */
static HRESULT CALLBACK on_write_config(void *context, UINT32 offset, UINT32 value)
{
	struct uw_hdv *h = context;
	struct uw_pci_change change;

	AcquireSRWLockExclusive(&h->lock);
	uw_pci_write(&h->pci, offset, 4, value, &change);
	if (change.memory)
		settle(h, SETTLE);
	while (change.message && h->delivering && SleepConditionVariableSRW(&h->settled, &h->lock, DELIVERING, 0))
		;
	ReleaseSRWLockExclusive(&h->lock);
	if (change.deliver)
		SetEvent(h->parts.interrupt);
	return S_OK;
}

/* Answers from the section once it is mapped: an access that comes before that would else see no device. */
static void read_region(struct uw_hdv *h, UINT64 offset, UINT64 length, BYTE *value)
{
	AcquireSRWLockExclusive(&h->lock);
	if (h->started && uw_pci_memory(&h->pci) && !h->mapped)
		settle(h, SETTLE_LAST);
	ReleaseSRWLockExclusive(&h->lock);
	if (offset <= h->parts.size && length <= h->parts.size - offset)
		memcpy(value, h->view + offset, length);
}

/* The registers of ivshmem but the doorbell read as zero: the guest is peer 0, and has no interrupt that is a level. */
static HRESULT CALLBACK on_read_memory(void *context, int bar, UINT64 offset, UINT64 length, BYTE *value)
{
	struct uw_hdv *h = context;

	memset(value, 0, length);
	if (bar == UW_PCI_BAR_REGION)
		read_region(h, offset, length, value);
	return S_OK;
}

/* Kicks arrive here when HDV could not register the doorbell; writes to pages of the host go nowhere. */
static HRESULT CALLBACK on_write_memory(void *context, int bar, UINT64 offset, UINT64 length, const BYTE *value)
{
	struct uw_hdv *h = context;
	uint32_t written;

	if (bar != UW_PCI_BAR_REGISTERS || offset != UW_PCI_REGISTER_DOORBELL || length != sizeof(written))
		return S_OK;
	memcpy(&written, value, sizeof(written));
	if (written == h->parts.doorbell_value)
		SetEvent(h->parts.doorbell);
	return S_OK;
}

static const struct uw_hdv_face face = {
	.version = UW_HDV_INTERFACE_1,
	.initialize = on_initialize,
	.teardown = on_teardown,
	.set_configuration = on_configuration,
	.get_details = on_details,
	.start = on_start,
	.stop = on_stop,
	.read_config = on_read_config,
	.write_config = on_write_config,
	.read_memory = on_read_memory,
	.write_memory = on_write_memory,
};

/* ---- the whole ---- */

/* COM's security is a matter of the whole process and is set once; HDV does it where it knows how. */
static HRESULT init_host(struct uw_hdv *h, struct uw_hcs *hcs)
{
	static bool com_done;
	HRESULT result;

	if (!api.init_ex)
		return api.init(hcs->system, &h->host);
	result = api.init_ex(hcs->system, com_done ? 0 : UW_HDV_COM_SECURITY, &h->host);
	if (result == RPC_E_TOO_LATE)
		result = api.init_ex(hcs->system, 0, &h->host);
	com_done |= SUCCEEDED(result);
	return result;
}

static void guid_text(const GUID *g, wchar_t *to, size_t count)
{
	swprintf(to, count, L"%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", g->Data1, g->Data2, g->Data3,
		 g->Data4[0], g->Data4[1], g->Data4[2], g->Data4[3], g->Data4[4], g->Data4[5], g->Data4[6],
		 g->Data4[7]);
}

static HRESULT modify(struct uw_hdv *h, struct uw_hcs *hcs, const wchar_t *request, const wchar_t *model)
{
	wchar_t document[400], instance[40], emulator[40], settings[200] = L"";

	guid_text(&h->instance, instance, UW_COUNT_OF(instance));
	guid_text(&class_id, emulator, UW_COUNT_OF(emulator));
	if (model)
		swprintf(settings, UW_COUNT_OF(settings),
			 L",\"Settings\":{\"EmulatorId\":\"%ls\",\"HostingModel\":\"%ls\",\"Configuration\":[]}",
			 emulator, model);
	swprintf(document, UW_COUNT_OF(document),
		 L"{\"ResourcePath\":\"VirtualMachine/Devices/FlexibleIov/%ls\",\"RequestType\":\"%ls\"%ls}", instance,
		 request, settings);
	return uw_hcs_modify(hcs, document);
}

/* Which hosting model a Windows takes is not documented: both are tried, and the log says which it was. */
static HRESULT add_device(struct uw_hdv *h, struct uw_hcs *hcs)
{
	static const wchar_t *const models[] = { L"External", L"ExternalRestricted" };
	HRESULT result = E_FAIL;
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(models); i++) {
		result = modify(h, hcs, L"Add", models[i]);
		uw_log(UW_LOG_INFO, "hosting model %ls: %s", models[i],
		       SUCCEEDED(result) ? "taken" : uw_error_text((uint32_t)result));
		if (SUCCEEDED(result))
			break;
	}
	return result;
}

static bool start_threads(struct uw_hdv *h)
{
	h->quit = CreateEventW(NULL, TRUE, FALSE, NULL);
	h->view = MapViewOfFile(h->parts.section, FILE_MAP_READ, 0, 0, h->parts.size);
	if (!h->quit || !h->view)
		return false;
	h->mapper = CreateThread(NULL, 0, mapper_main, h, 0, NULL);
	h->courier = CreateThread(NULL, 0, courier_main, h, 0, NULL);
	return h->mapper && h->courier;
}

static void join(HANDLE *thread)
{
	if (!*thread)
		return;
	WaitForSingleObject(*thread, INFINITE);
	CloseHandle(*thread);
	*thread = NULL;
}

static HRESULT failed(const char *what, HRESULT result)
{
	if (FAILED(result))
		uw_log(UW_LOG_ERROR, "%s: %s", what, uw_error_text((uint32_t)result));
	return result;
}

static HRESULT open_device(struct uw_hdv *h, struct uw_hcs *hcs)
{
	HRESULT result = failed("HDV does not take this VM", init_host(h, hcs));

	if (FAILED(result))
		return result;
	result = api.create(h->host, UW_HDV_TYPE_PCI, &class_id, &h->instance, &face, h, &h->device);
	if (FAILED(failed("HDV makes no device", result)))
		return result;
	if (!start_threads(h))
		return failed("threads", HRESULT_FROM_WIN32(GetLastError()));
	return failed("the VM does not take the device", add_device(h, hcs));
}

/* An instance id of its own each time: a VM keeps the device of a service that was killed, and would refuse the same. */
static bool make_instance(GUID *instance)
{
	BOOLEAN(NTAPI *random)(void *to, ULONG bytes);
	HMODULE module = GetModuleHandleW(L"advapi32.dll");
	FARPROC at = module ? GetProcAddress(module, "SystemFunction036") : NULL; /* RtlGenRandom, documented so */

	memcpy(&random, &at, sizeof(at));
	return at && random(instance, sizeof(*instance));
}

struct uw_hdv *uw_hdv_open(struct uw_hcs *hcs, const struct uw_hdv_parts *parts, HRESULT *result)
{
	struct uw_hdv *h;

	*result = failed("vmdevicehost.dll cannot be used; Hyper-V's features must be on", load());
	if (FAILED(*result))
		return NULL;
	h = calloc(1, sizeof(*h));
	if (!h || !make_instance(&h->instance)) {
		*result = E_OUTOFMEMORY;
		free(h);
		return NULL;
	}
	h->parts = *parts;
	InitializeSRWLock(&h->lock);
	InitializeConditionVariable(&h->changed);
	InitializeConditionVariable(&h->settled);
	uw_layout_default(&h->layout, parts->size);
	uw_pci_init(&h->pci, parts->size, parts->wide);
	*result = open_device(h, hcs);
	if (SUCCEEDED(*result))
		return h;
	uw_hdv_close(h, hcs);
	return NULL;
}

/*
 * Setup read backwards: no interrupt any more; ranges and doorbell, which belong to the device; the device out of the
 * VM, where that works, so that the guest sees it leave instead of falling silent; then the host with its device.
 */
void uw_hdv_close(struct uw_hdv *h, struct uw_hcs *hcs)
{
	HRESULT result;

	if (h->quit)
		SetEvent(h->quit);
	join(&h->courier);
	AcquireSRWLockExclusive(&h->lock);
	h->closing = true;
	WakeAllConditionVariable(&h->changed);
	ReleaseSRWLockExclusive(&h->lock);
	join(&h->mapper);
	if (h->device && hcs->system && h->numbers.interrupts + h->wanted) {
		result = modify(h, hcs, L"Remove", NULL);
		uw_log(UW_LOG_DEBUG, "taking the device out of the VM: %s",
		       SUCCEEDED(result) ? "done" : uw_error_text((uint32_t)result));
	}
	if (h->host)
		failed("HDV does not let the VM go", api.fini(h->host));
	if (h->view)
		UnmapViewOfFile(h->view);
	if (h->quit)
		CloseHandle(h->quit);
	free(h);
}

void uw_hdv_numbers(struct uw_hdv *h, struct uw_hdv_numbers *numbers)
{
	AcquireSRWLockShared(&h->lock);
	*numbers = h->numbers;
	ReleaseSRWLockShared(&h->lock);
}
