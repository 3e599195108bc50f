/* SPDX-License-Identifier: GPL-2.0-only */
/* The layout of a region: chosen by the host, published in its page, copied and checked by the guest. */
#ifndef UW_LAYOUT_H
#define UW_LAYOUT_H

#include "base.h"

/* Native copy of the fixed part of struct uw_host_head; units and ranges are given there. */
struct uw_layout {
	uint64_t features;
	uint32_t size;
	uint32_t guest_page, sub_ring, comp_ring, data, data_size;
	uint32_t start;
	uint32_t transfers;
	uint32_t transfer_max;
	uint32_t doorbell, link;
	uint16_t version_min, version_max;
	uint16_t sub_slots, comp_slots;
	uint16_t reserve, granule, share;
	uint16_t packets_max, isoch_max;
	uint8_t usb2_ports, usb3_ports;
};

/* Why a layout is not usable, in the order of the checks. */
enum uw_layout_fault {
	UW_LAYOUT_OK,
	UW_LAYOUT_MAGIC,     /* no host has published a region here */
	UW_LAYOUT_VERSION,   /* no version in common */
	UW_LAYOUT_SIZE,      /* not a power of two in range, or larger than the mapping */
	UW_LAYOUT_RINGS,     /* slot counts or reserve */
	UW_LAYOUT_PARTS,     /* parts misaligned, overlapping or outside */
	UW_LAYOUT_LIMITS,    /* transfers, shares, ports, granule, transfer_max, packets */
};

/* A layout for a region of size bytes with everything at its default. size: a power of two, UW_REGION_MIN..MAX. */
void uw_layout_default(struct uw_layout *l, uint32_t size);
/* mapped: bytes of the region that are really there. */
UW_MUST_CHECK enum uw_layout_fault uw_layout_check(const struct uw_layout *l, uint64_t mapped);
const char *uw_layout_fault_text(enum uw_layout_fault fault);
/* Writes everything but magic, epoch, state and the hot line; zeroes the rest of the page. */
void uw_layout_write(const struct uw_layout *l, struct uw_host_page *page);
/* Copies the fixed part once; the copy is then to be checked. UW_LAYOUT_MAGIC when there is none. */
UW_MUST_CHECK enum uw_layout_fault uw_layout_read(struct uw_layout *l, const struct uw_host_page *page);

static inline uint32_t uw_layout_ports(const struct uw_layout *l)
{
	return (uint32_t)l->usb2_ports + l->usb3_ports;
}

/* Does [at, at + length) lie in the data part? at counts from its start. */
static inline bool uw_layout_in_data(const struct uw_layout *l, uint32_t at, uint32_t length)
{
	return at <= l->data_size && length <= l->data_size - at;
}

#endif
