/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The root hubs as the guest's hub driver sees them: USB 2.0 11.24 and USB 3.2 10.16. Port events of the host go in,
 * port requests to it come out; nothing here waits. The driver's lock guards it.
 *
 *                 connect event         SetPortFeature(RESET)         answer OK
 *   no device --------------------> connected ------------> resetting ---------> enabled <----+
 *       ^                               ^                       |                   |  suspend | resume, wake-up
 *       | disconnect, session ends      +--- answer not OK -----+                   +--> U3 ---+
 *       +------------------------------------- from every state
 *
 * A USB 3 port trains its link by itself, so that it goes from no device to enabled at once.
 */
#ifndef UW_HUB_H
#define UW_HUB_H

#include "base.h"

/* Port link states, USB 3.2 10.16.2.6.1. A USB 2 port knows U0 and U3, which is its suspend. */
enum uw_hub_link {
	UW_LINK_U0 = 0,
	UW_LINK_U1 = 1,
	UW_LINK_U2 = 2,
	UW_LINK_U3 = 3,
	UW_LINK_DISABLED = 4,
	UW_LINK_RX_DETECT = 5,
	UW_LINK_INACTIVE = 6,
};

struct uw_hub_port {
	uint8_t speed;         /* enum uw_speed: what the host says is there, shown or not */
	uint8_t link;          /* enum uw_hub_link */
	bool powered, connected, enabled, resetting;
	bool warm;             /* the reset under way is a warm one */
	bool again;            /* gone and connected again: shown once the hub driver has seen that it was gone */
	bool off_told;         /* the host has been asked to cut power */
	uint8_t want;          /* enum uw_request to be sent next, or 0 */
	uint8_t sent;          /* enum uw_request under way, or 0 */
	uint16_t change;       /* wPortChange */
	uint8_t u1_timeout, u2_timeout, wake_mask;
};

struct uw_hub {
	bool usb3;
	bool can_suspend;      /* agreed with the host: port suspend reaches the device, and so wake-up comes back */
	bool changed;          /* a change bit has been set since uw_hub_take_changed */
	uint8_t ports;         /* 1..UW_USB2_PORTS_MAX */
	uint8_t before;        /* wire ports before this hub's first: wire port = before + port */
	struct uw_hub_port port[UW_USB2_PORTS_MAX + 1]; /* from 1 */
};

#define UW_HUB_STALL (-1)
#define UW_HUB_ANSWER 15u      /* bytes of the longest answer to a control request */
#define UW_HUB_BITMAP 4u       /* bytes of the longest status change bitmap */

/* A control request, USB 2.0 9.3; request is bmRequestType in the high byte, bRequest in the low one. */
struct uw_hub_setup {
	uint16_t request, value, index, length;
};

void uw_hub_init(struct uw_hub *h, bool usb3, uint8_t ports, uint8_t before);

/* Bytes put into answer, which has room for UW_HUB_ANSWER: at most length. UW_HUB_STALL: no such request. */
int32_t uw_hub_control(struct uw_hub *h, const struct uw_hub_setup *s, uint8_t answer[UW_HUB_ANSWER]);
/* The status change endpoint: bytes of the bitmap, or 0 when nothing has changed. */
uint32_t uw_hub_changes(const struct uw_hub *h, uint8_t bitmap[UW_HUB_BITMAP]);
/* Has a change bit been set since the last call? Then the status change endpoint has something to say. */
bool uw_hub_take_changed(struct uw_hub *h);

/* An event of the host: what is connected now, and UW_EVENT_*. */
void uw_hub_event(struct uw_hub *h, uint8_t port, uint8_t speed, uint16_t changes);
/* A session begins: port events follow. */
void uw_hub_up(struct uw_hub *h, bool can_suspend);
/* The session has ended: every port is empty. */
void uw_hub_down(struct uw_hub *h);

/* The next port request to send; skip: wire ports that take none now, one bit each. False: none. */
UW_MUST_CHECK bool uw_hub_next(struct uw_hub *h, uint64_t skip, uint8_t *port, uint8_t *request);
/* The answer to the port request under way, or why it could not be sent. */
void uw_hub_answered(struct uw_hub *h, uint8_t port, uint32_t status);

/* A suspend or resume waits for its answer: the hub driver must not look at the port before. */
static inline bool uw_hub_settling(const struct uw_hub *h, uint8_t port)
{
	const struct uw_hub_port *p = &h->port[port];

	return p->want == UW_PORT_SUSPEND || p->want == UW_PORT_RESUME || p->sent == UW_PORT_SUSPEND ||
	       p->sent == UW_PORT_RESUME;
}

static inline bool uw_hub_suspended(const struct uw_hub *h, uint8_t port)
{
	return h->port[port].link == UW_LINK_U3;
}

#endif
