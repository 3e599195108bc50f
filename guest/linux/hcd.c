// SPDX-License-Identifier: GPL-2.0-only
/* URBs of class drivers to transfers of the session and back. */
#include <linux/ktime.h>
#include <linux/slab.h>

#include "trace.h"
#include "usbwarp.h"

#define COPY_BATCH (2u << 20)    /* bytes copied to class drivers in one round: others want the CPU too */

/* ---- endpoints ---- */

/* Bytes of a burst: what the endpoint moves at once, on which long transfers are cut. */
static u32 burst_bytes(const struct usb_host_endpoint *hep)
{
	u32 bytes = usb_endpoint_maxp(&hep->desc);

	if (hep->ss_ep_comp.bLength)
		return bytes * (hep->ss_ep_comp.bMaxBurst + 1u);
	return bytes * usb_endpoint_maxp_mult(&hep->desc);
}

/* Any context. NULL: no memory. */
static struct uw_hep *new_hep(struct usb_hcd *hcd, const struct urb *urb, gfp_t mem_flags)
{
	const struct usb_host_endpoint *ep = urb->ep;
	struct uw_hep *hep = kzalloc(sizeof(*hep), mem_flags);

	if (hep)
		uw_ep_init(&hep->ep, uw_hubs_wire_port(hcd, urb->dev), ep->desc.bEndpointAddress,
			   usb_endpoint_type(&ep->desc), burst_bytes(ep));
	return hep;
}

/* Process context, after usbcore has flushed the endpoint's queue. */
static void endpoint_disable(struct usb_hcd *hcd, struct usb_host_endpoint *ep)
{
	struct uw_dev *d = uw_dev_of(hcd);
	unsigned long flags;
	struct uw_hep *hep;
	bool idle;

	spin_lock_irqsave(&d->lock, flags);
	hep = ep->hcpriv;
	ep->hcpriv = NULL;
	idle = !hep || uw_ep_idle(&hep->ep);
	spin_unlock_irqrestore(&d->lock, flags);
	if (!WARN_ON(!idle))
		kfree(hep);
}

/* The host's stack keeps data toggles and sequence numbers, and resets them when it sees the halt cleared. */
static void endpoint_reset(struct usb_hcd *hcd, struct usb_host_endpoint *ep)
{
}

/* ---- frames ---- */

/* Frames of 1 ms: the bus's own count does not cross, and class drivers use it as a clock only. */
static u32 frame_now(void)
{
	return (u32)div_u64(ktime_get_ns(), NSEC_PER_MSEC);
}

static int get_frame_number(struct usb_hcd *hcd)
{
	return frame_now() & 0x7ff;
}

/*
 * An URB begins where the one before it ended. After a gap, or when a device that keeps no time has run ahead of the
 * clock, it begins two frames from now.
 */
static void plan_frames(struct uw_hep *hep, struct urb *urb)
{
	u32 per_ms = urb->dev->speed >= USB_SPEED_HIGH ? 8 : 1;
	u32 soon = (frame_now() + 2) * per_ms;

	if (hep->next_frame - soon > 1024 * per_ms)
		hep->next_frame = soon;
	urb->start_frame = hep->next_frame & (0x800 * per_ms - 1);
	hep->next_frame += urb->number_of_packets * urb->interval;
}

/* ---- submission ---- */

/* Zero copy is decided by address, because URB_NO_TRANSFER_DMA_MAP is also set on memory that is not ours. */
static u32 direct_at(const struct uw_dev *d, const struct urb *urb, u32 bytes)
{
	size_t at = (u8 *)urb->transfer_buffer - d->pool_start;

	if (!d->pool_size || urb->num_sgs || !urb->transfer_buffer || (u8 *)urb->transfer_buffer < d->pool_start ||
	    at >= d->pool_size || bytes > d->pool_size - at)
		return UW_NOT_DIRECT;
	return (u32)at;
}

static void set_control(struct uw_req *req)
{
	const struct usb_ctrlrequest *setup = (const void *)req->urb->setup_packet;
	struct uw_urb *u = &req->u;

	memcpy(u->setup, setup, sizeof(u->setup));
	/* Kernels before 5.13 let these differ; less than asked for is what both sides can carry. */
	u->length = min_t(u32, u->length, le16_to_cpu(setup->wLength));
	u->setup[6] = (u8)u->length;
	u->setup[7] = (u8)(u->length >> 8);
	u->endpoint = usb_endpoint_num(&req->urb->ep->desc) | (setup->bRequestType & USB_DIR_IN);
}

/* Bytes that the packets take in the region: packed, or in a pool buffer what they span there. */
static u32 packets_length(const struct uw_dev *d, struct urb *urb, u32 *direct)
{
	u32 i, packed = 0, end = 0;

	for (i = 0; i < urb->number_of_packets; i++) {
		packed += urb->iso_frame_desc[i].length;
		/* To be used where they are, packets must lie in order and apart. */
		if (urb->iso_frame_desc[i].offset < end)
			*direct = UW_NOT_DIRECT;
		end = urb->iso_frame_desc[i].offset + urb->iso_frame_desc[i].length;
	}
	if (*direct != UW_NOT_DIRECT)
		*direct = direct_at(d, urb, end);
	return *direct == UW_NOT_DIRECT ? packed : end;
}

static void set_flags(struct uw_req *req)
{
	u32 flags = req->urb->transfer_flags;

	if ((flags & URB_ZERO_PACKET) && usb_endpoint_is_bulk_out(&req->urb->ep->desc))
		req->u.flags |= UW_SUBMIT_ZERO_PACKET;
	if ((flags & URB_SHORT_NOT_OK) && (req->u.endpoint & USB_DIR_IN) && !req->u.packets)
		req->u.flags |= UW_SUBMIT_SHORT_NOT_OK;
}

static void set_urb(const struct uw_dev *d, struct uw_req *req)
{
	struct urb *urb = req->urb;
	struct uw_urb *u = &req->u;

	u->endpoint = urb->ep->desc.bEndpointAddress;
	u->length = urb->transfer_buffer_length;
	u->direct = direct_at(d, urb, u->length);
	switch (usb_endpoint_type(&urb->ep->desc)) {
	case UW_CONTROL:
		set_control(req);
		break;
	case UW_BULK:
		u->stream = urb->stream_id;
		break;
	case UW_ISOCH:
		urb->error_count = 0;
		u->packets = urb->number_of_packets;
		u->length = packets_length(d, urb, &u->direct);
		fallthrough;
	default:
		u->interval = clamp(urb->interval, 1, 0xffff);
	}
	set_flags(req);
}

static bool is_set_address(const struct urb *urb)
{
	const struct usb_ctrlrequest *setup = (const void *)urb->setup_packet;

	return usb_endpoint_num(&urb->ep->desc) == 0 && setup->bRequestType == 0 &&
	       setup->bRequest == USB_REQ_SET_ADDRESS;
}

/*
 * With the lock held, as only a driver with HCD_BH may: usbcore puts the URB on a list here and completes it later. Its
 * own lock wants interrupts off, or on a real-time kernel on; inside ours they are as it needs them.
 */
static void give_back(struct uw_dev *d, struct usb_hcd *hcd, struct urb *urb, int status)
{
	lockdep_assert_held(&d->lock);
	usb_hcd_unlink_urb_from_ep(hcd, urb);
	trace_uw_complete(urb, status);
	usb_hcd_giveback_urb(hcd, urb, status);
}

/* The device has an address of its host's choice: this one ends here, and is said to be well. */
static int swallow(struct uw_dev *d, struct usb_hcd *hcd, struct urb *urb)
{
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&d->lock, flags);
	ret = usb_hcd_link_urb_to_ep(hcd, urb);
	if (!ret)
		give_back(d, hcd, urb, 0);
	spin_unlock_irqrestore(&d->lock, flags);
	return ret;
}

/* The endpoint's object is looked up once the URB is linked: only then can usbcore no longer disable the endpoint. */
static int queue(struct uw_dev *d, struct uw_req *req, struct uw_hep **fresh)
{
	struct usb_host_endpoint *ep = req->urb->ep;
	struct uw_hep *hep = ep->hcpriv;

	if (!hep) {
		hep = ep->hcpriv = *fresh;
		*fresh = NULL;
	}
	if (!hep)
		return -ENOMEM;
	req->u.ep = &hep->ep;
	if (req->u.packets)
		plan_frames(hep, req->urb);
	if (uw_guest_enqueue(&d->g, &req->u, ktime_get_ns()) != UW_ST_OK)
		return -ENODEV;
	req->urb->hcpriv = req;
	trace_uw_submit(req->urb);
	return 0;
}

static int link_and_queue(struct uw_dev *d, struct uw_req *req, struct uw_hep **fresh)
{
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&d->lock, flags);
	ret = usb_hcd_link_urb_to_ep(req->hcd, req->urb);
	if (!ret) {
		ret = queue(d, req, fresh);
		if (ret)
			usb_hcd_unlink_urb_from_ep(req->hcd, req->urb);
	}
	spin_unlock_irqrestore(&d->lock, flags);
	return ret;
}

/* Any context. */
static int enqueue(struct usb_hcd *hcd, struct urb *urb, gfp_t mem_flags)
{
	struct uw_dev *d = uw_dev_of(hcd);
	struct uw_hep *fresh = NULL;
	struct uw_req *req;
	int ret;

	if (is_set_address(urb))
		return swallow(d, hcd, urb);
	if (usb_endpoint_xfer_isoc(&urb->ep->desc) && (urb->num_sgs || !d->g.layout.packets_max))
		return -EINVAL;
	req = kzalloc(sizeof(*req), mem_flags);
	if (!req)
		return -ENOMEM;
	if (!READ_ONCE(urb->ep->hcpriv))
		fresh = new_hep(hcd, urb, mem_flags);
	req->urb = urb;
	req->hcd = hcd;
	set_urb(d, req);
	ret = link_and_queue(d, req, &fresh);
	kfree(fresh); /* another CPU was faster */
	if (ret)
		kfree(req);
	else if (in_hardirq())
		uw_link_wake(d); /* no copying here */
	else
		uw_link_push(d);
	return ret;
}

/* Any context. The URB comes back with its answer, as any other. */
static int dequeue(struct usb_hcd *hcd, struct urb *urb, int status)
{
	struct uw_dev *d = uw_dev_of(hcd);
	unsigned long flags;
	struct uw_req *req;
	int ret;

	spin_lock_irqsave(&d->lock, flags);
	ret = usb_hcd_check_unlink_urb(hcd, urb, status);
	req = urb->hcpriv;
	if (!ret && req)
		uw_guest_cancel(&d->g, &req->u);
	spin_unlock_irqrestore(&d->lock, flags);
	if (!ret)
		uw_link_wake(d);
	return ret;
}

/* ---- what rounds do ---- */

/* Any context but hard interrupt. Copies of several CPUs may overtake each other; the core keeps the order. */
void uw_hcd_fill(struct uw_dev *d)
{
	unsigned long flags;
	struct uw_req *req;
	struct uw_urb *u;
	u32 copied;

	spin_lock_irqsave(&d->lock, flags);
	while ((u = uw_guest_fill(&d->g, ktime_get_ns()))) {
		req = container_of(u, struct uw_req, u);
		copied = 0;
		if (uw_copies_out(req)) {
			spin_unlock_irqrestore(&d->lock, flags);
			copied = uw_copy_out(d, req);
			spin_lock_irqsave(&d->lock, flags);
		}
		UW_COUNT(&d->g.counters, bytes_copied, copied);
		uw_guest_filled(&d->g, u, ktime_get_ns());
	}
	spin_unlock_irqrestore(&d->lock, flags);
}

static void finish(struct uw_dev *d, struct uw_req *req)
{
	struct urb *urb = req->urb;
	int status = uw_errno(req->u.status);

	if (!req->u.packets)
		urb->actual_length = req->u.actual;
	else if (status == -EXDEV)
		status = 0; /* packets have codes of their own */
	give_back(d, req->hcd, urb, status);
	kfree(req);
}

/* Softirq context, one at a time. True: enough has been copied for now, there is more. */
bool uw_hcd_drain(struct uw_dev *d)
{
	u32 copied, total = 0;
	unsigned long flags;
	struct uw_req *req;
	struct uw_urb *u;

	spin_lock_irqsave(&d->lock, flags);
	while (total < COPY_BATCH && (u = uw_guest_done(&d->g))) {
		req = container_of(u, struct uw_req, u);
		copied = 0;
		if (uw_copies_in(req)) {
			spin_unlock_irqrestore(&d->lock, flags);
			copied = uw_copy_in(d, req);
			spin_lock_irqsave(&d->lock, flags);
		}
		UW_COUNT(&d->g.counters, bytes_copied, copied);
		total += copied;
		if (uw_guest_drained(&d->g, u, ktime_get_ns()))
			finish(d, req);
	}
	spin_unlock_irqrestore(&d->lock, flags);
	return total >= COPY_BATCH;
}

/* ---- the controller ---- */

/* Bytes are copied when space has been found for them, not before the URB is queued and not under usbcore's rules. */
static int map_nothing(struct usb_hcd *hcd, struct urb *urb, gfp_t mem_flags)
{
	return 0;
}

static void unmap_nothing(struct usb_hcd *hcd, struct urb *urb)
{
}

static int setup(struct usb_hcd *hcd)
{
	bool primary = usb_hcd_is_primary_hcd(hcd);

	hcd->speed = primary ? HCD_USB2 : HCD_USB3;
	hcd->self.root_hub->speed = primary ? USB_SPEED_HIGH : USB_SPEED_SUPER;
	hcd->has_tt = primary; /* low and full speed devices need no hub of their own */
	hcd->self.sg_tablesize = ~0u;
	hcd->self.no_sg_constraint = 1;
	hcd->self.no_stop_on_short = 1;
	return 0;
}

static int start(struct usb_hcd *hcd)
{
	hcd->uses_new_polling = 1;
	hcd->can_do_streams = !!(uw_dev_of(hcd)->g.layout.features & UW_FEATURE_STREAMS);
	hcd->state = HC_STATE_RUNNING;
	return 0;
}

static void stop(struct usb_hcd *hcd)
{
}

const struct hc_driver uw_hc_driver = {
	.description = "usbwarp",
	.product_desc = "UsbWarp Host Controller",
	.hcd_priv_size = sizeof(struct uw_dev *),
	.flags = HCD_USB3 | HCD_SHARED | HCD_BH,
	.reset = setup,
	.start = start,
	.stop = stop,
	.get_frame_number = get_frame_number,
	.urb_enqueue = enqueue,
	.urb_dequeue = dequeue,
	.map_urb_for_dma = map_nothing,
	.unmap_urb_for_dma = unmap_nothing,
	.endpoint_disable = endpoint_disable,
	.endpoint_reset = endpoint_reset,
	.hub_status_data = uw_hubs_status_data,
	.hub_control = uw_hubs_control,
	.bus_suspend = uw_hubs_suspend,
	.bus_resume = uw_hubs_resume,
	.alloc_streams = uw_hubs_alloc_streams,
	.free_streams = uw_hubs_free_streams,
};
