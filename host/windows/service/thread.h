/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread for calls that block (Hyper-V's, Plug and Play's), and the way back into the loop. */
#ifndef UW_THREAD_H
#define UW_THREAD_H

#include "loop.h"

/* Embedded in what it is about. Untouched by others from post to done. */
struct uw_job {
	struct uw_op op;
	struct uw_list node;
	void (*run)(struct uw_job *job);  /* on the thread */
	void (*done)(struct uw_job *job); /* in the loop, after run */
};

struct uw_thread {
	struct uw_loop *loop;
	HANDLE handle;
	SRWLOCK lock;
	CONDITION_VARIABLE more;
	struct uw_list jobs;
	bool stop;
};

UW_MUST_CHECK bool uw_thread_start(struct uw_thread *t, struct uw_loop *loop);
void uw_thread_post(struct uw_thread *t, struct uw_job *job);
/* Ends the thread when all jobs posted have run. Their done is still to be called, by uw_loop_wait. */
void uw_thread_join(struct uw_thread *t);

#endif
