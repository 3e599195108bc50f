// SPDX-License-Identifier: GPL-2.0-only
/*
 * The smallest correct user of HDV and HCS, and with an argument one that makes the mistake of that name: the stand-ins
 * must find nothing to say of the former, and each of the latter. It counts the guest's doorbells in the first word of
 * the region's data part and answers each with an interrupt.
 */
#include "hdvapi.h"

#include <computecore.h>
#include <sddl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

#define MSI 0x40u
#define TRIGGER (1u << 16)
#define OURS(name) static name##_fn *p##name

typedef HRESULT WINAPI HdvInitializeDeviceHostEx_fn(HCS_SYSTEM, HDV_DEVICE_HOST_FLAGS, HDV_HOST *);
typedef HRESULT WINAPI HdvTeardownDeviceHost_fn(HDV_HOST);
typedef HRESULT WINAPI HdvCreateDeviceInstance_fn(HDV_HOST, HDV_DEVICE_TYPE, const GUID *, const GUID *, const void *, void *,
						  HDV_DEVICE *);
typedef HRESULT WINAPI HdvDeliverGuestInterrupt_fn(HDV_DEVICE, UINT64, UINT32);
typedef HRESULT WINAPI HdvRegisterDoorbell_fn(HDV_DEVICE, HDV_PCI_BAR_SELECTOR, UINT64, UINT64, UINT64, HANDLE);
typedef HRESULT WINAPI HdvUnregisterDoorbell_fn(HDV_DEVICE, HDV_PCI_BAR_SELECTOR, UINT64, UINT64, UINT64);
typedef HRESULT WINAPI HdvCreateSectionBackedMmioRange_fn(HDV_DEVICE, HDV_PCI_BAR_SELECTOR, UINT64, UINT64, UINT32, HANDLE,
							  UINT64);
typedef HRESULT WINAPI HdvDestroySectionBackedMmioRange_fn(HDV_DEVICE, HDV_PCI_BAR_SELECTOR, UINT64);
typedef HRESULT WINAPI HcsEnumerateComputeSystems_fn(PCWSTR, HCS_OPERATION);
typedef HCS_OPERATION WINAPI HcsCreateOperation_fn(const void *, HCS_OPERATION_COMPLETION);
typedef void WINAPI HcsCloseOperation_fn(HCS_OPERATION);
typedef HRESULT WINAPI HcsWaitForOperationResult_fn(HCS_OPERATION, DWORD, PWSTR *);
typedef HRESULT WINAPI HcsOpenComputeSystem_fn(PCWSTR, DWORD, HCS_SYSTEM *);
typedef void WINAPI HcsCloseComputeSystem_fn(HCS_SYSTEM);
typedef HRESULT WINAPI HcsModifyComputeSystem_fn(HCS_SYSTEM, HCS_OPERATION, PCWSTR, HANDLE);
typedef HRESULT WINAPI HcsSetComputeSystemCallback_fn(HCS_SYSTEM, HCS_EVENT_OPTIONS, const void *, HCS_EVENT_CALLBACK);

OURS(HdvInitializeDeviceHostEx);
OURS(HdvTeardownDeviceHost);
OURS(HdvCreateDeviceInstance);
OURS(HdvDeliverGuestInterrupt);
OURS(HdvRegisterDoorbell);
OURS(HdvUnregisterDoorbell);
OURS(HdvCreateSectionBackedMmioRange);
OURS(HdvDestroySectionBackedMmioRange);
OURS(HcsEnumerateComputeSystems);
OURS(HcsCreateOperation);
OURS(HcsCloseOperation);
OURS(HcsWaitForOperationResult);
OURS(HcsOpenComputeSystem);
OURS(HcsCloseComputeSystem);
OURS(HcsModifyComputeSystem);
OURS(HcsSetComputeSystemCallback);

static const GUID class = { 0x2f1c0a11, 0x7e2b, 0x4f5d, { 0x9a, 1, 2, 3, 4, 5, 6, 7 } };
static const GUID instance = { 0x51d3b6aa, 0x03c5, 0x4dd2, { 0x80, 1, 2, 3, 4, 5, 6, 8 } };

static const char *mistake = "none";
static CRITICAL_SECTION lock;       /* of configuration space: an interrupt is delivered under it */
static uint32_t config[64], size;
static bool mapped, pending;
static HANDLE section, doorbell, ended;
static uint8_t *region;
static struct uw_layout layout;
static HDV_DEVICE device;
static HDV_HOST host;

static bool is(const char *name)
{
	return !strcmp(mistake, name);
}

static void must(HRESULT result, const char *what)
{
	if (SUCCEEDED(result))
		return;
	printf("%s: %lx\n", what, (unsigned long)result);
	fflush(stdout);
	exit(1);
}

/* ---- the region in the BAR ---- */

static void map_pages(uint32_t from, uint32_t to, uint32_t flags)
{
	pHdvCreateSectionBackedMmioRange(device, 2, from / 4096, (to - from) / 4096, flags | (is("executable") ? 2 : 0),
					 section, from / 4096 + (is("offset") && from == layout.data));
}

static void map_region(void)
{
	uint32_t host_flags = is("writeable") ? HDV_MMIO_WRITEABLE : 0, guest_flags = is("readonly") ? 0 : HDV_MMIO_WRITEABLE;

	map_pages(0, 0x1000, host_flags);
	map_pages(0x1000, layout.comp_ring, guest_flags);
	map_pages(layout.comp_ring, layout.data, host_flags);
	map_pages(layout.data, is("offset") || is("hole") ? size - 4096 : size, guest_flags);
	if (is("offset"))
		map_pages(size - 4096, size, guest_flags);
	if (is("twice"))
		map_pages(0x1000, 0x2000, guest_flags);
	mapped = true;
}

static void unmap_region(void)
{
	if (!mapped)
		return;
	mapped = false;
	pHdvDestroySectionBackedMmioRange(device, 2, 0);
	pHdvDestroySectionBackedMmioRange(device, 2, 1);
	pHdvDestroySectionBackedMmioRange(device, 2, layout.comp_ring / 4096);
	if (is("offset"))
		pHdvDestroySectionBackedMmioRange(device, 2, size / 4096 - 1);
	if (!is("range"))
		pHdvDestroySectionBackedMmioRange(device, 2, layout.data / 4096);
}

/* ---- interrupts ---- */

static bool may_interrupt(void)
{
	return is("enabled") || (config[MSI / 4] >> 16 & 1 && (is("masked") || !(config[MSI / 4 + 4] & 1)));
}

/* Called with the lock held. */
static void interrupt(void)
{
	UINT64 address = config[MSI / 4 + 1] | (UINT64)config[MSI / 4 + 2] << 32;

	pending = !may_interrupt();
	if (!pending)
		pHdvDeliverGuestInterrupt(device, is("address") ? address ^ 0x1000 : address,
					  config[MSI / 4 + 3] + is("data"));
}

/* ---- the device's callbacks ---- */

static HRESULT CALLBACK initialize(void *context)
{
	(void)context;
	return S_OK;
}

static void CALLBACK teardown(void *context)
{
	(void)context;
}

static HRESULT CALLBACK set_configuration(void *context, UINT32 count, const PCWSTR *values)
{
	(void)context;
	(void)values;
	return count ? E_INVALIDARG : S_OK;
}

static HRESULT CALLBACK get_details(void *context, HDV_PCI_PNP_ID *id, UINT32 count, UINT32 *probed)
{
	HDV_PCI_PNP_ID ours = { 0x1af4, 0x1110, 1, 0, 0, 5, 0x1af4, is("ids") ? 0x1101 : 0x1100 };

	(void)context;
	memset(probed, 0, count * sizeof(*probed));
	*id = ours;
	probed[0] = is("bar") ? 0xffffe000 : 0xfffff000;
	probed[2] = 0u - size;
	return S_OK;
}

static HRESULT CALLBACK start(void *context)
{
	(void)context;
	if (is("early"))
		map_pages(0, 0x1000, 0);
	if (!is("doorbell"))
		pHdvRegisterDoorbell(device, 0, 12, TRIGGER, is("any") ? HDV_DOORBELL_ANY_VALUE : HDV_DOORBELL_SIZE_DWORD,
				     doorbell);
	return S_OK;
}

static void CALLBACK stop(void *context)
{
	(void)context;
	unmap_region();
	if (!is("registered") && !is("doorbell"))
		pHdvUnregisterDoorbell(device, 0, 12, TRIGGER, HDV_DOORBELL_SIZE_DWORD);
}

static HRESULT CALLBACK read_config(void *context, UINT32 offset, UINT32 *value)
{
	static uint32_t count;

	(void)context;
	*value = offset < sizeof(config) ? config[offset / 4] : 0;
	if (is("unstable") && offset == 0x3c)
		*value = count++;
	return S_OK;
}

static uint32_t writable(uint32_t offset)
{
	switch (offset) {
	case 0x04: return 0x406;
	case 0x10: return 0xfffff000;
	case 0x18: return is("sizing") ? 0xffff0000u & (0u - size) << 1 : 0u - size;
	case MSI: return 0x10000;
	case MSI + 4: return 0xfffffffc;
	case MSI + 8: return 0xffffffff;
	case MSI + 12: return 0xffff;
	case MSI + 16: return 1;
	default: return is("fixed") && offset == 0x2c ? 0xffffffff : 0;
	}
}

static HRESULT CALLBACK write_config(void *context, UINT32 offset, UINT32 value)
{
	uint32_t mask = writable(offset);

	(void)context;
	EnterCriticalSection(&lock);
	config[offset / 4] = (config[offset / 4] & ~mask) | (value & mask);
	if (pending && may_interrupt())
		interrupt();
	LeaveCriticalSection(&lock);
	if (offset != 4)
		return S_OK;
	if (value & 2 && !mapped)
		map_region();
	else if (!(value & 2))
		unmap_region();
	return S_OK;
}

static HRESULT CALLBACK read_bar(void *context, HDV_PCI_BAR_SELECTOR bar, UINT64 offset, UINT64 length, BYTE *value)
{
	(void)context;
	(void)bar;
	(void)offset;
	memset(value, 0, is("overrun") ? 8 : length);
	return S_OK;
}

static HRESULT CALLBACK write_bar(void *context, HDV_PCI_BAR_SELECTOR bar, UINT64 offset, UINT64 length, const BYTE *value)
{
	(void)context;
	if (is("intercept") && bar == 2)
		memcpy(region + offset, value, length);
	return is("refuse") ? E_FAIL : S_OK;
}

static const HDV_PCI_DEVICE_INTERFACE face = {
	HdvPciDeviceInterfaceVersion1, initialize, teardown, set_configuration, get_details, start, stop, read_config,
	write_config, read_bar, write_bar,
};

/* ---- the program ---- */

static void load(void)
{
	HMODULE hcs = LoadLibraryA("computecore.dll"), hdv = LoadLibraryA("vmdevicehost.dll");

#define GET(module, name) p##name = (name##_fn *)(void *)GetProcAddress(module, #name)
	GET(hdv, HdvInitializeDeviceHostEx);
	GET(hdv, HdvTeardownDeviceHost);
	GET(hdv, HdvCreateDeviceInstance);
	GET(hdv, HdvDeliverGuestInterrupt);
	GET(hdv, HdvRegisterDoorbell);
	GET(hdv, HdvUnregisterDoorbell);
	GET(hdv, HdvCreateSectionBackedMmioRange);
	GET(hdv, HdvDestroySectionBackedMmioRange);
	GET(hcs, HcsEnumerateComputeSystems);
	GET(hcs, HcsCreateOperation);
	GET(hcs, HcsCloseOperation);
	GET(hcs, HcsWaitForOperationResult);
	GET(hcs, HcsOpenComputeSystem);
	GET(hcs, HcsCloseComputeSystem);
	GET(hcs, HcsModifyComputeSystem);
	GET(hcs, HcsSetComputeSystemCallback);
}

/* The id of the first VM that WSL owns; waits for one. */
static void find_vm(WCHAR id[40])
{
	PWSTR document;
	WCHAR *at;

	for (;;) {
		HCS_OPERATION operation = pHcsCreateOperation(NULL, NULL);

		must(pHcsEnumerateComputeSystems(L"{\"Owners\":[\"WSL\"]}", operation), "enumerate");
		must(pHcsWaitForOperationResult(operation, 5000, &document), "enumerate");
		pHcsCloseOperation(operation);
		at = wcsstr(document, L"\"Id\":\"");
		if (at)
			wcsncpy(id, at + 6, 36);
		LocalFree(document);
		if (at)
			return;
		Sleep(50);
	}
}

/* The section's descriptor names the VM by its GUID, as four words. */
static void make_section(const WCHAR *id)
{
	SECURITY_ATTRIBUTES attributes = { sizeof(attributes), NULL, FALSE };
	unsigned int d1, d2, d3, d4[8], i;
	char sddl[160];
	uint32_t words[4];
	uint8_t raw[16];

	swscanf(id, L"%8x-%4x-%4x-%2x%2x-%2x%2x%2x%2x%2x%2x", &d1, &d2, &d3, &d4[0], &d4[1], &d4[2], &d4[3], &d4[4], &d4[5],
		&d4[6], &d4[7]);
	memcpy(raw, &d1, 4);
	memcpy(raw + 4, &d2, 2);
	memcpy(raw + 6, &d3, 2);
	for (i = 0; i < 8; i++)
		raw[8 + i] = (uint8_t)d4[i];
	memcpy(words, raw, 16);
	snprintf(sddl, sizeof(sddl), "D:P(A;;GA;;;SY)(A;;GA;;;S-1-5-83-1-%u-%u-%u-%u)%s", words[0], words[1], words[2], words[3],
		 is("users") ? "(A;;GR;;;BU)" : "");
	if (!is("descriptor") &&
	    !ConvertStringSecurityDescriptorToSecurityDescriptorA(sddl, 1, &attributes.lpSecurityDescriptor, NULL))
		must(E_FAIL, "security descriptor");
	section = CreateFileMappingW(INVALID_HANDLE_VALUE, &attributes, PAGE_READWRITE, 0, size, is("named") ? L"uw" : NULL);
	if (!section)
		must(HRESULT_FROM_WIN32(GetLastError()), "section");
	LocalFree(attributes.lpSecurityDescriptor);
	region = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, size);
}

static void publish(void)
{
	uw_layout_default(&layout, size);
	layout.doorbell = TRIGGER;
	if (!is("unpublished"))
		uw_layout_write(&layout, (struct uw_host_page *)region);
	config[0] = 0x11101af4;
	config[1] = is("memory") ? 0x00100002 : 0x00100000;
	config[2] = 0x05000001;
	config[0x2c / 4] = 0x11001af4;
	config[0x34 / 4] = is("capability") ? 0 : MSI;
	config[MSI / 4] = 0x01800005 | (is("circle") ? MSI << 8 : 0);
}

static void CALLBACK on_event(HCS_EVENT *event, void *context)
{
	(void)context;
	if (event->Type == HcsEventSystemExited)
		SetEvent(ended);
}

static void attach(HCS_SYSTEM system)
{
	HCS_OPERATION operation = pHcsCreateOperation(NULL, NULL);
	PWSTR document;

	must(pHdvInitializeDeviceHostEx(system, 1, &host), "HdvInitializeDeviceHostEx");
	must(pHdvCreateDeviceInstance(host, HdvDeviceTypePCI, &class, &instance, &face, NULL, &device), "device");
	must(pHcsModifyComputeSystem(system, operation, is("json") ? L"{\"ResourcePath\":}" :
		L"{\"ResourcePath\":\"VirtualMachine/Devices/FlexibleIov/51d3b6aa-03c5-4dd2-8001-020304050608\","
		L"\"RequestType\":\"Add\",\"Settings\":{\"EmulatorId\":\"2f1c0a11-7e2b-4f5d-9a01-020304050607\","
		L"\"HostingModel\":\"External\",\"Configuration\":[]}}", NULL), "modify");
	must(pHcsWaitForOperationResult(operation, 10000, &document), "modify");
	if (!is("operation"))
		pHcsCloseOperation(operation);
}

static void serve(void)
{
	HANDLE wait[2] = { ended, doorbell };

	while (WaitForMultipleObjects(2, wait, FALSE, INFINITE) == WAIT_OBJECT_0 + 1) {
		++*(volatile uint32_t *)(region + layout.data);
		EnterCriticalSection(&lock);
		interrupt();
		LeaveCriticalSection(&lock);
	}
}

int main(int argc, char **argv)
{
	HCS_SYSTEM system;
	WCHAR id[40] = L"";

	if (argc > 1)
		mistake = argv[1];
	size = argc > 2 ? strtoul(argv[2], NULL, 0) : 32u << 20;
	InitializeCriticalSection(&lock);
	doorbell = CreateEventA(NULL, FALSE, FALSE, NULL);
	ended = CreateEventA(NULL, FALSE, FALSE, NULL);
	load();
	find_vm(id);
	must(pHcsOpenComputeSystem(id, GENERIC_ALL, &system), "open");
	must(pHcsSetComputeSystemCallback(system, HcsEventOptionNone, NULL, on_event), "callback");
	make_section(id);
	publish();
	attach(system);
	printf("attached\n");
	fflush(stdout);
	serve();
	if (!is("host"))
		must(pHdvTeardownDeviceHost(host), "HdvTeardownDeviceHost");
	if (is("dead"))
		pHdvDeliverGuestInterrupt(device, 0, 0);
	if (!is("system"))
		pHcsCloseComputeSystem(system);
	printf("done\n");
	return 0;
}
