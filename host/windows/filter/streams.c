/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bulk streams. Windows gives each stream of an endpoint a handle of its own, which transfers name in place of the pipe's.
 *
 *   plain --open--> streams --close--> spoiled --select of the setting--> plain
 *                      |                  |
 *                      `--- any select, reset or removal: the pipe is no more
 *
 * Once streams were opened nothing may be sent by the pipe's own handle, not even when they are closed. So taking streams
 * back ends with a select of the setting that is selected already, when no other endpoint of the interface has streams:
 * the guest believes in a plain endpoint then. Its other transfers of that interface end by this as cancelled; drivers
 * free streams when they let go of the interface, and the alternative is an endpoint that cannot be used.
 */
#include "filter.h"

/* With the lock held. NULL: there is no such stream now. */
USBD_PIPE_HANDLE uw_streams_handle(const struct uw_pipe *pipe, uint16_t stream)
{
	const struct uw_stream_table *s = &pipe->streams;

	if (!stream)
		return s->spoiled ? NULL : pipe->handle;
	return stream <= s->count ? s->info[stream - 1].PipeHandle : NULL;
}

uint32_t uw_streams_open(const struct uw_filter *f)
{
	uint32_t i, which = 0;

	for (i = 0; i < UW_ENDPOINTS; i++)
		which |= f->pipe[i].streams.count ? 1u << i : 0;
	return which;
}

static void put_table(struct uw_pipe *pipe, USBD_STREAM_INFORMATION *info, uint32_t count, bool spoiled)
{
	USBD_STREAM_INFORMATION *old = pipe->streams.info;
	KIRQL irql;

	KeAcquireSpinLock(&pipe->f->lock, &irql);
	pipe->streams.info = info;
	pipe->streams.count = count;
	pipe->streams.spoiled = spoiled;
	KeReleaseSpinLock(&pipe->f->lock, irql);
	if (old)
		ExFreePoolWithTag(old, UW_FILTER_TAG);
}

void uw_streams_forget(struct uw_pipe *pipe)
{
	put_table(pipe, NULL, 0, false);
}

/* ---- one pipe, which is stopped ---- */

struct open_ask {
	USBD_PIPE_HANDLE pipe;
	USBD_STREAM_INFORMATION *info;
	uint32_t count;
};

static void fill_open(struct uw_urb *u, void *context)
{
	struct _URB_OPEN_STATIC_STREAMS *o = &u->urb->UrbOpenStaticStreams;
	const struct open_ask *ask = context;

	o->Hdr.Function = URB_FUNCTION_OPEN_STATIC_STREAMS;
	o->PipeHandle = ask->pipe;
	o->NumberOfStreams = ask->count;
	o->StreamInfoVersion = URB_OPEN_STATIC_STREAMS_VERSION_100;
	o->StreamInfoSize = sizeof(USBD_STREAM_INFORMATION);
	o->Streams = ask->info;
}

/* The stack numbers streams from 1 on, in the order of the table. */
static uint32_t open_pipe(struct uw_pipe *pipe, uint32_t count)
{
	uint32_t status, bytes = count * sizeof(USBD_STREAM_INFORMATION);
	USBD_STREAM_INFORMATION *info = ExAllocatePoolWithTag(NonPagedPoolNx, bytes, UW_FILTER_TAG);
	struct open_ask ask = { pipe->handle, info, count };

	if (!info)
		return UW_ST_HOST;
	uw_zero(info, bytes);
	status = uw_urb_ask(pipe->f, sizeof(struct _URB_OPEN_STATIC_STREAMS), fill_open, &ask, NULL);
	if (status == UW_ST_OK)
		put_table(pipe, info, count, true);
	else
		ExFreePoolWithTag(info, UW_FILTER_TAG);
	return status;
}

static uint32_t close_pipe(struct uw_pipe *pipe)
{
	uint32_t status;

	if (!pipe->streams.count)
		return UW_ST_OK;
	status = uw_urb_pipe_request(pipe->f, URB_FUNCTION_CLOSE_STATIC_STREAMS, pipe->handle);
	put_table(pipe, NULL, 0, true);
	return status;
}

/* ---- those that a verb names ---- */

static uint32_t named(const struct uw_transfer_io *io)
{
	uint32_t i, which = 0;

	for (i = 0; i < io->arg[1]; i++)
		which |= 1u << uw_endpoint_index(io->endpoints[i]);
	return which;
}

/* Streams that each of the pipes can have, of those that are wanted. 0: not all of them can. */
static uint32_t most(const struct uw_filter *f, uint32_t which, uint32_t wanted)
{
	uint32_t i, count = which ? uw_min(wanted, f->usbd.streams) : 0;

	for (i = 0; i < UW_ENDPOINTS; i++)
		if (which & 1u << i)
			count = uw_min(count, f->pipe[i].handle ? f->pipe[i].e.streams : 0);
	return count;
}

static uint32_t close_pipes(struct uw_filter *f, uint32_t which)
{
	uint32_t i, result, status = UW_ST_OK;

	for (i = 0; i < UW_ENDPOINTS; i++) {
		result = which & 1u << i ? close_pipe(&f->pipe[i]) : UW_ST_OK;
		status = status == UW_ST_OK ? result : status;
	}
	return status;
}

static bool is_renewable(const struct uw_filter *f, const struct uw_pipe *pipe)
{
	uint32_t i;

	for (i = 0; i < UW_ENDPOINTS; i++)
		if (f->pipe[i].streams.count && f->pipe[i].e.itf == pipe->e.itf)
			return false;
	return pipe->streams.spoiled;
}

static uint32_t renew(struct uw_filter *f, uint8_t itf)
{
	const struct uw_choice *c = &f->choice;
	uint32_t i;

	for (i = 0; i < c->interfaces && c->number[i] != itf; i++)
		;
	return i < c->interfaces ? uw_config_interface(f, itf, c->alternate[i]) : UW_ST_NO_ENDPOINT;
}

/* Selecting a setting renews all pipes of its interface at once. */
static uint32_t give_back(struct uw_filter *f, uint32_t which)
{
	uint32_t i, result, status = close_pipes(f, which);

	for (i = 0; i < UW_ENDPOINTS; i++) {
		if (!(which & 1u << i) || !is_renewable(f, &f->pipe[i]))
			continue;
		result = renew(f, f->pipe[i].e.itf);
		status = status == UW_ST_OK ? result : status;
	}
	return status;
}

uint32_t uw_streams_alloc(struct uw_filter *f, struct uw_transfer_io *io)
{
	uint32_t i, which = named(io), count = most(f, which, io->arg[0]), status;

	if (!count)
		return UW_ST_UNSUPPORTED;
	uw_pipes_stop(f, which);
	status = close_pipes(f, which);
	for (i = 0; status == UW_ST_OK && i < UW_ENDPOINTS; i++)
		if (which & 1u << i)
			status = open_pipe(&f->pipe[i], count);
	if (status == UW_ST_OK)
		io->actual = count;
	else
		give_back(f, which);
	uw_pipes_go_on(f, which);
	return status;
}

uint32_t uw_streams_free(struct uw_filter *f, const struct uw_transfer_io *io)
{
	uint32_t which = named(io), status;

	if (!most(f, which, 1))
		return UW_ST_UNSUPPORTED;
	uw_pipes_stop(f, which);
	status = give_back(f, which);
	uw_pipes_go_on(f, which);
	return status;
}
