/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration space of the device that a guest sees. Each byte has a mask of the bits that a guest may change, so
 * that a write of any width at any offset is a loop over bytes: PCI Local Bus 3.0, 6.1 and 6.8.1.
 */
#include "pci.h"

#define COMMAND 0x04u
#define COMMAND_MEMORY 0x02u
#define COMMAND_MASTER 0x04u
#define COMMAND_WRITABLE 0x0546u    /* memory, master, parity, SERR#, no INTx */
#define STATUS 0x06u
#define STATUS_CAPABILITIES 0x10u
#define BAR(n) (0x10u + 4 * (n))
#define BAR_64 0x04u
#define SUBSYSTEM_VENDOR 0x2cu
#define CAPABILITIES 0x34u
#define LINE 0x3cu
#define CACHE_LINE 0x0cu

#define MSI_CONTROL (UW_PCI_MSI + 2)
#define MSI_ADDRESS (UW_PCI_MSI + 4)
#define MSI_DATA (UW_PCI_MSI + 12)
#define MSI_MASK (UW_PCI_MSI + 16)
#define MSI_PENDING (UW_PCI_MSI + 20)
#define MSI_END (UW_PCI_MSI + 24)
#define MSI_ID 0x05u
#define MSI_ENABLE 0x0001u
#define MSI_ABILITIES 0x0180u       /* 64-bit address, per-vector masking; one vector */

static void put(struct uw_pci *p, uint32_t at, uint32_t width, uint32_t value)
{
	for (; width; width--, value >>= 8)
		p->config[at++] = (uint8_t)value;
}

static uint32_t get(const struct uw_pci *p, uint32_t at, uint32_t width)
{
	uint32_t value = 0;

	while (width--)
		value = value << 8 | p->config[at + width];
	return value;
}

void uw_pci_init(struct uw_pci *p, uint32_t size, bool wide)
{
	uw_zero(p, sizeof(*p));
	p->region = size;
	p->wide = wide;
	put(p, 0, 2, UW_PCI_VENDOR);
	put(p, 2, 2, UW_PCI_DEVICE);
	put(p, STATUS, 2, STATUS_CAPABILITIES);
	put(p, 8, 1, UW_PCI_REVISION);
	put(p, 11, 1, UW_PCI_CLASS);
	put(p, BAR(UW_PCI_BAR_REGION), 1, wide ? BAR_64 : 0);
	put(p, SUBSYSTEM_VENDOR, 2, UW_PCI_SUBSYSTEM_VENDOR);
	put(p, SUBSYSTEM_VENDOR + 2, 2, UW_PCI_SUBSYSTEM);
	put(p, CAPABILITIES, 1, UW_PCI_MSI);
	put(p, UW_PCI_MSI, 1, MSI_ID);
	put(p, MSI_CONTROL, 2, MSI_ABILITIES);
}

/* Bits of BAR n that address something: the size is the lowest one. */
static uint32_t bar_mask(const struct uw_pci *p, uint32_t n)
{
	if (n == UW_PCI_BAR_REGISTERS)
		return ~(UW_PCI_REGISTERS_SIZE - 1);
	if (n == UW_PCI_BAR_REGION)
		return ~(p->region - 1);
	return n == UW_PCI_BAR_REGION + 1 && p->wide ? 0xffffffffu : 0;
}

void uw_pci_probe(const struct uw_pci *p, uint32_t masks[UW_PCI_BARS])
{
	uint32_t n;

	for (n = 0; n < UW_PCI_BARS; n++)
		masks[n] = bar_mask(p, n) | (p->config[BAR(n)] & (n == UW_PCI_BAR_REGION ? BAR_64 : 0));
}

/* The register of 32 bits at this aligned offset: which bits may be written. */
static uint32_t writable(const struct uw_pci *p, uint32_t at)
{
	if (at >= BAR(0) && at < BAR(UW_PCI_BARS))
		return bar_mask(p, (at - BAR(0)) / 4);
	switch (at) {
	case COMMAND:
		return COMMAND_WRITABLE;
	case CACHE_LINE & ~3u:
		return 0xff;
	case LINE:
		return 0xff;
	case UW_PCI_MSI:
		return MSI_ENABLE << 16;
	case MSI_ADDRESS:
		return 0xfffffffcu;
	case MSI_ADDRESS + 4:
		return 0xffffffffu;
	case MSI_DATA:
		return 0xffffu;
	case MSI_MASK:
		return 1;
	default:
		return 0;
	}
}

uint32_t uw_pci_read(const struct uw_pci *p, uint32_t offset, uint32_t width)
{
	uint32_t value = 0, i;

	for (i = 0; i < width; i++) {
		uint32_t at = offset + i;

		value |= (uint32_t)(at >= offset && at < UW_PCI_CONFIG_SIZE ? p->config[at] : 0xff) << (8 * i);
	}
	return value;
}

static bool can_send(const struct uw_pci *p)
{
	return (get(p, COMMAND, 2) & COMMAND_MASTER) && (get(p, MSI_CONTROL, 2) & MSI_ENABLE) &&
	       !(get(p, MSI_MASK, 4) & 1);
}

/* The guest sees as pending what its own mask holds back. */
static void show_pending(struct uw_pci *p)
{
	bool masked = (get(p, MSI_CONTROL, 2) & MSI_ENABLE) && (get(p, MSI_MASK, 4) & 1);

	put(p, MSI_PENDING, 4, p->latched && masked);
}

static bool in_msi(uint32_t offset, uint32_t width)
{
	return offset < MSI_END && offset + width > UW_PCI_MSI;
}

void uw_pci_write(struct uw_pci *p, uint32_t offset, uint32_t width, uint32_t value, struct uw_pci_change *change)
{
	bool memory = uw_pci_memory(p);
	uint32_t before[6], i;

	uw_copy(before, p->config + UW_PCI_MSI, sizeof(before));
	for (i = 0; i < width && offset + i < UW_PCI_CONFIG_SIZE && offset + i >= offset; i++) {
		uint32_t at = offset + i;
		uint8_t mask = (uint8_t)(writable(p, at & ~3u) >> (8 * (at & 3)));

		p->config[at] = (uint8_t)((p->config[at] & ~mask) | ((value >> (8 * i)) & mask));
	}
	show_pending(p);
	change->memory = uw_pci_memory(p) != memory;
	change->message = in_msi(offset, width) && memcmp(before, p->config + UW_PCI_MSI, sizeof(before));
	change->deliver = p->latched && can_send(p);
}

bool uw_pci_memory(const struct uw_pci *p)
{
	return p->config[COMMAND] & COMMAND_MEMORY;
}

bool uw_pci_interrupt(struct uw_pci *p, uint64_t *address, uint32_t *data)
{
	p->latched = !can_send(p);
	show_pending(p);
	if (p->latched)
		return false;
	*address = get(p, MSI_ADDRESS, 4) | (uint64_t)get(p, MSI_ADDRESS + 4, 4) << 32;
	*data = get(p, MSI_DATA, 2);
	return true;
}
