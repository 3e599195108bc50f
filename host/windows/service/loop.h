/* SPDX-License-Identifier: GPL-2.0-only */
/* The event loop: a completion port for pipes and for everything that other threads hand over, and a few timers. */
#ifndef UW_LOOP_H
#define UW_LOOP_H

#include <windows.h>

#include "base.h"

/* Something that will be reported to the loop once; embedded in its owner. Untouched by others until done is called. */
struct uw_op {
	OVERLAPPED overlapped; /* first */
	void (*done)(struct uw_op *op, uint32_t error, uint32_t bytes); /* in the loop; error: 0 or a system error */
	HANDLE event, wait;    /* of uw_op_wait */
	HANDLE port;
	HANDLE file;
};

struct uw_timer {
	struct uw_list node;   /* armed: on the loop's list */
	uint64_t at;
	void (*fired)(struct uw_timer *timer);
};

struct uw_loop {
	HANDLE port;
	uint64_t now;          /* nanoseconds, as of the last tick */
	struct uw_list timers;
};

UW_MUST_CHECK bool uw_loop_init(struct uw_loop *loop);
void uw_loop_fini(struct uw_loop *loop);
uint64_t uw_clock(void);
/* Completions of file (opened overlapped) come as uw_op from here on. */
UW_MUST_CHECK bool uw_loop_add(struct uw_loop *loop, HANDLE file);
/* Any thread: calls op->done(op, error, bytes) in the loop. */
void uw_loop_post(struct uw_loop *loop, struct uw_op *op, uint32_t error, uint32_t bytes);
void uw_timer_arm(struct uw_loop *loop, struct uw_timer *timer, uint64_t at);
void uw_timer_cancel(struct uw_timer *timer);
/* Sleeps until something is there or a timer is due, then calls what it is for. */
void uw_loop_wait(struct uw_loop *loop);

#endif
