// SPDX-License-Identifier: GPL-2.0-only
/* What people may look at: sysfs attributes, debugfs files, tracepoints. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>

#include "usbwarp.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static struct dentry *debug_root;

/* ---- sysfs: on the PCI device ---- */

static struct uw_dev *dev_of(struct device *dev)
{
	return uw_dev_of(dev_get_drvdata(dev));
}

static const char *phase_text(const struct uw_dev *d)
{
	static const char *const text[] = {
		[UW_GUEST_IDLE] = "idle",
		[UW_GUEST_WAIT] = "waiting",
		[UW_GUEST_GREET] = "greeting",
		[UW_GUEST_RUN] = "running",
		[UW_GUEST_REFUSED] = "refused",
	};

	return text[READ_ONCE(d->g.phase)];
}

static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", phase_text(dev_of(dev)));
}
static DEVICE_ATTR_RO(state);

static ssize_t epoch_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(dev_of(dev)->g.epoch));
}
static DEVICE_ATTR_RO(epoch);

static ssize_t host_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct uw_dev *d = dev_of(dev);
	char name[UW_NAME + 1];
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	memcpy(name, d->g.host_name, sizeof(name));
	spin_unlock_irqrestore(&d->lock, flags);
	return sysfs_emit(buf, "%s\n", name);
}
static DEVICE_ATTR_RO(host);

/* How the region is really mapped, and what reading it costs compared with RAM. */
static ssize_t mapping_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct uw_link *link = &dev_of(dev)->link;

	return sysfs_emit(buf, "%s %u.%u\n", uw_link_mapping(link), link->slowness / 10, link->slowness % 10);
}
static DEVICE_ATTR_RO(mapping);

static ssize_t wakeup_by_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct uw_link *link = &dev_of(dev)->link;

	return sysfs_emit(buf, "%s\n", link->vectors ? "interrupts" : "polling");
}
static DEVICE_ATTR_RO(wakeup_by);

/* Bytes of the coherent pool, bytes free now, bytes free when it was fullest. */
static ssize_t coherent_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct uw_dev *d = dev_of(dev);

	return sysfs_emit(buf, "%zu %zu %zu\n", d->pool_size, uw_pool_free(d), uw_pool_lowest(d));
}
static DEVICE_ATTR_RO(coherent);

static struct attribute *attributes[] = {
	&dev_attr_state.attr,
	&dev_attr_epoch.attr,
	&dev_attr_host.attr,
	&dev_attr_mapping.attr,
	&dev_attr_wakeup_by.attr,
	&dev_attr_coherent.attr,
	NULL
};

static const struct attribute_group group = {
	.name = "usbwarp",
	.attrs = attributes,
};

/* ---- debugfs: usbwarp/<PCI address>/ ---- */

static void show_counters(struct seq_file *s, const u64 *value)
{
	int i;

	for (i = 0; i < UW_STAT_COUNT; i++)
		seq_printf(s, "%-16s %20llu %s\n", uw_counter_text[i].name, value[i], uw_counter_text[i].unit);
}

static int counters_show(struct seq_file *s, void *unused)
{
	struct uw_dev *d = s->private;
	struct uw_counters copy;
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	copy = d->g.counters;
	spin_unlock_irqrestore(&d->lock, flags);
	show_counters(s, copy.value);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static bool has_stats(struct uw_dev *d)
{
	unsigned long flags;
	bool has;

	spin_lock_irqsave(&d->lock, flags);
	has = !d->g.stats_wanted;
	spin_unlock_irqrestore(&d->lock, flags);
	return has;
}

/* Asks the host; without a session, or without an answer in time, the values are those of last time. */
static int host_counters_show(struct seq_file *s, void *unused)
{
	struct uw_dev *d = s->private;
	u64 copy[UW_STAT_COUNT];
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	uw_guest_ask_stats(&d->g);
	spin_unlock_irqrestore(&d->lock, flags);
	uw_link_push(d);
	wait_event_timeout(d->settled, has_stats(d), HZ);
	spin_lock_irqsave(&d->lock, flags);
	memcpy(copy, d->g.host_stats, sizeof(copy));
	spin_unlock_irqrestore(&d->lock, flags);
	show_counters(s, copy);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(host_counters);

static int latency_show(struct seq_file *s, void *unused)
{
	static const u32 permille[] = { 500, 900, 990, 999, 1000 };
	struct uw_dev *d = s->private;
	struct uw_histogram *copy;
	unsigned long flags;
	int i;

	copy = kmalloc(sizeof(*copy), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	spin_lock_irqsave(&d->lock, flags);
	*copy = d->g.latency;
	spin_unlock_irqrestore(&d->lock, flags);
	seq_printf(s, "transfers %llu\n", uw_histogram_total(copy));
	for (i = 0; i < ARRAY_SIZE(permille); i++)
		seq_printf(s, "p%-4u %llu ns\n", permille[i], uw_histogram_at(copy, permille[i]));
	kfree(copy);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(latency);

static void show_port(struct seq_file *s, const struct uw_hub *hub, u8 port)
{
	const struct uw_hub_port *p = &hub->port[port];

	seq_printf(s, "%2u usb%u-%u speed %u link %u%s%s%s%s change %04x want %u sent %u\n", hub->before + port,
		   hub->usb3 ? 3 : 2, port, p->speed, p->link, p->powered ? " powered" : "",
		   p->connected ? " connected" : "", p->enabled ? " enabled" : "", p->resetting ? " reset" : "",
		   p->change, p->want, p->sent);
}

static int ports_show(struct seq_file *s, void *unused)
{
	struct uw_dev *d = s->private;
	struct uw_hub *hub;
	unsigned long flags;
	u8 port;

	for (hub = d->hub; hub < d->hub + UW_HUBS; hub++) {
		for (port = 1; port <= hub->ports; port++) {
			spin_lock_irqsave(&d->lock, flags);
			show_port(s, hub, port);
			spin_unlock_irqrestore(&d->lock, flags);
		}
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ports);

static int session_show(struct seq_file *s, void *unused)
{
	struct uw_dev *d = s->private;
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	seq_printf(s, "phase %u epoch %u incarnation %u flying %u free_entries %u\n", d->g.phase, d->g.epoch,
		   d->g.incarnation, d->g.flying, d->g.free_entries);
	seq_printf(s, "sub head %u peer %u comp pos %u told %u\n", d->g.tx.head, d->g.tx.peer, d->g.rx.pos, d->g.rx.told);
	seq_printf(s, "bounce granules free %u of %u ranges %u\n", d->g.bounce.free, d->g.bounce.granules,
		   d->g.bounce.in_use);
	spin_unlock_irqrestore(&d->lock, flags);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(session);

/* ---- life ---- */

int uw_debug_open(struct uw_dev *d)
{
	int ret = sysfs_create_group(&d->pdev->dev.kobj, &group);

	if (ret)
		return ret;
	d->debugfs = debugfs_create_dir(pci_name(d->pdev), debug_root);
	debugfs_create_file("counters", 0400, d->debugfs, d, &counters_fops);
	debugfs_create_file("host_counters", 0400, d->debugfs, d, &host_counters_fops);
	debugfs_create_file("latency", 0400, d->debugfs, d, &latency_fops);
	debugfs_create_file("ports", 0400, d->debugfs, d, &ports_fops);
	debugfs_create_file("session", 0400, d->debugfs, d, &session_fops);
	return 0;
}

void uw_debug_close(struct uw_dev *d)
{
	debugfs_remove_recursive(d->debugfs);
	sysfs_remove_group(&d->pdev->dev.kobj, &group);
}

void uw_debug_init(void)
{
	debug_root = debugfs_create_dir("usbwarp", NULL);
}

void uw_debug_fini(void)
{
	debugfs_remove_recursive(debug_root);
}
