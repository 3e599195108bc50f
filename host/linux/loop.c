/* SPDX-License-Identifier: GPL-2.0-only */
/* The event loop of either process: file descriptors through epoll, and one look at the clock for each turn. */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

int uw_loop_init(struct uw_loop *loop)
{
	uw_zero(loop, sizeof(*loop));
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	uw_loop_tick(loop);
	return loop->epoll < 0 ? -1 : 0;
}

void uw_loop_fini(struct uw_loop *loop)
{
	if (loop->epoll >= 0)
		close(loop->epoll);
	loop->epoll = -1;
}

void uw_loop_tick(struct uw_loop *loop)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	loop->now = (uint64_t)ts.tv_sec * 1000 * UW_MS + (uint64_t)ts.tv_nsec;
}

int uw_loop_add(struct uw_loop *loop, struct uw_source *source, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	source->fd = -1;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event))
		return -1;
	source->fd = fd;
	return 0;
}

void uw_loop_change(struct uw_loop *loop, struct uw_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	epoll_ctl(loop->epoll, EPOLL_CTL_MOD, source->fd, &event);
}

void uw_loop_del(struct uw_loop *loop, struct uw_source *source)
{
	int i;

	if (source->fd < 0)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
	for (i = 0; i < loop->batched; i++)
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
}

void uw_loop_close(struct uw_loop *loop, struct uw_source *source)
{
	int fd = source->fd;

	uw_loop_del(loop, source);
	if (fd >= 0)
		close(fd);
}

/* Milliseconds, rounded up: waking early would only make the loop turn once more for nothing. */
static int coarse_timeout(uint64_t ns)
{
	uint64_t ms = (ns + UW_MS - 1) / UW_MS;

	return ns == UW_NEVER ? -1 : ms > INT_MAX ? INT_MAX : (int)ms;
}

static int fetch(struct uw_loop *loop, uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / (1000 * UW_MS)), .tv_nsec = (long)(ns % (1000 * UW_MS)) };
	int count;

	if (!loop->coarse) {
		count = epoll_pwait2(loop->epoll, loop->batch, UW_LOOP_BATCH, ns == UW_NEVER ? NULL : &ts, NULL);
		if (count >= 0 || errno != ENOSYS)
			return count;
		loop->coarse = true;
	}
	return epoll_wait(loop->epoll, loop->batch, UW_LOOP_BATCH, coarse_timeout(ns));
}

void uw_loop_wait(struct uw_loop *loop, uint64_t until)
{
	struct uw_source *source;
	int i;

	loop->batched = fetch(loop, until == UW_NEVER ? UW_NEVER : until > loop->now ? until - loop->now : 0);
	uw_loop_tick(loop);
	for (i = 0; i < loop->batched; i++) {
		source = loop->batch[i].data.ptr;
		if (source)
			source->ready(source, loop->batch[i].events);
	}
	loop->batched = 0;
}
