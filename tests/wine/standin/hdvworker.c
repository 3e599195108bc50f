// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the VM worker process does with a device: starts and stops it, and has a thread in which the guest's PCI driver is
 * played. The real guest, in QEMU, sees ivshmem's own configuration space; ours is exercised here instead, and the real
 * one is let in when the region is mapped as it must be.
 */
#include "hdv.h"

#include <stdlib.h>
#include <string.h>

#include "layout.h"

#define SETTLE 10000              /* milliseconds for mappings and doorbell to follow Memory Space Enable */
#define MSI_ADDRESS 0xfee00000ull
#define MSI_DATA 0x4021u
#define GUARD 16

/* ---- the region ---- */

/* The range that has that page of the region's BAR; NULL: none. */
static const struct hdv_range *range_of(const struct hdv_device *d, uint64_t page)
{
	const struct hdv_range *r;

	for (r = d->ranges; r < d->ranges + HDV_RANGES; r++)
		if (r->used && r->bar == HDV_REGION && page >= r->first && page < r->first + r->pages)
			return r;
	return NULL;
}

/* Pages of the region from the first that is not mapped; the layout says which are the host's alone. */
static bool covered(const struct hdv_device *d)
{
	uint64_t page = 0, pages = d->host->vm.size / HDV_PAGE;

	while (page < pages) {
		const struct hdv_range *r = range_of(d, page);

		if (!r)
			return false;
		page = r->first + r->pages;
	}
	return true;
}

static bool is_host_page(const struct uw_layout *l, uint32_t page)
{
	uint32_t ring = l->comp_ring / HDV_PAGE;

	return !page || (page >= ring && page < ring + (l->comp_slots * UW_SLOT + HDV_PAGE - 1) / HDV_PAGE);
}

static void check_flags(const struct hdv_device *d)
{
	uint32_t page, pages = d->host->vm.size / HDV_PAGE;
	struct uw_layout l;

	uw_layout_default(&l, d->host->vm.size);
	for (page = 0; page < pages; page++) {
		const struct hdv_range *r = range_of(d, page);
		bool writeable = r->flags & HDV_MMIO_WRITEABLE;

		if (writeable == is_host_page(&l, page)) {
			hdv_fault("page %u of the region is %s", page, writeable ? "the host's, and mapped Writeable" :
				  "the guest's, and mapped without Writeable");
			return;
		}
		if (page - r->first + r->section_first != page) {
			hdv_fault("page %u of the region shows page %llu of the section", page,
				  (unsigned long long)(page - r->first + r->section_first));
			return;
		}
	}
}

/* The page must be published before any guest can see it, with the doorbell that was registered. */
static void check_page(const struct hdv_device *d)
{
	const struct hdv_range *r = range_of(d, 0);
	struct uw_host_page *page = MapViewOfFile(r->section, FILE_MAP_READ, 0, 0, HDV_PAGE);
	enum uw_layout_fault fault;
	struct uw_layout l;
	int i;

	if (!page) {
		hdv_fault("the section cannot be mapped: error %lu", GetLastError());
		return;
	}
	fault = uw_layout_read(&l, page);
	if (!fault)
		fault = uw_layout_check(&l, d->host->vm.size);
	if (fault)
		hdv_fault("the guest would see a host page with this fault: %s", uw_layout_fault_text(fault));
	for (i = 0; i < HDV_DOORBELLS && !fault; i++)
		if (d->doorbells[i].used && d->doorbells[i].trigger != l.doorbell)
			hdv_fault("the host page says doorbell %x, registered is %llx", l.doorbell,
				  (unsigned long long)d->doorbells[i].trigger);
	UnmapViewOfFile(page);
}

static bool has_doorbell(const struct hdv_device *d)
{
	int i;

	for (i = 0; i < HDV_DOORBELLS && !d->doorbells[i].used; i++)
		;
	return i < HDV_DOORBELLS;
}

/* Waits until the whole region is mapped and the doorbell is there, as they have to be once the guest enables memory. */
static bool wait_visible(struct hdv_device *d)
{
	uint32_t settle = lab_number("UWLAB_HDV_SETTLE", SETTLE);
	uint64_t end = hdv_now() + settle, now;
	bool good;

	EnterCriticalSection(&hdv_lock);
	while (!d->quit && !(covered(d) && has_doorbell(d)) && (now = hdv_now()) < end)
		SleepConditionVariableCS(&hdv_changed, &hdv_lock, (DWORD)(end - now));
	good = covered(d) && has_doorbell(d);
	if (good) {
		check_flags(d);
		check_page(d);
	} else if (!d->quit) {
		hdv_fault("%s in %u ms after Memory Space Enable", covered(d) ? "no doorbell was registered" :
			  "the region is not mapped as a whole", settle);
	}
	LeaveCriticalSection(&hdv_lock);
	return good;
}

/* ---- intercepted accesses ---- */

/* The buffer is guarded on both sides: a device that writes more than it was asked for is found. */
static void read_bar(struct hdv_device *d, int bar, uint64_t at, uint32_t width)
{
	BYTE buffer[8 + 2 * GUARD];
	HRESULT result;
	uint32_t i;

	memset(buffer, 0xa5, sizeof(buffer));
	result = d->face.ReadInterceptedMemory(d->context, bar, at, width, buffer + GUARD);
	if (FAILED(result))
		hdv_fault("ReadInterceptedMemory(BAR %d, %llx, %u): %lx", bar, (unsigned long long)at, width,
			  (unsigned long)result);
	for (i = 0; i < sizeof(buffer); i++)
		if ((i < GUARD || i >= GUARD + width) && buffer[i] != 0xa5)
			hdv_fault("ReadInterceptedMemory(BAR %d, %llx, %u) wrote %d bytes from the start", bar,
				  (unsigned long long)at, width, (int)i - GUARD);
}

static void write_bar(struct hdv_device *d, int bar, uint64_t at, uint32_t width, const BYTE *value)
{
	HRESULT result = d->face.WriteInterceptedMemory(d->context, bar, at, width, value);

	if (FAILED(result))
		hdv_fault("WriteInterceptedMemory(BAR %d, %llx, %u): %lx", bar, (unsigned long long)at, width,
			  (unsigned long)result);
}

static HANDLE first_section(struct hdv_device *d)
{
	const struct hdv_range *r;
	HANDLE section = NULL;

	EnterCriticalSection(&hdv_lock);
	r = range_of(d, 0);
	if (r)
		DuplicateHandle(GetCurrentProcess(), r->section, GetCurrentProcess(), &section, 0, FALSE,
				DUPLICATE_SAME_ACCESS);
	LeaveCriticalSection(&hdv_lock);
	return section;
}

/* A guest that writes to the host's page is intercepted, because the page is not writeable; nothing may come of it. */
static void write_host_page(struct hdv_device *d)
{
	static const BYTE junk[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	HANDLE section = first_section(d);
	const uint64_t *page = section ? MapViewOfFile(section, FILE_MAP_READ, 0, 0, HDV_PAGE) : NULL;

	if (page) {
		write_bar(d, HDV_REGION, 0, 8, junk);
		if (*page != UW_MAGIC)
			hdv_fault("a guest's write to the host page went through");
		UnmapViewOfFile(page);
	}
	if (section)
		CloseHandle(section);
}

/* All registers of ivshmem but the doorbell, which would ring, at every width; then what no driver would do. */
static void intercept(struct hdv_device *d)
{
	static const BYTE zero[8];
	uint32_t width, at;

	for (width = 1; width <= 8; width *= 2) {
		for (at = 0; at < 64; at += width) {
			read_bar(d, HDV_REGISTERS, at, width);
			if (at + width <= 12 || at >= 16)
				write_bar(d, HDV_REGISTERS, at, width, zero);
		}
		read_bar(d, HDV_REGISTERS, HDV_PAGE - width, width);
		write_bar(d, HDV_REGISTERS, HDV_PAGE - width, width, zero);
	}
	write_bar(d, HDV_REGISTERS, 12, 4, zero);
	read_bar(d, HDV_REGION, 0, 8);
	write_host_page(d);
}

/* ---- the guest's thread ---- */

static bool set_memory(struct hdv_device *d, bool on)
{
	hdv_guest_memory(d, on);
	return !on || wait_visible(d);
}

/* Through masks, as Linux moves an interrupt to another processor, and by disabling it, as it is set up. */
static void rewrite_msi(struct hdv_device *d)
{
	uint32_t i;

	for (i = 1; i <= 8 && !d->quit; i++)
		hdv_guest_msi(d, MSI_ADDRESS | (uint64_t)i << 12, MSI_DATA + i, i & 1);
	hdv_guest_msi(d, MSI_ADDRESS | 0x1200000000ull, MSI_DATA, false);
	hdv_guest_msi(d, MSI_ADDRESS, MSI_DATA, true);
}

static void mask_for(struct hdv_device *d, DWORD milliseconds)
{
	hdv_guest_mask(d, true);
	Sleep(milliseconds);
	hdv_guest_mask(d, false);
}

static uint32_t play(struct hdv_device *d, const char *command)
{
	lab_trace("hdv", "play %s", command);
	if (!strcmp(command, "msi"))
		rewrite_msi(d);
	else if (!strcmp(command, "mask"))
		mask_for(d, 300);
	else if (!strcmp(command, "memory"))
		return set_memory(d, false) && set_memory(d, true) ? 0 : 1;
	else if (!strcmp(command, "intercept"))
		intercept(d);
	else
		return 2;
	return 0;
}

static void set_visible(struct hdv_device *d, bool visible)
{
	if (d->visible == visible)
		return;
	d->visible = visible;
	lab_line_send(&d->host->line, LAB_VISIBLE, d->host->vm.number, visible, 0);
}

/* What a guest does with a new device, ending with the driver's own accesses. */
static bool bring_up(struct hdv_device *d)
{
	if (!hdv_guest_enumerate(d))
		return false;
	hdv_guest_msi(d, MSI_ADDRESS | 0x7000, MSI_DATA + 99, false);
	if (!set_memory(d, true) || !set_memory(d, false) || !set_memory(d, true))
		return false;
	intercept(d);
	rewrite_msi(d);
	return !d->quit;
}

static DWORD WINAPI guest(void *argument)
{
	struct hdv_device *d = argument;
	char command[LAB_TEXT];

	if (bring_up(d))
		set_visible(d, true);
	EnterCriticalSection(&hdv_lock);
	while (!d->quit) {
		if (!d->command[0]) {
			SleepConditionVariableCS(&hdv_changed, &hdv_lock, INFINITE);
			continue;
		}
		memcpy(command, d->command, sizeof(command));
		d->command[0] = 0;
		LeaveCriticalSection(&hdv_lock);
		lab_line_send(&d->host->line, LAB_PLAYED, d->host->vm.number, play(d, command), 0);
		EnterCriticalSection(&hdv_lock);
	}
	LeaveCriticalSection(&hdv_lock);
	return 0;
}

/* ---- the worker ---- */

static bool failed(const char *what, HRESULT result)
{
	if (FAILED(result))
		hdv_fault("%s answered %lx", what, (unsigned long)result);
	return FAILED(result);
}

static HRESULT start(struct hdv_device *d, UINT32 count, const PCWSTR *configuration)
{
	HRESULT result = d->face.Initialize(d->context);

	if (failed("Initialize", result))
		return result;
	d->initialized = true;
	result = d->face.SetConfiguration(d->context, count, configuration);
	if (failed("SetConfiguration", result))
		return result;
	memset(d->probed, 0xa5, sizeof(d->probed));
	result = d->face.GetDetails(d->context, &d->id, HDV_PCI_BAR_COUNT, d->probed);
	if (failed("GetDetails", result))
		return result;
	result = d->face.Start(d->context);
	failed("Start", result);
	return result;
}

HRESULT hdv_worker_start(struct hdv_device *d, UINT32 count, const PCWSTR *configuration)
{
	HRESULT result = start(d, count, configuration);

	lab_trace("hdv", "device started: %lx", (unsigned long)result);
	if (FAILED(result))
		return result;
	EnterCriticalSection(&hdv_lock);
	d->state = HDV_STARTED;
	d->thread = CreateThread(NULL, 0, guest, d, 0, &d->thread_id);
	LeaveCriticalSection(&hdv_lock);
	return result;
}

/* Some VMs end without a word to their devices: UWLAB_HDV_CRASH plays that. */
static void call_down(struct hdv_device *d)
{
	if (d->host->lost && lab_number("UWLAB_HDV_CRASH", 0))
		return;
	if (d->state == HDV_STARTED)
		d->face.Stop(d->context);
	if (d->initialized)
		d->face.Teardown(d->context);
}

/* Returns when the device has been told, whoever began it. */
void hdv_worker_stop(struct hdv_device *d)
{
	bool first;

	EnterCriticalSection(&hdv_lock);
	first = !d->stopping;
	d->stopping = d->quit = true;
	WakeAllConditionVariable(&hdv_changed);
	while (!first && d->state != HDV_GONE)
		SleepConditionVariableCS(&hdv_changed, &hdv_lock, INFINITE);
	LeaveCriticalSection(&hdv_lock);
	if (!first)
		return;
	if (d->thread) {
		WaitForSingleObject(d->thread, INFINITE);
		CloseHandle(d->thread);
		d->thread = NULL;
	}
	set_visible(d, false);
	call_down(d);
	EnterCriticalSection(&hdv_lock);
	d->state = HDV_GONE;
	memset(d->pairs, 0, sizeof(d->pairs));
	WakeAllConditionVariable(&hdv_changed);
	LeaveCriticalSection(&hdv_lock);
	lab_trace("hdv", "device stopped after %llu interrupts", (unsigned long long)d->interrupts);
}
