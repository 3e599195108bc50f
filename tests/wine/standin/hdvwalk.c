// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's way through configuration space: header, BAR sizing at every width, capabilities, MSI. The VM worker hands
 * accesses to a device in aligned 32-bit words, so a narrower one is a read, and for a write a merged word.
 */
#include "hdv.h"

#include <string.h>

#define COMMAND 0x04
#define STATUS 0x06
#define CLASS 0x08
#define HEADER_TYPE 0x0e
#define BARS 0x10
#define SUBSYSTEM 0x2c
#define ROM 0x30
#define CAPABILITIES 0x34
#define MEMORY_SPACE 2u
#define BUS_MASTER 4u
#define STATUS_CAPABILITIES 0x10u
#define CAPABILITY_MSI 5
#define CAPABILITY_MSIX 17
#define CONTROL_ENABLE 1u
#define CONTROL_64 0x80u
#define CONTROL_MASKS 0x100u

static uint32_t read_word(struct hdv_device *d, uint32_t offset)
{
	UINT32 value = 0xdeadbeef;
	HRESULT result = d->face.ReadConfigSpace(d->context, offset & ~3u, &value);

	if (FAILED(result))
		hdv_fault("ReadConfigSpace(%x): %lx", offset & ~3u, (unsigned long)result);
	return value;
}

uint32_t hdv_config_read(struct hdv_device *d, uint32_t offset, uint32_t width)
{
	uint32_t value = read_word(d, offset) >> 8 * (offset & 3);

	return width == 4 ? value : value & ((1u << 8 * width) - 1);
}

/* ---- what is in force ---- */

/* What the guest has programmed, from its own writes and not from what the device says of them. */
static uint32_t programmed(const struct hdv_device *d, uint32_t at)
{
	uint32_t value;

	memcpy(&value, d->config + at, sizeof(value));
	return value;
}

static bool msi_open(const struct hdv_device *d)
{
	return d->msi && programmed(d, d->msi) >> 16 & CONTROL_ENABLE && !(programmed(d, d->msi + 0x10) & 1);
}

/* Before the device hears of a write its effect is allowed already; when it has heard, all else ends. */
static void before_write(struct hdv_device *d)
{
	struct hdv_pair new = { .until = UINT64_MAX };

	if (programmed(d, COMMAND) & MEMORY_SPACE)
		d->memory = true;
	if (!msi_open(d))
		return;
	new.address = programmed(d, d->msi + 4) | (uint64_t)programmed(d, d->msi + 8) << 32;
	new.data = programmed(d, d->msi + 12) & 0xffff;
	d->pairs[d->next_pair++ % HDV_PAIRS] = new;
}

static void after_write(struct hdv_device *d)
{
	uint32_t newest = (d->next_pair - 1) % HDV_PAIRS, i;
	uint64_t now = hdv_now();

	if (!(programmed(d, COMMAND) & MEMORY_SPACE))
		d->memory = false;
	for (i = 0; i < HDV_PAIRS; i++)
		if (d->pairs[i].until == UINT64_MAX && (i != newest || !msi_open(d)))
			d->pairs[i].until = now;
}

static void write_word(struct hdv_device *d, uint32_t offset, uint32_t value)
{
	HRESULT result;

	EnterCriticalSection(&hdv_lock);
	memcpy(d->config + offset, &value, sizeof(value));
	before_write(d);
	LeaveCriticalSection(&hdv_lock);
	result = d->face.WriteConfigSpace(d->context, offset, value);
	if (FAILED(result))
		hdv_fault("WriteConfigSpace(%x, %x): %lx", offset, value, (unsigned long)result);
	EnterCriticalSection(&hdv_lock);
	after_write(d);
	LeaveCriticalSection(&hdv_lock);
}

void hdv_config_write(struct hdv_device *d, uint32_t offset, uint32_t width, uint32_t value)
{
	uint32_t shift = 8 * (offset & 3), mask = width == 4 ? 0xffffffff : ((1u << 8 * width) - 1) << shift;
	uint32_t word = width == 4 ? 0 : read_word(d, offset) & ~mask;

	if ((offset & ~3u) == COMMAND && width != 4)
		word &= 0xffff;         /* status: a one that is written back would clear the bit */
	write_word(d, offset & ~3u, word | (value << shift & mask));
}

/* ---- header ---- */

static void expect(struct hdv_device *d, uint32_t offset, uint32_t width, uint32_t want, const char *what)
{
	uint32_t got = hdv_config_read(d, offset, width);

	if (got != want)
		hdv_fault("configuration space: %s at %x is %x, want %x", what, offset, got, want);
}

static void check_ids(struct hdv_device *d)
{
	expect(d, 0, 2, d->id.VendorID, "vendor");
	expect(d, 2, 2, d->id.DeviceID, "device");
	expect(d, CLASS, 1, d->id.RevisionID, "revision");
	expect(d, CLASS + 1, 1, d->id.ProgIf, "programming interface");
	expect(d, CLASS + 2, 1, d->id.SubClass, "subclass");
	expect(d, CLASS + 3, 1, d->id.BaseClass, "class");
	expect(d, SUBSYSTEM, 2, d->id.SubVendorID, "subsystem vendor");
	expect(d, SUBSYSTEM + 2, 2, d->id.SubSystemID, "subsystem");
	expect(d, HEADER_TYPE, 1, 0, "header type");
}

static void check_header(struct hdv_device *d)
{
	static const uint8_t fixed[] = { 0, CLASS, SUBSYSTEM };
	uint32_t i;

	if (d->id.VendorID != 0x1af4 || d->id.DeviceID != 0x1110 || d->id.BaseClass != 5 || d->id.SubClass)
		hdv_fault("GetDetails: %04x:%04x, class %02x%02x is not ivshmem's", d->id.VendorID, d->id.DeviceID,
			  d->id.BaseClass, d->id.SubClass);
	check_ids(d);
	for (i = 0; i < sizeof(fixed); i++)
		write_word(d, fixed[i], 0xffffffff);
	check_ids(d);
	expect(d, COMMAND, 2, 0, "command of a device that was just started");
	if (!(hdv_config_read(d, STATUS, 2) & STATUS_CAPABILITIES))
		hdv_fault("configuration space: status has no capabilities");
	for (i = 0; i < HDV_CONFIG; i += 4)
		if (i != COMMAND && read_word(d, i) != read_word(d, i))
			hdv_fault("configuration space: %x reads differently twice", i);
}

/* ---- BARs ---- */

static void size_bar(struct hdv_device *d, uint32_t bar, uint32_t width)
{
	uint32_t at = BARS + 4 * bar, former = hdv_config_read(d, at, 4), i;

	for (i = 0; i < 4; i += width)
		hdv_config_write(d, at + i, width, 0xffffffff >> (32 - 8 * width));
	for (i = 0; i < 4; i += width)
		expect(d, at + i, width, d->probed[bar] >> 8 * i & 0xffffffff >> (32 - 8 * width), "a sized BAR");
	for (i = 0; i < 4; i += width)
		hdv_config_write(d, at + i, width, former >> 8 * i & 0xffffffff >> (32 - 8 * width));
	expect(d, at, 4, former, "a BAR after sizing");
}

static uint64_t probed_size(const struct hdv_device *d, uint32_t bar)
{
	uint64_t mask = d->probed[bar] & ~15u;

	if ((d->probed[bar] & 6) == 4)
		return -(mask | (uint64_t)d->probed[bar + 1] << 32);
	return mask ? -(mask | 0xffffffff00000000ull) : 0;
}

static void check_probed(struct hdv_device *d)
{
	uint32_t bar;

	if (probed_size(d, HDV_REGISTERS) != HDV_PAGE || d->probed[HDV_REGISTERS] & 15)
		hdv_fault("GetDetails: BAR 0 is %x, not 4 KiB of 32-bit memory", d->probed[HDV_REGISTERS]);
	if (probed_size(d, HDV_REGION) != d->host->vm.size || d->probed[HDV_REGION] & 1)
		hdv_fault("GetDetails: BAR 2 is %x, not %u bytes of memory", d->probed[HDV_REGION], d->host->vm.size);
	for (bar = 0; bar < HDV_PCI_BAR_COUNT; bar++)
		if (bar != HDV_REGISTERS && bar != HDV_REGION && d->probed[bar] &&
		    !(bar == HDV_REGION + 1 && (d->probed[HDV_REGION] & 6) == 4))
			hdv_fault("GetDetails: BAR %u is %x, but there is none", bar, d->probed[bar]);
}

static void place(struct hdv_device *d, uint32_t bar, uint64_t at)
{
	hdv_config_write(d, BARS + 4 * bar, 4, (uint32_t)at);
	expect(d, BARS + 4 * bar, 4, (uint32_t)at | (d->probed[bar] & 15), "a BAR with its address");
	if ((d->probed[bar] & 6) != 4)
		return;
	hdv_config_write(d, BARS + 4 * bar + 4, 4, (uint32_t)(at >> 32));
	expect(d, BARS + 4 * bar + 4, 4, (uint32_t)(at >> 32), "the upper half of a BAR's address");
}

static void check_bars(struct hdv_device *d)
{
	uint32_t bar, width;

	check_probed(d);
	for (bar = 0; bar < HDV_PCI_BAR_COUNT; bar++)
		for (width = 1; width <= 4; width *= 2)
			size_bar(d, bar, width);
	hdv_config_write(d, ROM, 4, 0xfffff800);
	expect(d, ROM, 4, 0, "the ROM's BAR");
	place(d, HDV_REGISTERS, 0xf8000000);
	place(d, HDV_REGION, (d->probed[HDV_REGION] & 6) == 4 ? 0x1000000000ull : 0xf0000000);
}

/* ---- capabilities ---- */

static bool walk(struct hdv_device *d)
{
	uint32_t at = hdv_config_read(d, CAPABILITIES, 1), steps, id;

	for (steps = 0; at && steps < 48; steps++) {
		if (at < 0x40 || at & 3) {
			hdv_fault("configuration space: a capability at %x", at);
			return false;
		}
		id = hdv_config_read(d, at, 1);
		if (id == CAPABILITY_MSI)
			d->msi = at;
		if (id == CAPABILITY_MSIX)
			hdv_fault("configuration space: an MSI-X capability, which has no table here");
		at = hdv_config_read(d, at + 1, 1);
	}
	if (at || !d->msi || d->msi + 0x18 > HDV_CONFIG)
		hdv_fault("configuration space: %s", at ? "the capabilities go in a circle" : "no MSI capability");
	return !at && d->msi && d->msi + 0x18 <= HDV_CONFIG;
}

static bool check_capabilities(struct hdv_device *d)
{
	uint32_t control;

	if (!walk(d))
		return false;
	control = hdv_config_read(d, d->msi + 2, 2);
	if ((control & (CONTROL_64 | CONTROL_MASKS | 0xe | CONTROL_ENABLE)) != (CONTROL_64 | CONTROL_MASKS))
		hdv_fault("MSI: control %x: want 64 bits, masks, one vector, disabled", control);
	expect(d, d->msi + 0x10, 4, 0, "MSI's mask at start");
	expect(d, d->msi + 0x14, 4, 0, "MSI's pending bits at start");
	return true;
}

bool hdv_guest_enumerate(struct hdv_device *d)
{
	check_header(d);
	check_bars(d);
	return check_capabilities(d);
}

/* ---- what a driver does ---- */

void hdv_guest_mask(struct hdv_device *d, bool masked)
{
	hdv_config_write(d, d->msi + 0x10, 4, masked);
	expect(d, d->msi + 0x10, 4, masked, "MSI's mask");
}

static void enable_msi(struct hdv_device *d, bool on)
{
	uint32_t control = hdv_config_read(d, d->msi + 2, 2);

	hdv_config_write(d, d->msi + 2, 2, on ? control | CONTROL_ENABLE : control & ~CONTROL_ENABLE);
	expect(d, d->msi + 2, 2, on ? control | CONTROL_ENABLE : control & ~CONTROL_ENABLE, "MSI's control");
}

/* by_mask: behind the mask of a running interrupt; otherwise with MSI disabled. */
void hdv_guest_msi(struct hdv_device *d, uint64_t address, uint32_t data, bool by_mask)
{
	if (by_mask)
		hdv_guest_mask(d, true);
	else
		enable_msi(d, false);
	hdv_config_write(d, d->msi + 4, 4, (uint32_t)address);
	hdv_config_write(d, d->msi + 8, 4, (uint32_t)(address >> 32));
	hdv_config_write(d, d->msi + 12, 2, data);
	expect(d, d->msi + 4, 4, (uint32_t)address, "MSI's address");
	expect(d, d->msi + 8, 4, (uint32_t)(address >> 32), "MSI's upper address");
	expect(d, d->msi + 12, 2, data, "MSI's data");
	if (by_mask)
		hdv_guest_mask(d, false);
	else
		enable_msi(d, true);
}

void hdv_guest_memory(struct hdv_device *d, bool on)
{
	hdv_config_write(d, COMMAND, 2, on ? MEMORY_SPACE | BUS_MASTER : 0);
	expect(d, COMMAND, 2, on ? MEMORY_SPACE | BUS_MASTER : 0, "command");
}
