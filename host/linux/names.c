/* SPDX-License-Identifier: GPL-2.0-only */
/* What devices call themselves: manufacturer and product, read by a thread. */
#include "names.h"

#include <stdlib.h>

#include "field.h"

static const struct uw_name *find(const struct uw_name *names, uint32_t count, const char *bus_id, uint32_t number)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (names[i].number == number && !strcmp(names[i].bus_id, bus_id))
			return &names[i];
	return NULL;
}

const char *uw_names_of(const struct uw_names *n, const char *bus_id, uint32_t number)
{
	const struct uw_name *name = find(n->now, n->now_count, bus_id, number);

	return name ? name->text : "";
}

/* ---- on the thread ---- */

static void read_one(void *ctx, const struct uw_sysfs_device *d)
{
	struct uw_names *n = ctx;
	const struct uw_name *known = find(n->now, n->now_count, d->bus_id, d->number);
	struct uw_name *more = realloc(n->next, (n->next_count + 1) * sizeof(*more));

	if (!more)
		return;
	n->next = more;
	more += n->next_count++;
	uw_zero(more, sizeof(*more));
	UW_TEXT_PUT(more->bus_id, d->bus_id);
	more->number = d->number;
	if (known)
		UW_TEXT_PUT(more->text, known->text);
	else
		uw_sysfs_describe(d->bus_id, more->text, sizeof(more->text));
}

static void run(struct uw_job *job)
{
	uw_sysfs_each(read_one, UW_CONTAINER(job, struct uw_names, job));
}

/* ---- in the loop ---- */

static void start(struct uw_names *n)
{
	n->busy = true;
	n->again = false;
	n->next = NULL;
	n->next_count = 0;
	uw_thread_post(&n->thread, &n->job);
}

static void done(struct uw_job *job)
{
	struct uw_names *n = UW_CONTAINER(job, struct uw_names, job);

	free(n->now);
	n->now = n->next;
	n->now_count = n->next_count;
	n->next = NULL;
	n->busy = false;
	if (!n->open)
		return;
	n->changed(n);
	if (n->again)
		start(n);
}

void uw_names_look(struct uw_names *n)
{
	n->again = n->busy;
	if (n->open && !n->busy)
		start(n);
}

bool uw_names_open(struct uw_names *n, struct uw_returns *returns)
{
	n->job.run = run;
	n->job.done = done;
	n->open = !uw_thread_start(&n->thread, returns);
	return n->open;
}

void uw_names_close(struct uw_names *n)
{
	if (!n->open)
		return;
	n->open = false;
	uw_thread_join(&n->thread);
	free(n->now);
	n->now = NULL;
	n->now_count = 0;
}
