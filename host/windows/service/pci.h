/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration space of the device that a guest sees: ivshmem's ids and programming model, two BARs, and one MSI
 * vector that can be masked. Pure logic: the caller locks, and maps and delivers as it is told.
 */
#ifndef UW_PCI_H
#define UW_PCI_H

#include "base.h"

#define UW_PCI_VENDOR 0x1af4u
#define UW_PCI_DEVICE 0x1110u
#define UW_PCI_SUBSYSTEM_VENDOR 0x1af4u
#define UW_PCI_SUBSYSTEM 0x5557u   /* "UW": tells ours from QEMU's own */
#define UW_PCI_REVISION 1u
#define UW_PCI_CLASS 0x05u         /* memory controller */

#define UW_PCI_BARS 6u
#define UW_PCI_BAR_REGISTERS 0u
#define UW_PCI_BAR_REGION 2u
#define UW_PCI_REGISTERS_SIZE 4096u
#define UW_PCI_REGISTER_DOORBELL 12u

#define UW_PCI_CONFIG_SIZE 256u    /* bytes that are ours; above is nothing: a PCI 3.0 device, no PCI Express */
#define UW_PCI_MSI 0x40u           /* where the capability lies */

struct uw_pci {
	uint32_t region;           /* bytes of BAR 2 */
	bool wide;                 /* BAR 2 is 64 bits */
	uint8_t config[UW_PCI_CONFIG_SIZE];
	bool latched;              /* an interrupt that could not be sent yet */
};

/* What a write made necessary. */
struct uw_pci_change {
	bool memory;               /* Memory Space Enable is another one now */
	bool message;              /* where interrupts go, or whether they may, is other than before */
	bool deliver;              /* a latched interrupt may go out now */
};

/* size: a power of two, at least a page. As after power on. */
void uw_pci_init(struct uw_pci *p, uint32_t size, bool wide);
/* What reads of each BAR give after ones have been written to all of its bits. */
void uw_pci_probe(const struct uw_pci *p, uint32_t masks[UW_PCI_BARS]);
/* width: 1, 2 or 4, any offset; bytes outside read as ones, as from a device that is not there. */
uint32_t uw_pci_read(const struct uw_pci *p, uint32_t offset, uint32_t width);
void uw_pci_write(struct uw_pci *p, uint32_t offset, uint32_t width, uint32_t value, struct uw_pci_change *change);

bool uw_pci_memory(const struct uw_pci *p);
/* An interrupt is due. True: deliver this message; false: it is latched, and pending where the guest can see it. */
bool uw_pci_interrupt(struct uw_pci *p, uint64_t *address, uint32_t *data);

#endif
