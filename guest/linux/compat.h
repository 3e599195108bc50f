/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between the kernels that this driver is built for, 5.10 and later. */
#ifndef UW_COMPAT_H
#define UW_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/preempt.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
#define in_hardirq() in_irq()
#endif

/* Deferred work in softirq context: a workqueue of that kind where there is one, since tasklets are on their way out. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
struct uw_bh {
	struct work_struct work;
	void (*fn)(struct uw_bh *bh);
};

static inline void uw_bh_run(struct work_struct *work)
{
	struct uw_bh *bh = container_of(work, struct uw_bh, work);

	bh->fn(bh);
}

static inline void uw_bh_init(struct uw_bh *bh, void (*fn)(struct uw_bh *bh))
{
	bh->fn = fn;
	INIT_WORK(&bh->work, uw_bh_run);
}

static inline void uw_bh_schedule(struct uw_bh *bh)
{
	queue_work(system_bh_highpri_wq, &bh->work);
}

static inline void uw_bh_kill(struct uw_bh *bh)
{
	cancel_work_sync(&bh->work);
}
#else
struct uw_bh {
	struct tasklet_struct tasklet;
	void (*fn)(struct uw_bh *bh);
};

static inline void uw_bh_run(struct tasklet_struct *t)
{
	struct uw_bh *bh = container_of(t, struct uw_bh, tasklet);

	bh->fn(bh);
}

static inline void uw_bh_init(struct uw_bh *bh, void (*fn)(struct uw_bh *bh))
{
	bh->fn = fn;
	tasklet_setup(&bh->tasklet, uw_bh_run);
}

static inline void uw_bh_schedule(struct uw_bh *bh)
{
	tasklet_hi_schedule(&bh->tasklet);
}

static inline void uw_bh_kill(struct uw_bh *bh)
{
	tasklet_kill(&bh->tasklet);
}
#endif

static inline void uw_timer_init(struct hrtimer *timer, enum hrtimer_restart (*fn)(struct hrtimer *))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = fn;
#endif
}

/*
 * Does usbfs mmap a coherent buffer by its bus address? Before, it took virt_to_phys of a buffer in device memory and
 * would have shown a process pages that are not the device's; such kernels get no coherent pool.
 */
#define UW_FIXED_IN(major, minor, patch) \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, patch) && \
	 LINUX_VERSION_CODE < KERNEL_VERSION(major, (minor) + 1, 0))
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0) || UW_FIXED_IN(6, 3, 8) || UW_FIXED_IN(6, 1, 34) || \
	UW_FIXED_IN(5, 15, 117) || UW_FIXED_IN(5, 10, 184)
#define UW_USBFS_MAPS_BUS_ADDRESS 1
#else
#define UW_USBFS_MAPS_BUS_ADDRESS 0
#endif

/* The second argument went with 6.10, when the string's place came to be remembered by its declaration. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define uw_assign_str(field, value) __assign_str(field)
#else
#define uw_assign_str(field, value) __assign_str(field, value)
#endif

#endif
