/* SPDX-License-Identifier: GPL-2.0-only */
/* The event loop of either process: file descriptors through epoll, and one look at the clock for each turn. */
#ifndef UW_LOOP_H
#define UW_LOOP_H

#include <sys/epoll.h>

#include "base.h"

#define UW_LOOP_BATCH 32

/* A file descriptor that the loop watches; embedded in its owner, which ready gets back by UW_CONTAINER. */
struct uw_source {
	int fd;                /* -1: not watched */
	void (*ready)(struct uw_source *source, uint32_t events);
};

struct uw_loop {
	int epoll;
	uint64_t now;          /* nanoseconds, as of the last tick */
	bool coarse;           /* the kernel has no epoll_pwait2: waits are rounded up to milliseconds */
	struct epoll_event batch[UW_LOOP_BATCH]; /* being dispatched */
	int batched;
};

/* 0, or -1 with errno. */
UW_MUST_CHECK int uw_loop_init(struct uw_loop *loop);
void uw_loop_fini(struct uw_loop *loop);
void uw_loop_tick(struct uw_loop *loop);

/* Starts watching fd; ready has been set. 0, or -1 with errno. */
UW_MUST_CHECK int uw_loop_add(struct uw_loop *loop, struct uw_source *source, int fd, uint32_t events);
void uw_loop_change(struct uw_loop *loop, struct uw_source *source, uint32_t events);
/* Stops watching; events already fetched for the source are forgotten. Does not close fd. */
void uw_loop_del(struct uw_loop *loop, struct uw_source *source);
/* The same, and closes fd. */
void uw_loop_close(struct uw_loop *loop, struct uw_source *source);

/* Sleeps until something is ready or until (a time of now; UW_NEVER: for ever), then calls what is ready. */
void uw_loop_wait(struct uw_loop *loop, uint64_t until);

#endif
