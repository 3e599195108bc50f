/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: usbwarp:uw_submit, uw_complete, uw_state. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM usbwarp

#if !defined(UW_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UW_TRACE_H

#include <linux/tracepoint.h>
#include <linux/usb.h>

#include "compat.h"

TRACE_EVENT(uw_submit,
	TP_PROTO(const struct urb *urb),
	TP_ARGS(urb),
	TP_STRUCT__entry(
		__field(const void *, urb)
		__field(int, bus)
		__field(int, device)
		__field(u8, endpoint)
		__field(u8, type)
		__field(u32, length)
		__field(int, packets)
	),
	TP_fast_assign(
		__entry->urb = urb;
		__entry->bus = urb->dev->bus->busnum;
		__entry->device = urb->dev->devnum;
		__entry->endpoint = urb->ep->desc.bEndpointAddress;
		__entry->type = usb_endpoint_type(&urb->ep->desc);
		__entry->length = urb->transfer_buffer_length;
		__entry->packets = urb->number_of_packets;
	),
	TP_printk("urb %p %d-%d ep %02x type %u length %u packets %d", __entry->urb, __entry->bus, __entry->device,
		  __entry->endpoint, __entry->type, __entry->length, __entry->packets)
);

TRACE_EVENT(uw_complete,
	TP_PROTO(const struct urb *urb, int status),
	TP_ARGS(urb, status),
	TP_STRUCT__entry(
		__field(const void *, urb)
		__field(int, bus)
		__field(int, device)
		__field(u8, endpoint)
		__field(u32, actual)
		__field(int, status)
	),
	TP_fast_assign(
		__entry->urb = urb;
		__entry->bus = urb->dev->bus->busnum;
		__entry->device = urb->dev->devnum;
		__entry->endpoint = urb->ep->desc.bEndpointAddress;
		__entry->actual = urb->actual_length;
		__entry->status = status;
	),
	TP_printk("urb %p %d-%d ep %02x actual %u status %d", __entry->urb, __entry->bus, __entry->device,
		  __entry->endpoint, __entry->actual, __entry->status)
);

TRACE_EVENT(uw_state,
	TP_PROTO(const char *device, const char *what, u32 epoch, u8 port, u32 value),
	TP_ARGS(device, what, epoch, port, value),
	TP_STRUCT__entry(
		__string(device, device)
		__string(what, what)
		__field(u32, epoch)
		__field(u8, port)
		__field(u32, value)
	),
	TP_fast_assign(
		uw_assign_str(device, device);
		uw_assign_str(what, what);
		__entry->epoch = epoch;
		__entry->port = port;
		__entry->value = value;
	),
	TP_printk("%s: %s epoch %u port %u value %u", __get_str(device), __get_str(what), __entry->epoch,
		  __entry->port, __entry->value)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
