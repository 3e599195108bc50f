/* SPDX-License-Identifier: GPL-2.0-only */
/* The header that Linux' usbmon puts before each packet. */
#include "usbmon.h"

#include <string.h>

/* Linux' names, from its include/linux/usb.h. */
#define URB_SHORT_NOT_OK 0x0001u
#define URB_ZERO_PACKET 0x0040u
#define URB_DIR_IN 0x0200u

static uint32_t flags_of(const struct uw_ctl_packet *p)
{
	uint32_t flags = p->endpoint & 0x80 ? URB_DIR_IN : 0;

	if (p->flags & UW_SUBMIT_SHORT_NOT_OK)
		flags |= URB_SHORT_NOT_OK;
	if (p->flags & UW_SUBMIT_ZERO_PACKET)
		flags |= URB_ZERO_PACKET;
	return flags;
}

static uint8_t no_data(const struct uw_ctl_packet *p)
{
	if (p->captured > p->descriptors * sizeof(struct uw_ctl_descriptor))
		return 0;
	if (p->endpoint & 0x80)
		return p->event == UW_CTL_SUBMITTED ? '<' : '-';
	return p->event == UW_CTL_COMPLETED ? '>' : '-';
}

void uw_usbmon_header(struct uw_usbmon *h, const struct uw_ctl_packet *p)
{
	static const uint8_t transfers[] = { [UW_CONTROL] = 2, [UW_ISOCH] = 0, [UW_BULK] = 3, [UW_INTERRUPT] = 1 };

	memset(h, 0, sizeof(*h));
	h->id = p->id;
	h->event = p->event;
	h->transfer = transfers[p->transfer & 3];
	h->endpoint = p->endpoint;
	h->device = p->port;
	h->bus = p->bus;
	h->no_setup = p->transfer == UW_CONTROL && p->event == UW_CTL_SUBMITTED ? 0 : '-';
	h->no_data = no_data(p);
	h->seconds = p->time / 1000000000;
	h->microseconds = (uint32_t)(p->time % 1000000000 / 1000);
	h->status = p->status;
	h->length = p->length;
	h->captured = p->captured;
	h->interval = p->interval;
	h->flags = flags_of(p);
	h->descriptors = p->descriptors;
	if (!h->no_setup) {
		memcpy(h->u.setup, p->setup, sizeof(h->u.setup));
	} else if (p->transfer == UW_ISOCH) {
		h->u.iso.errors = p->errors;
		h->u.iso.packets = p->packets;
	}
}
