/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread for calls that block (Hyper-V's, Plug and Play's), and the way back into the loop. */
#include "thread.h"

static void on_return(struct uw_op *op, uint32_t error, uint32_t bytes)
{
	struct uw_job *job = UW_CONTAINER(op, struct uw_job, op);

	(void)error;
	(void)bytes;
	job->done(job);
}

static struct uw_job *next_job(struct uw_thread *t)
{
	struct uw_list *node;

	AcquireSRWLockExclusive(&t->lock);
	while ((node = uw_list_pop(&t->jobs)) == NULL && !t->stop)
		SleepConditionVariableSRW(&t->more, &t->lock, INFINITE, 0);
	ReleaseSRWLockExclusive(&t->lock);
	return node ? UW_CONTAINER(node, struct uw_job, node) : NULL;
}

static DWORD WINAPI thread_main(void *arg)
{
	struct uw_thread *t = arg;
	struct uw_job *job;

	while ((job = next_job(t)) != NULL) {
		job->run(job);
		uw_loop_post(t->loop, &job->op, 0, 0);
	}
	return 0;
}

bool uw_thread_start(struct uw_thread *t, struct uw_loop *loop)
{
	t->loop = loop;
	t->stop = false;
	InitializeSRWLock(&t->lock);
	InitializeConditionVariable(&t->more);
	uw_list_init(&t->jobs);
	t->handle = CreateThread(NULL, 0, thread_main, t, 0, NULL);
	return t->handle != NULL;
}

void uw_thread_post(struct uw_thread *t, struct uw_job *job)
{
	uw_zero(&job->op, sizeof(job->op));
	job->op.done = on_return;
	AcquireSRWLockExclusive(&t->lock);
	uw_list_add(&t->jobs, &job->node);
	ReleaseSRWLockExclusive(&t->lock);
	WakeConditionVariable(&t->more);
}

void uw_thread_join(struct uw_thread *t)
{
	if (!t->handle)
		return;
	AcquireSRWLockExclusive(&t->lock);
	t->stop = true;
	ReleaseSRWLockExclusive(&t->lock);
	WakeConditionVariable(&t->more);
	WaitForSingleObject(t->handle, INFINITE);
	CloseHandle(t->handle);
	t->handle = NULL;
}
