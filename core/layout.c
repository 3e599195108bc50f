/* SPDX-License-Identifier: GPL-2.0-only */
/* Layout of a region: defaults, publication, and the guest's check of what it was given. */
#include "layout.h"

static uint32_t page_up(uint32_t bytes)
{
	return (bytes + UW_PAGE - 1) & ~(UW_PAGE - 1);
}

void uw_layout_default(struct uw_layout *l, uint32_t size)
{
	uw_zero(l, sizeof(*l));
	l->features = UW_FEATURE_ISOCH | UW_FEATURE_STREAMS | UW_FEATURE_STATS | UW_FEATURE_SUSPEND;
	l->version_min = l->version_max = UW_VERSION;
	l->size = size;
	l->sub_slots = 256;
	l->comp_slots = 2 * l->sub_slots;
	l->guest_page = UW_PAGE;
	l->sub_ring = l->guest_page + UW_PAGE;
	l->comp_ring = l->sub_ring + page_up(l->sub_slots * UW_SLOT);
	l->data = l->comp_ring + page_up(l->comp_slots * UW_SLOT);
	l->data_size = size - l->data;
	l->reserve = 16;
	l->granule = 512;
	l->transfers = 4096;
	l->share = 32;
	l->usb2_ports = 15;
	l->usb3_ports = 15;
	l->transfer_max = uw_min(1u << 20, l->data_size / 4 & ~(UW_PAGE - 1)); /* the smallest region has a little less */
	l->packets_max = UW_PACKETS_MAX;
	l->isoch_max = 128;
	l->link = UW_LINK_DOORBELL | UW_LINK_INTERRUPT;
}

/* A part that is page-aligned, begins at or after *end and stays inside; moves *end behind it. */
static bool part_follows(const struct uw_layout *l, uint32_t at, uint32_t bytes, uint32_t *end)
{
	if (at % UW_PAGE || at < *end || at > l->size || bytes > l->size - at)
		return false;
	*end = page_up(at + bytes);
	return true;
}

static bool parts_fit(const struct uw_layout *l)
{
	uint32_t end = UW_PAGE;

	return part_follows(l, l->guest_page, UW_PAGE, &end) &&
	       part_follows(l, l->sub_ring, l->sub_slots * UW_SLOT, &end) &&
	       part_follows(l, l->comp_ring, l->comp_slots * UW_SLOT, &end) &&
	       part_follows(l, l->data, l->data_size, &end) && l->data_size && l->data_size % UW_PAGE == 0;
}

static bool rings_fit(const struct uw_layout *l)
{
	return uw_power_of_two(l->sub_slots) && l->sub_slots >= UW_SLOTS_MIN && l->sub_slots <= UW_SLOTS_MAX &&
	       l->comp_slots == 2 * l->sub_slots && l->reserve && l->reserve <= l->sub_slots / 2;
}

/* Every port must be able to have its share, one control transfer and one port request at any time. */
static bool limits_fit(const struct uw_layout *l)
{
	uint32_t ports = uw_layout_ports(l);

	return l->usb2_ports && l->usb2_ports <= UW_USB2_PORTS_MAX && l->usb3_ports <= UW_USB3_PORTS_MAX &&
	       uw_power_of_two(l->transfers) && l->transfers <= UW_TRANSFERS_MAX && l->share &&
	       ports * (l->share + 2u) <= l->transfers &&
	       uw_power_of_two(l->granule) && l->granule >= 64 && l->granule <= UW_PAGE &&
	       l->transfer_max >= 65536 && l->transfer_max % UW_PAGE == 0 && l->transfer_max <= l->data_size / 4 &&
	       l->packets_max <= UW_PACKETS_MAX && !l->packets_max == !(l->features & UW_FEATURE_ISOCH) &&
	       !l->packets_max == !l->isoch_max;
}

enum uw_layout_fault uw_layout_check(const struct uw_layout *l, uint64_t mapped)
{
	if (l->version_min > UW_VERSION || l->version_max < UW_VERSION)
		return UW_LAYOUT_VERSION;
	if (!uw_power_of_two(l->size) || l->size < UW_REGION_MIN || l->size > UW_REGION_MAX || l->size > mapped)
		return UW_LAYOUT_SIZE;
	if (!rings_fit(l))
		return UW_LAYOUT_RINGS;
	if (!parts_fit(l))
		return UW_LAYOUT_PARTS;
	return limits_fit(l) ? UW_LAYOUT_OK : UW_LAYOUT_LIMITS;
}

const char *uw_layout_fault_text(enum uw_layout_fault fault)
{
	static const char *const text[] = {
		[UW_LAYOUT_OK] = "usable",
		[UW_LAYOUT_MAGIC] = "no UsbWarp host has published a region here",
		[UW_LAYOUT_VERSION] = "the host speaks no version of the protocol that this guest speaks",
		[UW_LAYOUT_SIZE] = "the region is larger than its mapping, or of an impossible size",
		[UW_LAYOUT_PARTS] = "parts of the region overlap or lie outside",
		[UW_LAYOUT_RINGS] = "impossible ring sizes",
		[UW_LAYOUT_LIMITS] = "impossible limits",
	};

	return (uint32_t)fault < UW_COUNT_OF(text) ? text[fault] : "unknown";
}

void uw_layout_write(const struct uw_layout *l, struct uw_host_page *page)
{
	struct uw_host_head *h = &page->head;

	h->version_min = uw_put16(l->version_min);
	h->version_max = uw_put16(l->version_max);
	h->size = uw_put32(l->size);
	h->features = uw_put64(l->features);
	h->guest_page = uw_put32(l->guest_page);
	h->sub_ring = uw_put32(l->sub_ring);
	h->comp_ring = uw_put32(l->comp_ring);
	h->data = uw_put32(l->data);
	h->data_size = uw_put32(l->data_size);
	h->sub_slots = uw_put16(l->sub_slots);
	h->comp_slots = uw_put16(l->comp_slots);
	h->start = uw_put32(l->start);
	h->reserve = uw_put16(l->reserve);
	h->granule = uw_put16(l->granule);
	h->transfers = uw_put32(l->transfers);
	h->share = uw_put16(l->share);
	h->usb2_ports = l->usb2_ports;
	h->usb3_ports = l->usb3_ports;
	h->transfer_max = uw_put32(l->transfer_max);
	h->packets_max = uw_put16(l->packets_max);
	h->isoch_max = uw_put16(l->isoch_max);
	h->doorbell = uw_put32(l->doorbell);
	h->link = uw_put32(l->link);
	uw_zero(h->reserved, sizeof(h->reserved));
	uw_zero(page->reserved, sizeof(page->reserved));
	h->magic = uw_put64(UW_MAGIC);
}

enum uw_layout_fault uw_layout_read(struct uw_layout *l, const struct uw_host_page *page)
{
	struct uw_host_head h;

	uw_copy(&h, &page->head, sizeof(h));
	if (uw_get64(h.magic) != UW_MAGIC)
		return UW_LAYOUT_MAGIC;
	uw_zero(l, sizeof(*l)); /* padding too, so that copies compare byte by byte */
	l->version_min = uw_get16(h.version_min);
	l->version_max = uw_get16(h.version_max);
	l->size = uw_get32(h.size);
	l->features = uw_get64(h.features);
	l->guest_page = uw_get32(h.guest_page);
	l->sub_ring = uw_get32(h.sub_ring);
	l->comp_ring = uw_get32(h.comp_ring);
	l->data = uw_get32(h.data);
	l->data_size = uw_get32(h.data_size);
	l->sub_slots = uw_get16(h.sub_slots);
	l->comp_slots = uw_get16(h.comp_slots);
	l->start = uw_get32(h.start);
	l->reserve = uw_get16(h.reserve);
	l->granule = uw_get16(h.granule);
	l->transfers = uw_get32(h.transfers);
	l->share = uw_get16(h.share);
	l->usb2_ports = h.usb2_ports;
	l->usb3_ports = h.usb3_ports;
	l->transfer_max = uw_get32(h.transfer_max);
	l->packets_max = uw_get16(h.packets_max);
	l->isoch_max = uw_get16(h.isoch_max);
	l->doorbell = uw_get32(h.doorbell);
	l->link = uw_get32(h.link);
	return UW_LAYOUT_OK;
}
