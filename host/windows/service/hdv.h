/* SPDX-License-Identifier: GPL-2.0-only */
/* Hyper-V Device Virtualization: the PCI device that one VM sees. vmdevicehost.dll is loaded when it is wanted. */
#ifndef UW_HDV_H
#define UW_HDV_H

#include <windows.h>

#include "hcs.h"
#include "pci.h"
#include "mmio.h"
#include "stats.h"

/* What a device is made of. The handles stay the caller's and outlive the device. */
struct uw_hdv_parts {
	HANDLE section;
	HANDLE doorbell;           /* set when the guest kicks */
	HANDLE interrupt;          /* set when the guest is to be interrupted; auto-reset */
	uint32_t doorbell_value;
	uint32_t size;
	bool wide;                 /* a 64-bit BAR */
	void (*ended)(void *context); /* any thread: the VM has stopped or taken away the device */
	void *context;
};

struct uw_hdv_numbers {
	uint64_t interrupts, masked, failed; /* delivered; held back by the guest; refused by HDV */
	struct uw_histogram latency;         /* nanoseconds from the event to HDV's return */
};

struct uw_hdv;

/* Both block. The system has been opened; NULL and *result, and the log says at what it failed. */
struct uw_hdv *uw_hdv_open(struct uw_hcs *hcs, const struct uw_hdv_parts *parts, HRESULT *result);
/* In the order that HDV wants. hcs may be closed already: then the VM is asked for nothing. */
void uw_hdv_close(struct uw_hdv *h, struct uw_hcs *hcs);
/* A copy, for people. */
void uw_hdv_numbers(struct uw_hdv *h, struct uw_hdv_numbers *numbers);

#endif
