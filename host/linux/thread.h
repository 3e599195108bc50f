/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread for calls that block, one for each real device, and the way back into the loop. */
#ifndef UW_THREAD_H
#define UW_THREAD_H

#include <pthread.h>

#include "loop.h"

/* Embedded in what it is about. Untouched by others from post to done. */
struct uw_job {
	struct uw_list node;
	void (*run)(struct uw_job *job);  /* on the thread */
	void (*done)(struct uw_job *job); /* in the loop, after run */
};

/* Finished jobs of all threads of a loop. */
struct uw_returns {
	struct uw_loop *loop;
	struct uw_source source;
	pthread_mutex_t lock;
	struct uw_list jobs;
};

struct uw_thread {
	struct uw_returns *returns;
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct uw_list jobs;
	bool stop;
};

UW_MUST_CHECK int uw_returns_open(struct uw_returns *r, struct uw_loop *loop);
void uw_returns_close(struct uw_returns *r);
/* Calls done for everything that has come back by now. */
void uw_returns_run(struct uw_returns *r);

/* The same, once there is something. */
void uw_returns_wait(struct uw_returns *r);

/* 0, or an errno. */
UW_MUST_CHECK int uw_thread_start(struct uw_thread *t, struct uw_returns *returns);
void uw_thread_post(struct uw_thread *t, struct uw_job *job);
/* Waits until all jobs posted have run, ends the thread, and calls done for them. */
void uw_thread_join(struct uw_thread *t);

#endif
