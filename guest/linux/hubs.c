// SPDX-License-Identifier: GPL-2.0-only
/* Root hubs, port requests and streams: usbcore's view of the ports, and what the session says of them. */
#include <linux/usb/ch11.h>

#include "trace.h"
#include "usbwarp.h"

/* How long the hub driver is kept from looking at a port that is being suspended or resumed. Hosts take longer than
 * the 40 ms after which it would take a device for lost. */
#define SETTLE_TIMEOUT (5 * HZ)

static struct uw_hub *hub_of(struct uw_dev *d, const struct usb_hcd *hcd)
{
	return &d->hub[hcd == d->hcd[UW_USB2] ? UW_USB2 : UW_USB3];
}

void uw_hubs_init(struct uw_dev *d)
{
	uw_hub_init(&d->hub[UW_USB2], false, d->g.layout.usb2_ports, 0);
	uw_hub_init(&d->hub[UW_USB3], true, d->g.layout.usb3_ports, d->g.layout.usb2_ports);
}

/* The port on the wire that leads to a device: that of the root hub, however deep below it the device is. */
u8 uw_hubs_wire_port(struct usb_hcd *hcd, struct usb_device *udev)
{
	while (udev->parent && udev->parent->parent)
		udev = udev->parent;
	return hub_of(uw_dev_of(hcd), hcd)->before + udev->portnum;
}

/* ---- session to ports ---- */

static void trace_state(struct uw_dev *d, const char *what, u8 port, u32 value)
{
	trace_uw_state(pci_name(d->pdev), what, d->g.epoch, port, value);
}

static void on_port(struct uw_dev *d, const struct uw_note *note)
{
	struct uw_hub *hub = &d->hub[note->port > d->g.layout.usb2_ports ? UW_USB3 : UW_USB2];

	trace_state(d, "port", note->port, note->speed);
	uw_hub_event(hub, note->port - hub->before, note->speed, note->changes);
}

static void on_answer(struct uw_dev *d, const struct uw_note *note)
{
	struct uw_hub *hub = &d->hub[note->port > d->g.layout.usb2_ports ? UW_USB3 : UW_USB2];
	struct uw_call *call = d->call[note->port];

	trace_state(d, "answer", note->port, note->status);
	if (call) {
		call->status = note->status;
		call->value = note->value;
		call->done = true;
		d->call[note->port] = NULL;
	} else {
		uw_hub_answered(hub, note->port - hub->before, note->status);
	}
}

static void on_up(struct uw_dev *d)
{
	bool can_suspend = d->g.features & UW_FEATURE_SUSPEND;

	trace_state(d, "up", 0, 0);
	dev_info(&d->pdev->dev, "connected to %s\n", d->g.host_name[0] ? d->g.host_name : "a host without a name");
	uw_hub_up(&d->hub[UW_USB2], can_suspend);
	uw_hub_up(&d->hub[UW_USB3], can_suspend);
}

static void on_down(struct uw_dev *d)
{
	trace_state(d, "down", 0, 0);
	if (!d->g.bye)
		dev_warn(&d->pdev->dev, "the session with the host has ended\n");
	uw_hub_down(&d->hub[UW_USB2]);
	uw_hub_down(&d->hub[UW_USB3]);
}

static void on_note(struct uw_dev *d, const struct uw_note *note)
{
	switch (note->kind) {
	case UW_NOTE_UP:
		on_up(d);
		break;
	case UW_NOTE_DOWN:
		on_down(d);
		break;
	case UW_NOTE_PORT:
		on_port(d, note);
		break;
	case UW_NOTE_REQUEST:
		on_answer(d, note);
		break;
	case UW_NOTE_REFUSED:
		dev_err(&d->pdev->dev, "the host refuses this driver (status %u)\n", note->status);
		break;
	case UW_NOTE_LAYOUT:
		dev_err(&d->pdev->dev, "the host has changed the region's layout: %s\n",
			uw_layout_fault_text(note->value));
		break;
	}
}

/* Wire ports on which a streams call is under way, which goes the way of port requests. */
static u64 busy_ports(const struct uw_dev *d)
{
	u64 busy = 0;
	u32 port;

	for (port = 1; port <= UW_PORTS_MAX; port++)
		if (d->call[port])
			busy |= 1ull << port;
	return busy;
}

static void send_requests(struct uw_dev *d, struct uw_hub *hub)
{
	u64 busy = busy_ports(d);
	u8 port, request;

	lockdep_assert_held(&d->lock);
	while (uw_hub_next(hub, busy, &port, &request)) {
		trace_state(d, "request", hub->before + port, request);
		if (!uw_guest_port_request(&d->g, hub->before + port, request, ktime_get_ns()))
			uw_hub_answered(hub, port, UW_ST_NO_DEVICE);
	}
}

void uw_hubs_notes(struct uw_dev *d)
{
	struct uw_note note;

	lockdep_assert_held(&d->lock);
	while (uw_guest_note(&d->g, &note))
		on_note(d, &note);
	send_requests(d, &d->hub[UW_USB2]);
	send_requests(d, &d->hub[UW_USB3]);
}

static void report(struct usb_hcd *hcd)
{
	if (hcd->state == HC_STATE_SUSPENDED)
		usb_hcd_resume_root_hub(hcd);
	else
		usb_hcd_poll_rh_status(hcd);
}

/* Any context, without the lock: tells hub drivers of ports that have changed. */
void uw_hubs_report(struct uw_dev *d)
{
	bool changed[UW_HUBS] = { false, false };
	unsigned long flags;
	int i;

	spin_lock_irqsave(&d->lock, flags);
	for (i = 0; i < UW_HUBS && !d->asleep; i++)
		changed[i] = uw_hub_take_changed(&d->hub[i]);
	spin_unlock_irqrestore(&d->lock, flags);
	for (i = 0; i < UW_HUBS; i++)
		if (changed[i] && d->hcd[i])
			report(d->hcd[i]);
}

/* ---- usbcore to ports ---- */

/* Any context. */
int uw_hubs_status_data(struct usb_hcd *hcd, char *buf)
{
	struct uw_dev *d = uw_dev_of(hcd);
	u8 bitmap[UW_HUB_BITMAP];
	unsigned long flags;
	u32 bytes;

	spin_lock_irqsave(&d->lock, flags);
	bytes = uw_hub_changes(hub_of(d, hcd), bitmap);
	spin_unlock_irqrestore(&d->lock, flags);
	memcpy(buf, bitmap, bytes);
	return bytes;
}

static bool settled(struct uw_dev *d, const struct uw_hub *hub, u8 port)
{
	unsigned long flags;
	bool settling;

	spin_lock_irqsave(&d->lock, flags);
	settling = uw_hub_settling(hub, port);
	spin_unlock_irqrestore(&d->lock, flags);
	return !settling;
}

static bool asks_suspend(const struct uw_hub *hub, const struct uw_hub_setup *s)
{
	if (s->request != SetPortFeature)
		return false;
	return hub->usb3 ? s->value == USB_PORT_FEAT_LINK_STATE && s->index >> 8 == UW_LINK_U3 :
			   s->value == USB_PORT_FEAT_SUSPEND;
}

/* Suspend and resume are answered when the host has carried them out; a reset is not, hub drivers look again. */
static int settle(struct uw_dev *d, struct uw_hub *hub, const struct uw_hub_setup *s)
{
	u8 port = (u8)s->index;

	if (s->request != SetPortFeature && s->request != ClearPortFeature)
		return 0;
	wait_event_timeout(d->settled, settled(d, hub, port), SETTLE_TIMEOUT);
	return asks_suspend(hub, s) && !uw_hub_suspended(hub, port) ? -EPIPE : 0;
}

/* Process context. */
int uw_hubs_control(struct usb_hcd *hcd, u16 type_request, u16 value, u16 index, char *buf, u16 length)
{
	struct uw_hub_setup s = { .request = type_request, .value = value, .index = index, .length = length };
	struct uw_dev *d = uw_dev_of(hcd);
	struct uw_hub *hub = hub_of(d, hcd);
	u8 answer[UW_HUB_ANSWER];
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&d->lock, flags);
	ret = uw_hub_control(hub, &s, answer);
	send_requests(d, hub);
	spin_unlock_irqrestore(&d->lock, flags);
	if (ret < 0)
		return -EPIPE;
	uw_link_push(d);
	uw_hubs_report(d);
	memcpy(buf, answer, ret);
	return ret ? ret : settle(d, hub, &s);
}

/* Process context, once every device below is suspended or gone: there is nothing left to do to them. */
int uw_hubs_suspend(struct usb_hcd *hcd)
{
	return 0;
}

int uw_hubs_resume(struct usb_hcd *hcd)
{
	return 0;
}

/* ---- streams ---- */

enum call_state { CALL_WAIT, CALL_SENT, CALL_FAILED };

struct stream_call {
	struct uw_call call;
	u8 port, count;
	u16 streams;
	u8 endpoints[UW_STREAM_ENDPOINTS];
};

static enum call_state try_call(struct uw_dev *d, struct stream_call *c)
{
	enum call_state state = CALL_WAIT;
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	if (d->g.phase != UW_GUEST_RUN || !(d->g.features & UW_FEATURE_STREAMS)) {
		state = CALL_FAILED;
	} else if (uw_guest_streams(&d->g, c->port, c->endpoints, c->count, c->streams, ktime_get_ns())) {
		d->call[c->port] = &c->call;
		state = CALL_SENT;
	}
	spin_unlock_irqrestore(&d->lock, flags);
	return state;
}

static bool answered(struct uw_dev *d, struct stream_call *c)
{
	unsigned long flags;
	bool done;

	spin_lock_irqsave(&d->lock, flags);
	done = c->call.done;
	spin_unlock_irqrestore(&d->lock, flags);
	return done;
}

/* Without a time limit: each call is answered once, or the session ends, which is an answer too. */
static int call_streams(struct uw_dev *d, struct stream_call *c)
{
	enum call_state state;

	wait_event(d->settled, (state = try_call(d, c)) != CALL_WAIT);
	if (state == CALL_FAILED)
		return -ENODEV;
	uw_link_push(d);
	wait_event(d->settled, answered(d, c));
	return c->call.status == UW_ST_OK ? c->call.value : uw_errno(c->call.status);
}

static int set_call(struct stream_call *c, struct usb_hcd *hcd, struct usb_device *udev,
		    struct usb_host_endpoint **eps, unsigned int count)
{
	unsigned int i;

	if (!count || count > UW_STREAM_ENDPOINTS)
		return -EINVAL;
	memset(c, 0, sizeof(*c));
	c->port = uw_hubs_wire_port(hcd, udev);
	c->count = count;
	for (i = 0; i < count; i++)
		c->endpoints[i] = eps[i]->desc.bEndpointAddress;
	return 0;
}

/* Process context. Returns the number of streams granted. */
int uw_hubs_alloc_streams(struct usb_hcd *hcd, struct usb_device *udev, struct usb_host_endpoint **eps,
			  unsigned int count, unsigned int streams, gfp_t mem_flags)
{
	struct stream_call c;
	unsigned int i;
	int ret;

	ret = set_call(&c, hcd, udev, eps, count);
	if (ret)
		return ret;
	for (i = 0; i < count; i++)
		streams = min_t(unsigned int, streams, usb_ss_max_streams(&eps[i]->ss_ep_comp));
	if (!streams)
		return -EINVAL;
	c.streams = min(streams, UW_STREAMS_MAX);
	ret = call_streams(uw_dev_of(hcd), &c);
	return ret ? ret : -EPROTO; /* none granted is no success */
}

/* Process context. */
int uw_hubs_free_streams(struct usb_hcd *hcd, struct usb_device *udev, struct usb_host_endpoint **eps,
			 unsigned int count, gfp_t mem_flags)
{
	struct stream_call c;
	int ret;

	ret = set_call(&c, hcd, udev, eps, count);
	if (!ret)
		ret = call_streams(uw_dev_of(hcd), &c);
	/* Without a device there are no streams to free. */
	return ret == -ENODEV || ret == -ESHUTDOWN ? 0 : min(ret, 0);
}
