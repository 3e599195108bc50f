/* SPDX-License-Identifier: GPL-2.0-only */
/* Root hub emulation: what becomes of a port by events of the host, answers of the host, and the hub driver's wishes. */
#include "hub.h"
#include "hubport.h"

void uw_hub_init(struct uw_hub *h, bool usb3, uint8_t ports, uint8_t before)
{
	uint32_t i;

	uw_zero(h, sizeof(*h));
	h->usb3 = usb3;
	h->ports = ports;
	h->before = before;
	for (i = 1; i <= ports; i++)
		h->port[i].link = usb3 ? UW_LINK_RX_DETECT : UW_LINK_U0;
}

static void hub_change(struct uw_hub *h, struct uw_hub_port *p, uint16_t bits)
{
	p->change |= bits;
	h->changed = true;
}

static void hub_reset_ended(struct uw_hub *h, struct uw_hub_port *p, bool ok)
{
	p->resetting = false;
	p->enabled = ok && p->connected;
	if (p->connected)
		p->link = p->enabled || !h->usb3 ? UW_LINK_U0 : UW_LINK_INACTIVE;
	hub_change(h, p, p->warm ? UW_C_RESET | UW_C_WARM_RESET : UW_C_RESET);
}

/* The port is empty for the hub driver. A reset not yet sent ends here, one under way when its answer comes. */
static void hub_hide(struct uw_hub *h, struct uw_hub_port *p)
{
	p->connected = p->enabled = p->again = false;
	p->link = h->usb3 ? UW_LINK_RX_DETECT : UW_LINK_U0;
	if (p->want == UW_PORT_RESET)
		hub_reset_ended(h, p, false);
	if (p->want <= UW_PORT_RESUME)
		p->want = 0;
}

static void hub_show(struct uw_hub *h, struct uw_hub_port *p)
{
	p->connected = true;
	p->enabled = h->usb3;
	p->link = UW_LINK_U0;
	hub_change(h, p, UW_C_CONNECTION);
}

static void hub_gone(struct uw_hub *h, struct uw_hub_port *p)
{
	if (p->connected)
		hub_change(h, p, UW_C_CONNECTION);
	hub_hide(h, p);
}

/* A device where one was a moment ago must be seen as another one, so the hub driver first sees the empty port. */
static void hub_come(struct uw_hub *h, struct uw_hub_port *p)
{
	if (p->change & UW_C_CONNECTION)
		p->again = true;
	else
		hub_show(h, p);
}

static void hub_resumed(struct uw_hub *h, struct uw_hub_port *p)
{
	if (p->link != UW_LINK_U3)
		return;
	p->link = UW_LINK_U0;
	hub_change(h, p, h->usb3 ? UW_C_LINK_STATE : UW_C_SUSPEND);
}

/*
 * The device forgot its address. A suspended one is found disabled when it is resumed, and reset then; USB 3 has a
 * state for a link in need of a reset, in which hub drivers reset the device and keep its drivers; a USB 2 hub can
 * only say that the connection changed.
 */
static void hub_lost(struct uw_hub *h, struct uw_hub_port *p)
{
	bool slept = p->link == UW_LINK_U3;

	if (!p->enabled)
		return;
	p->enabled = false;
	p->want = 0;
	p->link = h->usb3 && !slept ? UW_LINK_INACTIVE : UW_LINK_U0;
	if (!slept)
		hub_change(h, p, h->usb3 ? UW_C_LINK_STATE : UW_C_CONNECTION);
}

void uw_hub_event(struct uw_hub *h, uint8_t port, uint8_t speed, uint16_t changes)
{
	struct uw_hub_port *p = &h->port[port];
	bool moved = (changes & UW_EVENT_CONNECT) || speed != p->speed;

	p->speed = speed;
	if (!p->powered)
		return;
	if (changes & UW_EVENT_OVERCURRENT)
		hub_change(h, p, UW_C_OVERCURRENT);
	if (moved)
		hub_gone(h, p);
	if (moved && speed)
		hub_come(h, p);
	if (moved)
		return;
	if (changes & UW_EVENT_LOST_POWER)
		hub_lost(h, p);
	else if (changes & UW_EVENT_WAKEUP)
		uw_port_resume(p);
}

void uw_hub_up(struct uw_hub *h, bool can_suspend)
{
	uint32_t i;

	h->can_suspend = can_suspend;
	for (i = 1; i <= h->ports; i++)
		if (h->port[i].off_told)
			h->port[i].want = UW_PORT_POWER_OFF;
}

void uw_hub_down(struct uw_hub *h)
{
	uint32_t i;

	for (i = 1; i <= h->ports; i++) {
		h->port[i].speed = UW_SPEED_NONE;
		hub_gone(h, &h->port[i]);
	}
}

/* ---- requests to the host ---- */

bool uw_hub_next(struct uw_hub *h, uint64_t skip, uint8_t *port, uint8_t *request)
{
	struct uw_hub_port *p;
	uint32_t i;

	for (i = 1; i <= h->ports; i++) {
		p = &h->port[i];
		if (!p->want || p->sent || (skip >> (h->before + i) & 1))
			continue;
		p->sent = p->want;
		p->want = 0;
		*port = (uint8_t)i;
		*request = p->sent;
		return true;
	}
	return false;
}

void uw_hub_answered(struct uw_hub *h, uint8_t port, uint32_t status)
{
	struct uw_hub_port *p = &h->port[port];
	uint8_t request = p->sent;

	p->sent = 0;
	switch (request) {
	case UW_PORT_RESET:
		/* A power cycle in between has forgotten this reset, and perhaps asked for another. */
		if (p->resetting && p->want != UW_PORT_RESET)
			hub_reset_ended(h, p, status == UW_ST_OK);
		break;
	case UW_PORT_SUSPEND:
		/* A device that did not suspend will not ask for resume: then the port must not stay suspended. */
		if (status != UW_ST_OK && p->want != UW_PORT_RESUME)
			hub_resumed(h, p);
		break;
	case UW_PORT_RESUME:
		hub_resumed(h, p);
		break;
	default: /* power */
		break;
	}
}

int32_t uw_port_reset(struct uw_hub *h, struct uw_hub_port *p, bool warm)
{
	if (!p->powered)
		return UW_HUB_STALL;
	if (p->resetting)
		return 0;
	p->warm = warm;
	p->enabled = false;
	if (!p->connected) {
		hub_reset_ended(h, p, false);
		return 0;
	}
	p->resetting = true;
	p->want = UW_PORT_RESET;
	return 0;
}

int32_t uw_port_suspend(struct uw_hub *h, struct uw_hub_port *p)
{
	if (!p->enabled || p->resetting || !h->can_suspend)
		return UW_HUB_STALL;
	if (p->link != UW_LINK_U3)
		p->want = UW_PORT_SUSPEND;
	p->link = UW_LINK_U3;
	return 0;
}

int32_t uw_port_resume(struct uw_hub_port *p)
{
	if (p->link == UW_LINK_U3 && p->sent != UW_PORT_RESUME)
		p->want = UW_PORT_RESUME;
	return 0;
}

/* Hub drivers power every port up when they begin. The host's ports have power already, so it is told only of the
 * end of an earlier power-off. */
int32_t uw_port_power_on(struct uw_hub *h, struct uw_hub_port *p)
{
	if (p->powered)
		return 0;
	p->powered = true;
	if (p->off_told)
		p->want = UW_PORT_POWER_ON;
	p->off_told = false;
	if (p->speed)
		hub_show(h, p);
	return 0;
}

int32_t uw_port_power_off(struct uw_hub *h, struct uw_hub_port *p)
{
	if (!p->powered)
		return 0;
	hub_hide(h, p);
	p->powered = p->resetting = false;
	p->link = h->usb3 ? UW_LINK_DISABLED : UW_LINK_U0;
	p->change = 0;
	p->want = UW_PORT_POWER_OFF;
	p->off_told = true;
	return 0;
}

int32_t uw_port_set_link(struct uw_hub *h, struct uw_hub_port *p, uint8_t link)
{
	if (!p->powered)
		return UW_HUB_STALL;
	switch (link) {
	case UW_LINK_U0:
		return uw_port_resume(p);
	case UW_LINK_U1:
	case UW_LINK_U2:
		return p->enabled ? 0 : UW_HUB_STALL;
	case UW_LINK_U3:
		return uw_port_suspend(h, p);
	case UW_LINK_DISABLED:
		hub_hide(h, p);
		p->link = UW_LINK_DISABLED;
		return 0;
	case UW_LINK_RX_DETECT:
		if (!p->connected) {
			p->link = UW_LINK_RX_DETECT;
			if (p->speed)
				hub_come(h, p);
		}
		return 0;
	default:
		return UW_HUB_STALL;
	}
}

int32_t uw_port_disable(struct uw_hub_port *p)
{
	p->enabled = false;
	p->link = UW_LINK_U0;
	return 0;
}

int32_t uw_port_clear_change(struct uw_hub *h, struct uw_hub_port *p, uint16_t bit)
{
	p->change &= (uint16_t)~bit;
	if (bit == UW_C_CONNECTION && p->again) {
		p->again = false;
		hub_show(h, p);
	}
	return 0;
}
