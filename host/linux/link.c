/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One VM as the worker sees it: the mapped region, the session in it, and when to look at it.
 *
 *              a kick, an answer, a step over                    nothing for poll ns, wake index published
 *   asleep -------------------------------------> awake: polls ---------------------------------------> asleep
 *
 * Polling costs a processor, so it lasts only as long as the next message is likely, and is tried less and less where
 * it does not pay; a kick costs the guest an exit and this side a system call, so it is spared while polling. A polled
 * link has nobody to wake it: it sleeps in steps that double up to a millisecond while a guest's driver is there, and
 * longer while there is none.
 */
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dev.h"
#include "log.h"
#include "qemu.h"

#define BUDGET 64u                   /* messages read before other links and devices get a turn */
#define STEP_FIRST 10000ull          /* 10 us */
#define STEP_LAST (1 * UW_MS)
#define STEP_LAST_ALONE (20 * UW_MS) /* no driver there */

static void on_kick(struct uw_source *source, uint32_t events)
{
	struct uw_link *l = UW_CONTAINER(source, struct uw_link, kick);
	eventfd_t kicks;

	(void)events;
	if (eventfd_read(source->fd, &kicks))
		return;
	UW_COUNT(&l->host.counters, wakeups, 1);
	l->dirty = true;
}

/* The guest is its pages' only writer, and here the processor sees to it. Both lie side by side in this layout. */
static bool map_region(struct uw_link *l, const struct uw_layout *layout)
{
	uint32_t bytes = layout->comp_ring - layout->guest_page;
	void *at = mmap(NULL, l->region->size, PROT_READ | PROT_WRITE, MAP_SHARED, l->region->fd, 0);

	if (at == MAP_FAILED)
		return false;
	l->memory.region = at;
	return !mprotect(l->memory.region + layout->guest_page, bytes, PROT_READ);
}

static bool allocate(struct uw_link *l, const struct uw_layout *layout)
{
	l->memory.xfers = calloc(layout->transfers, sizeof(*l->memory.xfers));
	l->memory.isos = calloc((size_t)layout->isoch_max * layout->packets_max, sizeof(*l->memory.isos));
	l->memory.iso_free = calloc(layout->isoch_max, sizeof(*l->memory.iso_free));
	return l->memory.xfers && l->memory.isos && l->memory.iso_free;
}

static void set_limits(struct uw_host_limits *limits, const struct uw_config *config)
{
	uw_host_limits_default(limits);
	limits->breaker.threshold = (uint32_t)config->breaker_threshold;
	limits->breaker.cooldown = config->breaker_cooldown * UW_MS;
	limits->bucket.rate = (uint32_t)config->rate;
	limits->bucket.burst = (uint32_t)config->burst;
	limits->orphan = config->orphan * UW_MS;
}

/* Epochs count on from what the former worker published, so that a guest never takes the new one for its own. */
static uint32_t last_epoch(const struct uw_host_page *page)
{
	return uw_get64(page->head.magic) == UW_MAGIC ? uw_read32(&page->head.epoch) : 0;
}

bool uw_link_open(struct uw_link *l, struct uw_loop *loop, const struct uw_region *region,
		  const struct uw_config *config)
{
	struct uw_layout layout;
	struct uw_host_limits limits;

	memset(l, 0, sizeof(*l));
	l->kick.fd = -1;
	l->kick.ready = on_kick;
	l->region = region;
	l->loop = loop;
	l->poll = config->poll * 1000;
	l->step = STEP_FIRST;
	l->dirty = true;
	uw_layout_default(&layout, region->size);
	layout.link = region->polled ? 0 : UW_LINK_DOORBELL | UW_LINK_INTERRUPT;
	layout.doorbell = region->polled ? 0 : UW_DOORBELL;
	set_limits(&limits, config);
	if (!map_region(l, &layout) || !allocate(l, &layout) ||
	    (!region->polled && uw_loop_add(loop, &l->kick, region->kick, EPOLLIN))) {
		uw_log(UW_LOG_ERROR, "vm %s: %s", uw_link_name(l), strerror(errno));
		return false;
	}
	uw_host_init(&l->host, &layout, &limits, &l->memory, "usbwarpd", last_epoch((void *)l->memory.region),
		     loop->now);
	return true;
}

void uw_link_close(struct uw_link *l)
{
	if (!l->region)
		return;
	uw_loop_del(l->loop, &l->kick);
	if (l->memory.region)
		munmap(l->memory.region, l->region->size);
	free(l->memory.xfers);
	free(l->memory.isos);
	free(l->memory.iso_free);
	l->region = NULL;
}

static void act(struct uw_link *l, const struct uw_action *action)
{
	struct uw_dev *dev = l->devs[action->port];

	switch (action->kind) {
	case UW_ACT_VERB:
		uw_dev_verb(dev, &action->xfer->io);
		break;
	case UW_ACT_CANCEL:
		uw_dev_cancel(dev, &action->xfer->io);
		break;
	case UW_ACT_CLOSE:
		uw_dev_suspend_binding(dev);
		break;
	default:
		uw_dev_resume_binding(dev);
		break;
	}
}

/* Number of things that happened. */
static uint32_t serve(struct uw_link *l)
{
	uint32_t count = uw_host_poll(&l->host, l->loop->now, BUDGET);
	struct uw_action action;

	while (uw_host_next(&l->host, &action, l->loop->now)) {
		act(l, &action);
		count++;
	}
	if (uw_host_kick(&l->host))
		uw_region_interrupt(l->region, 0);
	return count;
}

static uint64_t climb(struct uw_link *l)
{
	uint64_t last = l->host.phase == UW_PHASE_RUN ? STEP_LAST : STEP_LAST_ALONE, step = l->step;

	l->step = step * 2 < last ? step * 2 : last;
	return l->loop->now + step;
}

static uint64_t fall_asleep(struct uw_link *l)
{
	uint64_t now = l->loop->now, step = UW_NEVER;

	if (l->region->polled)
		step = climb(l);
	else if (!uw_host_sleep(&l->host))
		return now;
	l->asleep = true;
	l->run_at = uw_host_deadline(&l->host, now);
	if (step < l->run_at)
		l->run_at = step;
	return l->run_at;
}

/* Something happened: polling so far has paid, and may go on. */
static void poll_on(struct uw_link *l)
{
	if (l->polling)
		uw_spin_end(&l->spin, true);
	l->polling = l->poll && uw_spin_begin(&l->spin);
	l->awake_until = l->loop->now + (l->polling ? l->poll : 0);
}

uint64_t uw_link_run(struct uw_link *l)
{
	uint64_t now = l->loop->now;
	bool dirty = l->dirty;

	if (l->asleep && !dirty && now < l->run_at)
		return l->run_at;
	l->dirty = l->asleep = false;
	if (serve(l) || l->dirty || (dirty && !l->region->polled)) {
		poll_on(l);
		l->step = STEP_FIRST;
		return now;
	}
	if (now < l->awake_until)
		return now;
	if (l->polling)
		uw_spin_end(&l->spin, false);
	l->polling = false;
	return fall_asleep(l);
}
