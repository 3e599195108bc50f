/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Static streams: "How to open and close static streams in a USB bulk endpoint". A driver that has asked for the
 * capability opens so many at once on a bulk endpoint that has them, and gets a handle for each; from then on the
 * endpoint's own handle carries no transfer until its setting is selected anew.
 */
#include "bus.h"

/* Handles of one endpoint's streams differ in their last 16 bits, which are the stream's number. */
#define NUMBER 0xffffu

struct uw_pipe *uw_stream_find(struct uw_vdev *dev, USBD_PIPE_HANDLE handle, uint16_t *number)
{
	uint64_t value = (uintptr_t)handle;
	uint32_t i;

	*number = (uint16_t)(value & NUMBER);
	for (i = 0; handle && i < UW_PIPES; i++)
		if (dev->pipe[i].handle && dev->pipe[i].stream_base == value - *number && *number &&
		    *number <= dev->pipe[i].streams)
			return &dev->pipe[i];
	return NULL;
}

void uw_streams_drop(struct uw_vdev *dev)
{
	uint32_t i;

	for (i = 0; i < UW_PIPES; i++)
		dev->pipe[i].streams = 0;
}

/* ---- checks ---- */

static bool may(const struct uw_vdev *dev, const struct uw_pipe *pipe)
{
	if (!dev->may_stream)
		uw_refused("streams without the capability, or without having asked for it");
	else if (pipe->pending)
		uw_refused("streams of endpoint %02x with %u transfers in it", pipe->address, (unsigned int)pipe->pending);
	else if (!pipe->most)
		uw_refused("streams of endpoint %02x, which has none", pipe->address);
	else
		return true;
	return false;
}

static bool good_open(const struct uw_vdev *dev, const struct uw_pipe *pipe, const struct _URB_OPEN_STATIC_STREAMS *u)
{
	if (pipe->streams)
		uw_refused("streams of endpoint %02x, which are open", pipe->address);
	else if (!u->NumberOfStreams || u->NumberOfStreams > pipe->most || u->NumberOfStreams > dev->may_stream)
		uw_refused("%u streams of endpoint %02x, 1 to %u", (unsigned int)u->NumberOfStreams, pipe->address,
			   (unsigned int)uw_min(pipe->most, dev->may_stream));
	else if (u->StreamInfoVersion != URB_OPEN_STATIC_STREAMS_VERSION_100 ||
		 u->StreamInfoSize != sizeof(USBD_STREAM_INFORMATION) || !u->Streams)
		uw_refused("StreamInfoVersion %x, StreamInfoSize %u", u->StreamInfoVersion, u->StreamInfoSize);
	else
		return true;
	return false;
}

USBD_STATUS uw_streams_check(const struct uw_xfer *x)
{
	if (!may(x->dev, x->pipe))
		return USBD_STATUS_INVALID_PARAMETER;
	if (x->kind == UW_KIND_OPEN_STREAMS)
		return good_open(x->dev, x->pipe, &x->urb->UrbOpenStaticStreams) ? USBD_STATUS_SUCCESS :
										   USBD_STATUS_INVALID_PARAMETER;
	if (x->pipe->streams)
		return USBD_STATUS_SUCCESS;
	uw_refused("a close of streams of endpoint %02x, which has none open", x->pipe->address);
	return USBD_STATUS_INVALID_PARAMETER;
}

/* ---- carried out by the engine ---- */

static void set_streams(struct uw_pipe *pipe, uint32_t count)
{
	KIRQL irql = uw_lock();

	pipe->streams = count;
	pipe->spoiled = true;
	if (count)
		pipe->stream_base = 0x57e0000000000000u | (uint64_t)++uw_bus.handles << 16;
	uw_unlock(irql);
}

static void tell_streams(const struct uw_pipe *pipe, USBD_STREAM_INFORMATION *to)
{
	uint32_t i;

	for (i = 1; i <= pipe->streams; i++, to++) {
		to->PipeHandle = (void *)(uintptr_t)(pipe->stream_base + i);
		to->StreamID = i;
		to->MaximumTransferSize = 4u << 20;
	}
}

USBD_STATUS uw_streams_run(struct uw_xfer *x)
{
	const struct _URB_OPEN_STATIC_STREAMS *u = &x->urb->UrbOpenStaticStreams;
	uint32_t count = x->kind == UW_KIND_OPEN_STREAMS ? u->NumberOfStreams : 0;
	USBD_STATUS status = uw_engine_streams(x->dev, x->pipe->address, (uint16_t)count);

	if (status != USBD_STATUS_SUCCESS)
		return status;
	set_streams(x->pipe, count);
	if (count)
		tell_streams(x->pipe, u->Streams);
	return USBD_STATUS_SUCCESS;
}
