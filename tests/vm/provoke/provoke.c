// SPDX-License-Identifier: GPL-2.0-only
/*
 * Provokes one kernel complaint on demand, so that the lab can prove it would have seen a real one.
 *
 * The kernel's own lkdtm would do, but Debian does not build it.
 * Use: modprobe provoke; echo warn >/sys/module/provoke/parameters/do
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(outer);
static DEFINE_SPINLOCK(inner);
static DEFINE_SPINLOCK(held);
static DEFINE_MUTEX(never);

static void do_warn(void)
{
	WARN(1, "provoked\n");
}

static void do_oops(void)
{
	int *volatile nowhere = NULL;

	WRITE_ONCE(*nowhere, 1);
}

/* Both orders from one thread: a deadlock only in lockdep's eyes. */
static void do_lockdep(void)
{
	spin_lock(&outer);
	spin_lock(&inner);
	spin_unlock(&inner);
	spin_unlock(&outer);
	spin_lock(&inner);
	spin_lock(&outer);
	spin_unlock(&outer);
	spin_unlock(&inner);
}

static void do_atomic_sleep(void)
{
	spin_lock(&held);
	msleep(1);
	spin_unlock(&held);
}

static void do_kasan(void)
{
	char *volatile p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	if (p)
		WRITE_ONCE(p[8], 1);
}

static void do_leak(void)
{
	static void *volatile lost;

	lost = kmalloc(4096, GFP_KERNEL);
	lost = NULL;
}

/* Sleeps uninterruptibly: the caller hangs for good. */
static void do_hang(void)
{
	mutex_lock(&never);
	mutex_lock(&never);
}

static const struct {
	const char *name;
	void (*run)(void);
} complaints[] = {
	{ "warn", do_warn }, { "oops", do_oops }, { "lockdep", do_lockdep }, { "atomic_sleep", do_atomic_sleep },
	{ "kasan", do_kasan }, { "leak", do_leak }, { "hang", do_hang },
};

static int provoke_set(const char *value, const struct kernel_param *kp)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(complaints); i++) {
		if (sysfs_streq(value, complaints[i].name)) {
			complaints[i].run();
			return 0;
		}
	}
	return -EINVAL;
}

static const struct kernel_param_ops provoke_ops = { .set = provoke_set };
module_param_cb(do, &provoke_ops, NULL, 0200);

MODULE_DESCRIPTION("Provokes kernel complaints for the VM lab's own test");
MODULE_LICENSE("GPL");
