// SPDX-License-Identifier: GPL-2.0-only
/* The way to the host: BARs, doorbell, interrupts, and polling where there are none. */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "usbwarp.h"

/* The device of ivshmem: BAR 0 has the registers, BAR 2 the region. */
#define BAR_REGISTERS 0
#define BAR_REGION 2
#define REGISTER_DOORBELL 12
#define VECTORS_MAX 8            /* more than a host will ever use; a spare one is served like the others */

#define BATCH 64u                /* answers per round: bounds how long others wait for the lock */

static unsigned int poll_min_us = 20;
module_param(poll_min_us, uint, 0644);
MODULE_PARM_DESC(poll_min_us, "Without interrupts: microseconds between looks just after something happened (default 20)");

static unsigned int poll_max_us = 4000;
module_param(poll_max_us, uint, 0644);
MODULE_PARM_DESC(poll_max_us, "Without interrupts: the same at most while transfers are in flight (default 4000)");

static unsigned int poll_idle_ms = 100;
module_param(poll_idle_ms, uint, 0644);
MODULE_PARM_DESC(poll_idle_ms, "Without interrupts: milliseconds between looks when nothing is in flight (default 100)");

static unsigned int spin_us = 100;
module_param(spin_us, uint, 0644);
MODULE_PARM_DESC(spin_us, "With interrupts: microseconds to poll for an answer after a submission, while that pays (default 100, 0 never)");

/* ---- mapping ---- */

static u64 copy_ns(void *to, const void *from, size_t bytes)
{
	unsigned long flags;
	u64 start, took;

	local_irq_save(flags);
	start = ktime_get_ns();
	memcpy(to, from, bytes);
	barrier();
	took = ktime_get_ns() - start;
	local_irq_restore(flags);
	return took;
}

static u64 best_copy_ns(void *to, const void *from, size_t bytes)
{
	u64 best = U64_MAX;
	int i;

	for (i = 0; i < 16; i++)
		best = min(best, copy_ns(to, from, bytes));
	return max_t(u64, best, 1);
}

/*
 * A write-back mapping that is asked for is granted even where the processor's range registers make the memory
 * uncachable, and then every access is slow without any sign of it. So the mapping is measured: reading a page of the
 * region against reading a page of RAM, both of which are in the cache if they can be.
 */
static int measure(struct uw_link *link)
{
	u8 *ram = kmalloc(2 * UW_PAGE, GFP_KERNEL);

	if (!ram)
		return -ENOMEM;
	memset(ram, 0, 2 * UW_PAGE);
	link->slowness = div64_u64(10 * best_copy_ns(ram + UW_PAGE, link->region, UW_PAGE),
				   best_copy_ns(ram + UW_PAGE, ram, UW_PAGE));
	kfree(ram);
	return 0;
}

/* A page in the cache costs about the same wherever it is; uncached it costs a hundred times more. */
const char *uw_link_mapping(const struct uw_link *link)
{
	return link->slowness >= 80 ? "uncached" : "write-back";
}

static void report_mapping(struct uw_dev *d)
{
	struct uw_link *link = &d->link;

	if (link->slowness < 80)
		return;
	dev_warn(&d->pdev->dev,
		 "the region is mapped uncached (%u.%u times the cost of RAM): transfers will be slow. Place the device's BAR above 4 GiB\n",
		 link->slowness / 10, link->slowness % 10);
}

/*
 * The magic is looked for before the BARs are claimed: this PCI id is everybody's, and claiming memory that another
 * program has mapped from user space takes it away from that program.
 */
static int map_region(struct uw_dev *d)
{
	struct uw_link *link = &d->link;
	struct uw_host_page *page;

	link->phys = pci_resource_start(d->pdev, BAR_REGION);
	link->size = pci_resource_len(d->pdev, BAR_REGION);
	if (!(pci_resource_flags(d->pdev, BAR_REGION) & IORESOURCE_MEM) || link->size < UW_REGION_MIN)
		return -ENODEV;
	link->region = memremap(link->phys, min_t(u64, link->size, UW_REGION_MAX), MEMREMAP_WB);
	if (!link->region)
		return -ENOMEM;
	page = (void *)link->region;
	if (le64_to_cpu(READ_ONCE(page->head.magic)) == UW_MAGIC)
		return 0;
	memunmap(link->region);
	return -ENODEV;
}

int uw_link_open(struct uw_dev *d)
{
	struct pci_dev *pdev = d->pdev;
	int ret;

	ret = pci_enable_device_mem(pdev);
	if (ret)
		return ret;
	ret = map_region(d);
	if (ret)
		goto disable;
	ret = pci_request_selected_regions(pdev, BIT(BAR_REGISTERS) | BIT(BAR_REGION), KBUILD_MODNAME);
	if (ret)
		goto unmap;
	ret = measure(&d->link);
	if (ret)
		goto release;
	report_mapping(d);
	return 0;

release:
	pci_release_selected_regions(pdev, BIT(BAR_REGISTERS) | BIT(BAR_REGION));
unmap:
	memunmap(d->link.region);
disable:
	pci_disable_device(pdev);
	return ret;
}

void uw_link_close(struct uw_dev *d)
{
	pci_release_selected_regions(d->pdev, BIT(BAR_REGISTERS) | BIT(BAR_REGION));
	memunmap(d->link.region);
	pci_disable_device(d->pdev);
}

/* ---- kicks and rounds ---- */

/* Any context. */
void uw_link_wake(struct uw_dev *d)
{
	if (!READ_ONCE(d->link.stopped))
		uw_bh_schedule(&d->link.bh);
}

static void kick(struct uw_link *link)
{
	if (link->registers)
		writel(link->doorbell, link->registers + REGISTER_DOORBELL);
}

static irqreturn_t interrupt(int irq, void *data)
{
	struct uw_dev *d = data;

	atomic_inc(&d->link.interrupts);
	uw_link_wake(d);
	return IRQ_HANDLED;
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	uw_link_wake(container_of(timer, struct uw_dev, link.timer));
	return HRTIMER_NORESTART;
}

/* An earlier time replaces a later one; a time that has passed fires at once. */
static void set_timer(struct uw_dev *d, u64 at, u64 now)
{
	struct uw_link *link = &d->link;

	lockdep_assert_held(&d->lock);
	if (at == UW_NEVER || (link->timer_at > now && link->timer_at <= at) || link->stopped)
		return;
	link->timer_at = at;
	hrtimer_start(&link->timer, ns_to_ktime(at > now ? at - now : 0), HRTIMER_MODE_REL);
}

/*
 * Without interrupts: the longer nothing has happened, the longer the wait, a quarter of that time, up to a limit that
 * lets the machine sleep. Transfers in flight make the limit shorter, because somebody may be waiting for a key.
 */
static u64 next_look(struct uw_dev *d, u64 now)
{
	u64 wait = (now - d->link.active_at) / 4;
	u64 limit = d->g.flying ? poll_max_us * 1000ull : poll_idle_ms * 1000000ull;

	return now + max_t(u64, min(wait, limit), max(poll_min_us, 1u) * 1000ull);
}

/* Has something been submitted whose answer is worth polling for? */
static bool begin_spin(struct uw_dev *d)
{
	struct uw_link *link = &d->link;

	lockdep_assert_held(&d->lock);
	if (!link->poller || link->spun_at == d->g.tx.head || link->spinning || !READ_ONCE(spin_us))
		return false;
	link->spun_at = d->g.tx.head;
	link->spinning = uw_spin_begin(&link->spin);
	return link->spinning;
}

/* Any context but hard interrupt: copies what has to be, submits, and sees to it that answers are noticed. */
void uw_link_push(struct uw_dev *d)
{
	unsigned long flags;
	bool must_kick, spin;
	u64 now;

	uw_hcd_fill(d);
	now = ktime_get_ns();
	spin_lock_irqsave(&d->lock, flags);
	must_kick = uw_guest_kick(&d->g);
	d->link.active_at = now;
	set_timer(d, d->link.vectors ? uw_guest_deadline(&d->g) : next_look(d, now), now);
	spin = begin_spin(d);
	spin_unlock_irqrestore(&d->lock, flags);
	if (must_kick)
		kick(&d->link);
	if (spin)
		wake_up_process(d->link.poller);
}

/* The end of a round: another one, or sleep until something happens. */
static void rest(struct uw_dev *d, u32 count)
{
	u64 now = ktime_get_ns(), at;
	unsigned long flags;
	bool must_kick, again;

	spin_lock_irqsave(&d->lock, flags);
	must_kick = uw_guest_kick(&d->g);
	at = uw_guest_deadline(&d->g);
	again = count == BATCH;
	if (count)
		d->link.active_at = now;
	if (!d->link.vectors)
		at = min(at, next_look(d, now));
	else if (!again)
		again = !uw_guest_sleep(&d->g);
	set_timer(d, at, now);
	spin_unlock_irqrestore(&d->lock, flags);
	if (must_kick)
		kick(&d->link);
	if (wq_has_sleeper(&d->settled))
		wake_up_all(&d->settled);
	if (again)
		uw_link_wake(d);
}

/* One round. Returns the number of answers; BATCH also when it ended early for another reason. */
static u32 serve(struct uw_dev *d)
{
	unsigned long flags;
	u32 count;

	spin_lock_irqsave(&d->lock, flags);
	UW_COUNT(&d->g.counters, wakeups, atomic_xchg(&d->link.interrupts, 0));
	count = uw_guest_poll(&d->g, ktime_get_ns(), BATCH);
	uw_hubs_notes(d);
	spin_unlock_irqrestore(&d->lock, flags);
	if (uw_hcd_drain(d))
		count = BATCH;
	uw_hcd_fill(d);
	uw_hubs_report(d);
	return count;
}

/* Softirq context, one at a time. */
static void service(struct uw_bh *bh)
{
	struct uw_dev *d = container_of(bh, struct uw_dev, link.bh);

	rest(d, serve(d));
}

/* ---- polling with interrupts ---- */

static bool take_spinning(struct uw_dev *d)
{
	unsigned long flags;
	bool spinning;

	spin_lock_irqsave(&d->lock, flags);
	spinning = d->link.spinning && d->g.phase == UW_GUEST_RUN;
	d->link.spinning = false;
	if (spinning)
		uw_rx_stay_awake(&d->g.rx);
	spin_unlock_irqrestore(&d->lock, flags);
	return spinning;
}

static void end_spin(struct uw_dev *d, bool paid)
{
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	uw_spin_end(&d->link.spin, paid);
	spin_unlock_irqrestore(&d->lock, flags);
}

/*
 * Looks for an answer while the host, asked not to interrupt, works on it. Whoever else wants this processor gets it
 * at once, but not before a round has asked for interrupts again: hence no preemption, and the round in the end. Only
 * rounds take from the ring, so looking at it needs no lock; at worst it tells of an epoch that is over.
 */
static void spin(struct uw_dev *d)
{
	bool paid = false;
	u64 until;

	local_bh_disable();
	if (take_spinning(d)) {
		until = ktime_get_ns() + READ_ONCE(spin_us) * 1000ull;
		while (!paid && ktime_get_ns() < until && !need_resched() && !local_softirq_pending()) {
			cpu_relax();
			paid = uw_rx_ready(&d->g.rx);
		}
		end_spin(d, paid || need_resched() || local_softirq_pending());
		uw_link_wake(d);
	}
	local_bh_enable();
}

/* At the lowest priority: it runs when the submitter, and everybody else, waits. */
static int poller(void *data)
{
	struct uw_dev *d = data;

	for (;;) {
		set_current_state(TASK_IDLE);
		if (kthread_should_stop())
			break;
		if (!READ_ONCE(d->link.spinning))
			schedule();
		__set_current_state(TASK_RUNNING);
		spin(d);
		cond_resched();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* Fails softly: polling saves time, but nothing depends on it. */
static void start_poller(struct uw_dev *d)
{
	struct task_struct *task;

	if (!d->link.vectors)
		return;
	task = kthread_create(poller, d, "usbwarp/%s", pci_name(d->pdev));
	if (IS_ERR(task))
		return;
	set_user_nice(task, MAX_NICE);
	wake_up_process(task);
	d->link.poller = task;
}

/* ---- interrupts ---- */

static void free_vectors(struct uw_dev *d)
{
	while (d->link.vectors)
		free_irq(pci_irq_vector(d->pdev, --d->link.vectors), d);
	pci_free_irq_vectors(d->pdev);
}

/* Fails softly: without interrupts this side polls. */
static void get_vectors(struct uw_dev *d)
{
	int count, i;

	if (!(d->g.layout.link & UW_LINK_INTERRUPT))
		return;
	count = pci_alloc_irq_vectors(d->pdev, 1, VECTORS_MAX, PCI_IRQ_MSIX | PCI_IRQ_MSI);
	for (i = 0; i < count; i++) {
		if (request_irq(pci_irq_vector(d->pdev, i), interrupt, 0, KBUILD_MODNAME, d))
			break;
		d->link.vectors++;
	}
	if (count > 0 && i < count)
		free_vectors(d);
}

/* Process context, before the session begins. The layout is known. */
int uw_link_start(struct uw_dev *d)
{
	struct uw_link *link = &d->link;

	uw_bh_init(&link->bh, service);
	uw_timer_init(&link->timer, timer_fired);
	link->active_at = ktime_get_ns();
	if (d->g.layout.link & UW_LINK_DOORBELL) {
		link->registers = pci_iomap(d->pdev, BAR_REGISTERS, 0);
		if (!link->registers)
			return -ENOMEM;
		link->doorbell = d->g.layout.doorbell;
	}
	pci_set_master(d->pdev); /* an interrupt message is a write of the device */
	get_vectors(d);
	start_poller(d);
	dev_info(&d->pdev->dev, "region of %u MiB, %s; %s\n", d->g.layout.size >> 20, uw_link_mapping(link),
		 link->vectors ? "interrupts" : "no interrupts, so this driver polls");
	return 0;
}

/* Process context. Afterwards no round runs. */
void uw_link_stop(struct uw_dev *d)
{
	struct uw_link *link = &d->link;
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	WRITE_ONCE(link->stopped, true);
	spin_unlock_irqrestore(&d->lock, flags);
	if (link->poller)
		kthread_stop(link->poller);
	free_vectors(d);
	hrtimer_cancel(&link->timer);
	uw_bh_kill(&link->bh);
	pci_clear_master(d->pdev);
	if (link->registers)
		pci_iounmap(d->pdev, link->registers);
	link->registers = NULL;
}
