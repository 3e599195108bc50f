/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread for calls that block, one for each real device, and the way back into the loop. */
#include "thread.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK (256u << 10)

static void on_return(struct uw_source *source, uint32_t events)
{
	struct uw_returns *r = UW_CONTAINER(source, struct uw_returns, source);
	eventfd_t count;

	(void)events;
	if (!eventfd_read(source->fd, &count))
		uw_returns_run(r);
}

int uw_returns_open(struct uw_returns *r, struct uw_loop *loop)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	r->loop = loop;
	r->source.ready = on_return;
	pthread_mutex_init(&r->lock, NULL);
	uw_list_init(&r->jobs);
	return fd < 0 ? -1 : uw_loop_add(loop, &r->source, fd, EPOLLIN);
}

void uw_returns_close(struct uw_returns *r)
{
	uw_loop_close(r->loop, &r->source);
	pthread_mutex_destroy(&r->lock);
}

static struct uw_job *take(pthread_mutex_t *lock, struct uw_list *jobs)
{
	struct uw_list *node;

	pthread_mutex_lock(lock);
	node = uw_list_pop(jobs);
	pthread_mutex_unlock(lock);
	return node ? UW_CONTAINER(node, struct uw_job, node) : NULL;
}

void uw_returns_run(struct uw_returns *r)
{
	struct uw_job *job;

	while ((job = take(&r->lock, &r->jobs)) != NULL)
		job->done(job);
}

void uw_returns_wait(struct uw_returns *r)
{
	struct pollfd p = { .fd = r->source.fd, .events = POLLIN };

	poll(&p, 1, -1);
	on_return(&r->source, 0);
}

static void give_back(struct uw_returns *r, struct uw_job *job)
{
	pthread_mutex_lock(&r->lock);
	uw_list_add(&r->jobs, &job->node);
	pthread_mutex_unlock(&r->lock);
	eventfd_write(r->source.fd, 1);
}

/* NULL: told to stop, and nothing is left to do. */
static struct uw_job *next_job(struct uw_thread *t)
{
	struct uw_list *node;

	pthread_mutex_lock(&t->lock);
	while ((node = uw_list_pop(&t->jobs)) == NULL && !t->stop)
		pthread_cond_wait(&t->more, &t->lock);
	pthread_mutex_unlock(&t->lock);
	return node ? UW_CONTAINER(node, struct uw_job, node) : NULL;
}

static void *work(void *ctx)
{
	struct uw_thread *t = ctx;
	struct uw_job *job;

	while ((job = next_job(t)) != NULL) {
		job->run(job);
		give_back(t->returns, job);
	}
	return NULL;
}

int uw_thread_start(struct uw_thread *t, struct uw_returns *returns)
{
	pthread_attr_t attributes;
	int error;

	t->returns = returns;
	t->stop = false;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->more, NULL);
	uw_list_init(&t->jobs);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	error = pthread_create(&t->id, &attributes, work, t);
	pthread_attr_destroy(&attributes);
	return error;
}

void uw_thread_post(struct uw_thread *t, struct uw_job *job)
{
	pthread_mutex_lock(&t->lock);
	uw_list_add(&t->jobs, &job->node);
	pthread_cond_signal(&t->more);
	pthread_mutex_unlock(&t->lock);
}

void uw_thread_join(struct uw_thread *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->more);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->id, NULL);
	pthread_cond_destroy(&t->more);
	pthread_mutex_destroy(&t->lock);
	uw_returns_run(t->returns);
}
