/* SPDX-License-Identifier: GPL-2.0-only */
/* Root hub emulation: the control requests of hub drivers, and the status change bitmap. */
#include "hub.h"
#include "hubport.h"

/* bmRequestType and bRequest: USB 2.0 table 11-16, USB 3.2 table 10-8. */
#define HUB_GET_STATUS UINT16_C(0xa000)
#define HUB_GET_PORT_STATUS UINT16_C(0xa300)
#define HUB_GET_HUB_DESCRIPTOR UINT16_C(0xa006)
#define HUB_GET_DESCRIPTOR UINT16_C(0x8006)
#define HUB_CLEAR_FEATURE UINT16_C(0x2001)
#define HUB_SET_DEPTH UINT16_C(0x200c)
#define HUB_CLEAR_PORT_FEATURE UINT16_C(0x2301)
#define HUB_SET_PORT_FEATURE UINT16_C(0x2303)
#define HUB_GET_PORT_ERROR_COUNT UINT16_C(0xa30d)

/* Feature selectors: USB 2.0 table 11-17, USB 3.2 table 10-9. Both kinds of hub use 5 and 23, each for its own. */
enum uw_hub_feature {
	HUB_F_ENABLE = 1,
	HUB_F_SUSPEND = 2,
	HUB_F_RESET = 4,
	HUB_F_LINK_STATE = 5,
	HUB_F_POWER = 8,
	HUB_F_C_CONNECTION = 16,
	HUB_F_C_ENABLE = 17,
	HUB_F_C_SUSPEND = 18,
	HUB_F_C_OVERCURRENT = 19,
	HUB_F_C_RESET = 20,
	HUB_F_INDICATOR = 22,
	HUB_F_U1_TIMEOUT = 23,
	HUB_F_U2_TIMEOUT = 24,
	HUB_F_C_LINK_STATE = 25,
	HUB_F_C_CONFIG_ERROR = 26,
	HUB_F_WAKE_MASK = 27,
	HUB_F_WARM_RESET = 28,
	HUB_F_C_WARM_RESET = 29,
	HUB_F_FORCE_LPM = 30,
};

/* wPortStatus: USB 2.0 table 11-21, USB 3.2 table 10-13. */
#define HUB_S_CONNECTION 0x0001u
#define HUB_S_ENABLE 0x0002u
#define HUB_S_SUSPEND 0x0004u
#define HUB_S_RESET 0x0010u
#define HUB_S_POWER_2 0x0100u
#define HUB_S_LOW 0x0200u
#define HUB_S_HIGH 0x0400u
#define HUB_S_LINK_SHIFT 5
#define HUB_S_POWER_3 0x0200u

#define HUB_BOS 0x0f
#define HUB_EXT_STATUS 2

static int32_t hub_set_usb2(struct uw_hub *h, struct uw_hub_port *p, uint8_t feature)
{
	return feature == HUB_F_SUSPEND ? uw_port_suspend(h, p) : UW_HUB_STALL;
}

static int32_t hub_set_usb3(struct uw_hub *h, struct uw_hub_port *p, uint8_t feature, uint8_t selector)
{
	switch (feature) {
	case HUB_F_LINK_STATE:
		return uw_port_set_link(h, p, selector);
	case HUB_F_WARM_RESET:
		return uw_port_reset(h, p, true);
	case HUB_F_U1_TIMEOUT:
		p->u1_timeout = selector;
		return 0;
	case HUB_F_U2_TIMEOUT:
		p->u2_timeout = selector;
		return 0;
	case HUB_F_WAKE_MASK:
		p->wake_mask = selector;
		return 0;
	case HUB_F_FORCE_LPM:
		return 0;
	default:
		return UW_HUB_STALL;
	}
}

/* The change bit that a C_ feature clears, or 0. */
static uint16_t hub_change_bit(bool usb3, uint8_t feature)
{
	static const struct {
		uint8_t feature;
		uint8_t bit;
		bool usb2, usb3;
	} table[] = {
		{ HUB_F_C_CONNECTION, UW_C_CONNECTION, true, true },
		{ HUB_F_C_ENABLE, UW_C_ENABLE, true, false },
		{ HUB_F_C_SUSPEND, UW_C_SUSPEND, true, false },
		{ HUB_F_C_OVERCURRENT, UW_C_OVERCURRENT, true, true },
		{ HUB_F_C_RESET, UW_C_RESET, true, true },
		{ HUB_F_C_LINK_STATE, UW_C_LINK_STATE, false, true },
		{ HUB_F_C_CONFIG_ERROR, UW_C_CONFIG_ERROR, false, true },
		{ HUB_F_C_WARM_RESET, UW_C_WARM_RESET, false, true },
	};
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(table); i++)
		if (table[i].feature == feature && (usb3 ? table[i].usb3 : table[i].usb2))
			return table[i].bit;
	return 0;
}

static int32_t hub_clear_feature(struct uw_hub *h, struct uw_hub_port *p, uint8_t feature)
{
	uint16_t bit = hub_change_bit(h->usb3, feature);

	if (bit)
		return uw_port_clear_change(h, p, bit);
	if (feature == HUB_F_POWER)
		return uw_port_power_off(h, p);
	if (h->usb3)
		return feature == HUB_F_FORCE_LPM ? 0 : UW_HUB_STALL;
	switch (feature) {
	case HUB_F_ENABLE:
		return uw_port_disable(p);
	case HUB_F_SUSPEND:
		return uw_port_resume(p);
	case HUB_F_INDICATOR:
		return 0;
	default:
		return UW_HUB_STALL;
	}
}

static int32_t hub_port_feature(struct uw_hub *h, const struct uw_hub_setup *s)
{
	struct uw_hub_port *p = &h->port[s->index & 0xff];
	uint8_t feature = (uint8_t)s->value, selector = (uint8_t)(s->index >> 8);

	if (s->value > 0xff)
		return UW_HUB_STALL;
	if (s->request == HUB_CLEAR_PORT_FEATURE)
		return hub_clear_feature(h, p, feature);
	if (feature == HUB_F_RESET)
		return uw_port_reset(h, p, false);
	if (feature == HUB_F_POWER)
		return uw_port_power_on(h, p);
	return h->usb3 ? hub_set_usb3(h, p, feature, selector) : hub_set_usb2(h, p, feature);
}

/* ---- what is read */

static uint16_t hub_status_word(const struct uw_hub *h, const struct uw_hub_port *p)
{
	uint16_t w = 0;

	if (p->connected)
		w |= HUB_S_CONNECTION;
	if (p->enabled)
		w |= HUB_S_ENABLE;
	if (p->resetting)
		w |= HUB_S_RESET;
	if (h->usb3)
		return w | (uint16_t)(p->link << HUB_S_LINK_SHIFT) | (p->powered ? HUB_S_POWER_3 : 0);
	if (p->powered)
		w |= HUB_S_POWER_2;
	if (p->link == UW_LINK_U3)
		w |= HUB_S_SUSPEND;
	if (p->connected && p->speed == UW_SPEED_LOW)
		w |= HUB_S_LOW;
	/* High speed is negotiated by the reset, USB 2.0 7.1.7.5. */
	if (p->enabled && p->speed == UW_SPEED_HIGH)
		w |= HUB_S_HIGH;
	return w;
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
}

/* The extended status of USB 3.1 says one lane of the first listed speed in each direction, which is all zeros. */
static int32_t hub_port_status(const struct uw_hub *h, const struct uw_hub_setup *s, uint8_t *answer)
{
	const struct uw_hub_port *p = &h->port[s->index & 0xff];

	if (s->value && !(h->usb3 && s->value == HUB_EXT_STATUS))
		return UW_HUB_STALL;
	put16(answer, hub_status_word(h, p));
	put16(answer + 2, p->change);
	return s->value ? 8 : 4;
}

/* Power and over-current are each port's own; every device can be removed. USB 2.0 11.23.2.1, USB 3.2 10.15.2.1. */
static int32_t hub_descriptor(const struct uw_hub *h, uint8_t *answer)
{
	uint32_t bytes = h->ports / 8u + 1, i;

	answer[1] = h->usb3 ? 0x2a : 0x29;
	answer[2] = h->ports;
	put16(answer + 3, 0x0009);
	answer[0] = h->usb3 ? 12 : (uint8_t)(7 + 2 * bytes);
	for (i = 0; !h->usb3 && i < bytes; i++)
		answer[7 + bytes + i] = 0xff;
	return answer[0];
}

/* One capability: super speed, 5 Gbit/s only, no exit latencies. USB 3.2 9.6.2. */
static int32_t hub_bos_descriptor(const struct uw_hub *h, uint16_t value, uint8_t *answer)
{
	static const uint8_t bos[] = {
		5, HUB_BOS, 15, 0, 1,
		10, 0x10, 3, 0, 0x08, 0, 3, 0, 0, 0,
	};

	if (!h->usb3 || value != HUB_BOS << 8)
		return UW_HUB_STALL;
	uw_copy(answer, bos, sizeof(bos));
	return sizeof(bos);
}

static bool hub_names_port(uint16_t request)
{
	return request == HUB_GET_PORT_STATUS || request == HUB_SET_PORT_FEATURE || request == HUB_CLEAR_PORT_FEATURE ||
	       request == HUB_GET_PORT_ERROR_COUNT;
}

static int32_t hub_control(struct uw_hub *h, const struct uw_hub_setup *s, uint8_t *answer)
{
	if (hub_names_port(s->request) && (!(s->index & 0xff) || (s->index & 0xff) > h->ports))
		return UW_HUB_STALL;
	switch (s->request) {
	case HUB_GET_STATUS:
		return 4;
	case HUB_GET_PORT_STATUS:
		return hub_port_status(h, s, answer);
	case HUB_GET_HUB_DESCRIPTOR:
		return hub_descriptor(h, answer);
	case HUB_GET_DESCRIPTOR:
		return hub_bos_descriptor(h, s->value, answer);
	case HUB_CLEAR_FEATURE: /* C_HUB_LOCAL_POWER and C_HUB_OVER_CURRENT, which are never set */
		return s->value <= 1 ? 0 : UW_HUB_STALL;
	case HUB_SET_PORT_FEATURE:
	case HUB_CLEAR_PORT_FEATURE:
		return hub_port_feature(h, s);
	case HUB_SET_DEPTH:
		return h->usb3 ? 0 : UW_HUB_STALL;
	case HUB_GET_PORT_ERROR_COUNT:
		return h->usb3 ? 2 : UW_HUB_STALL;
	default:
		return UW_HUB_STALL;
	}
}

int32_t uw_hub_control(struct uw_hub *h, const struct uw_hub_setup *s, uint8_t answer[UW_HUB_ANSWER])
{
	int32_t bytes;

	uw_zero(answer, UW_HUB_ANSWER);
	bytes = hub_control(h, s, answer);
	return bytes > s->length ? s->length : bytes;
}

uint32_t uw_hub_changes(const struct uw_hub *h, uint8_t bitmap[UW_HUB_BITMAP])
{
	uint32_t i, any = 0;

	uw_zero(bitmap, UW_HUB_BITMAP);
	for (i = 1; i <= h->ports; i++) {
		if (!h->port[i].change)
			continue;
		bitmap[i / 8] |= (uint8_t)(1u << (i % 8));
		any = 1;
	}
	return any ? h->ports / 8u + 1 : 0;
}

bool uw_hub_take_changed(struct uw_hub *h)
{
	bool changed = h->changed;

	h->changed = false;
	return changed;
}
