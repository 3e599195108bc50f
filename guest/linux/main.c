// SPDX-License-Identifier: GPL-2.0-only
/* Module and PCI device: instances come, sleep and go. */
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/utsname.h>

#include "usbwarp.h"

#define VENDOR 0x1af4
#define DEVICE_IVSHMEM 0x1110

#define BYE_MS 1000              /* a host that is there answers bye at once; one that is not is not waited for longer */

static char *devices = "";
module_param(devices, charp, 0444);
MODULE_PARM_DESC(devices, "PCI addresses to take, separated by commas (default: every ivshmem device with a UsbWarp host behind it)");

static unsigned int coherent_kib = UINT_MAX;
module_param(coherent_kib, uint, 0444);
MODULE_PARM_DESC(coherent_kib, "KiB of the region for buffers that class drivers share with devices (default and maximum: half of its data)");

static LIST_HEAD(instances);
static DEFINE_MUTEX(instances_lock);

/* ---- which devices ---- */

static bool is_wanted(struct pci_dev *pdev)
{
	const char *name = pci_name(pdev), *at = devices;
	size_t len;

	if (!*at)
		return true;
	for (; *at; at += len + (at[len] == ',')) {
		len = strcspn(at, ",");
		if (len == strlen(name) && !strncmp(at, name, len))
			return true;
	}
	return false;
}

/*
 * Is this the region of an instance that runs already? Two PCI devices may show one file. A mark left through one of
 * them in data that no transfer uses is seen through the other.
 */
static bool shows_region_of(struct uw_dev *d, struct uw_dev *other)
{
	u32 size = sizeof(u64), at;
	unsigned long flags;
	u64 mark, seen = 0;
	bool taken;

	if (d->g.layout.size != other->g.layout.size || d->g.layout.data != other->g.layout.data)
		return false;
	spin_lock_irqsave(&other->lock, flags);
	taken = uw_range_get(&other->g.bounce, size, &at);
	spin_unlock_irqrestore(&other->lock, flags);
	if (!taken)
		return true; /* cannot be told: rather none than two */
	get_random_bytes(&mark, sizeof(mark));
	memcpy(uw_data(other, other->g.bounce_at + at), &mark, sizeof(mark));
	mb();
	memcpy(&seen, uw_data(d, other->g.bounce_at + at), sizeof(seen));
	spin_lock_irqsave(&other->lock, flags);
	uw_range_put(&other->g.bounce, at, size);
	spin_unlock_irqrestore(&other->lock, flags);
	return seen == mark;
}

static int add_instance(struct uw_dev *d)
{
	struct uw_dev *other;
	int ret = 0;

	mutex_lock(&instances_lock);
	list_for_each_entry(other, &instances, node)
		if (shows_region_of(d, other))
			ret = -EBUSY;
	if (ret)
		dev_notice(&d->pdev->dev, "shows the region of a device that is in use already\n");
	else
		list_add_tail(&d->node, &instances);
	mutex_unlock(&instances_lock);
	return ret;
}

static void remove_instance(struct uw_dev *d)
{
	mutex_lock(&instances_lock);
	list_del(&d->node);
	mutex_unlock(&instances_lock);
}

/* ---- session ---- */

/* For people at the host: printable ASCII, which is all that may cross. */
static void guest_name(char name[UW_NAME + 1])
{
	char *c;

	snprintf(name, UW_NAME + 1, "%.15s %.16s", utsname()->nodename, utsname()->release);
	for (c = name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void free_memory(struct uw_dev *d)
{
	kvfree(d->g.mem.urbs);
	kvfree(d->g.mem.uses);
	kvfree(d->g.mem.free);
	kvfree(d->g.mem.bitmap);
}

static int init_session(struct uw_dev *d, u32 *coherent)
{
	struct uw_guest_memory mem = { .region = d->link.region, .mapped = d->link.size };
	struct uw_guest_sizes sizes;
	struct uw_layout layout;
	enum uw_layout_fault fault;
	char name[UW_NAME + 1];

	fault = uw_guest_sizes(d->link.region, d->link.size, &layout, &sizes);
	if (fault != UW_LAYOUT_OK) {
		dev_err(&d->pdev->dev, "unusable region: %s\n", uw_layout_fault_text(fault));
		return -EINVAL;
	}
	mem.urbs = kvcalloc(sizes.entries, sizeof(*mem.urbs), GFP_KERNEL);
	mem.uses = kvcalloc(sizes.entries, sizeof(*mem.uses), GFP_KERNEL);
	mem.free = kvcalloc(sizes.entries, sizeof(*mem.free), GFP_KERNEL);
	mem.bitmap = kvcalloc(sizes.words, sizeof(*mem.bitmap), GFP_KERNEL);
	d->g.mem = mem;
	if (!mem.urbs || !mem.uses || !mem.free || !mem.bitmap) {
		free_memory(d);
		return -ENOMEM;
	}
	guest_name(name);
	uw_guest_init(&d->g, &layout, &mem, name);
	*coherent = min_t(u64, sizes.coherent, coherent_kib * 1024ull) & PAGE_MASK;
	return 0;
}

static void begin(struct uw_dev *d)
{
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	d->asleep = false;
	uw_guest_begin(&d->g, ktime_get_ns());
	spin_unlock_irqrestore(&d->lock, flags);
	uw_link_wake(d);
}

static bool ended(struct uw_dev *d)
{
	unsigned long flags;
	bool ended;

	spin_lock_irqsave(&d->lock, flags);
	ended = uw_guest_ended(&d->g);
	spin_unlock_irqrestore(&d->lock, flags);
	return ended;
}

/* Process context. Says bye, and waits for the answer no longer than makes sense. */
static void end(struct uw_dev *d, bool asleep)
{
	unsigned long flags;

	spin_lock_irqsave(&d->lock, flags);
	d->asleep = asleep;
	uw_guest_end(&d->g, ktime_get_ns());
	spin_unlock_irqrestore(&d->lock, flags);
	uw_link_wake(d);
	wait_event_timeout(d->settled, ended(d), msecs_to_jiffies(BYE_MS));
	spin_lock_irqsave(&d->lock, flags);
	if (!uw_guest_ended(&d->g))
		uw_guest_abandon(&d->g, ktime_get_ns());
	spin_unlock_irqrestore(&d->lock, flags);
	uw_link_push(d);
}

/* ---- controllers ---- */

static int create_hcds(struct uw_dev *d)
{
	struct device *dev = &d->pdev->dev;
	int i;

	d->hcd[UW_USB2] = usb_create_hcd(&uw_hc_driver, dev, pci_name(d->pdev));
	if (!d->hcd[UW_USB2])
		return -ENOMEM;
	if (d->g.layout.usb3_ports) {
		d->hcd[UW_USB3] = usb_create_shared_hcd(&uw_hc_driver, dev, pci_name(d->pdev), d->hcd[UW_USB2]);
		if (!d->hcd[UW_USB3]) {
			usb_put_hcd(d->hcd[UW_USB2]);
			return -ENOMEM;
		}
	}
	for (i = 0; i < UW_HUBS; i++) {
		if (!d->hcd[i])
			continue;
		*(struct uw_dev **)d->hcd[i]->hcd_priv = d;
		d->hcd[i]->skip_phy_initialization = 1;
		uw_pool_attach(d, d->hcd[i]);
	}
	return 0;
}

static void put_hcds(struct uw_dev *d)
{
	usb_put_hcd(d->hcd[UW_USB3]);
	usb_put_hcd(d->hcd[UW_USB2]);
}

/* After removal only those who still hold a device, a process for instance, hold its hcd. */
static bool is_stale(const struct usb_hcd *hcd)
{
	return hcd && kref_read(&hcd->kref) > 1;
}

static int add_hcds(struct uw_dev *d)
{
	int ret = usb_add_hcd(d->hcd[UW_USB2], 0, 0);

	if (ret || !d->hcd[UW_USB3])
		return ret;
	ret = usb_add_hcd(d->hcd[UW_USB3], 0, 0);
	if (ret)
		usb_remove_hcd(d->hcd[UW_USB2]);
	return ret;
}

static void remove_hcds(struct uw_dev *d)
{
	if (d->hcd[UW_USB3])
		usb_remove_hcd(d->hcd[UW_USB3]);
	usb_remove_hcd(d->hcd[UW_USB2]);
}

/* ---- PCI ---- */

static struct uw_dev *dev_of(struct pci_dev *pdev)
{
	return uw_dev_of(pci_get_drvdata(pdev));
}

static int open_session(struct uw_dev *d)
{
	u32 coherent;
	int ret;

	ret = init_session(d, &coherent);
	if (ret)
		return ret;
	uw_hubs_init(d);
	ret = add_instance(d);
	if (ret)
		goto free;
	ret = uw_pool_open(d, UW_USBFS_MAPS_BUS_ADDRESS ? coherent : 0);
	if (ret)
		goto remove;
	return 0;

remove:
	remove_instance(d);
free:
	free_memory(d);
	return ret;
}

static void close_session(struct uw_dev *d, bool stale)
{
	uw_pool_close(d, stale);
	remove_instance(d);
	free_memory(d);
}

static int start(struct uw_dev *d)
{
	int ret;

	ret = create_hcds(d);
	if (ret)
		return ret;
	ret = uw_link_start(d);
	if (ret)
		goto put;
	begin(d);
	ret = add_hcds(d);
	if (ret)
		goto stop;
	ret = uw_debug_open(d);
	if (ret)
		goto remove;
	return 0;

remove:
	remove_hcds(d);
stop:
	end(d, true);
	uw_link_stop(d);
put:
	put_hcds(d);
	return ret;
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct uw_dev *d;
	int ret;

	if (usb_disabled() || !is_wanted(pdev))
		return -ENODEV;
	d = kzalloc(sizeof(*d), GFP_KERNEL);
	if (!d)
		return -ENOMEM;
	d->pdev = pdev;
	spin_lock_init(&d->lock);
	init_waitqueue_head(&d->settled);
	ret = uw_link_open(d);
	if (ret)
		goto free;
	ret = open_session(d);
	if (ret)
		goto close_link;
	ret = start(d);
	if (ret)
		goto close;
	return 0;

close:
	close_session(d, true);
close_link:
	uw_link_close(d);
free:
	kfree(d);
	return ret;
}

static void remove(struct pci_dev *pdev)
{
	struct uw_dev *d = dev_of(pdev);
	bool stale;

	uw_debug_close(d);
	remove_hcds(d);
	end(d, true);
	uw_link_stop(d);
	stale = is_stale(d->hcd[UW_USB2]) || is_stale(d->hcd[UW_USB3]);
	close_session(d, stale);
	put_hcds(d);
	uw_link_close(d);
	kfree(d);
}

/* The system goes down, or another kernel is about to begin. */
static void shutdown(struct pci_dev *pdev)
{
	end(dev_of(pdev), true);
}

/*
 * Sleep of the whole guest. The host is told, so that it ends what is left of the session; hub drivers are not, so that
 * devices which are there again after resume keep their drivers: they are found disabled, and are reset.
 */
#ifdef CONFIG_PM_SLEEP
static int suspend(struct device *dev)
{
	end(dev_of(to_pci_dev(dev)), true);
	return 0;
}

static int resume(struct device *dev)
{
	struct uw_dev *d = dev_of(to_pci_dev(dev));
	int i;

	for (i = 0; i < UW_HUBS; i++)
		if (d->hcd[i])
			usb_root_hub_lost_power(d->hcd[i]->self.root_hub);
	begin(d);
	return 0;
}
#endif

static SIMPLE_DEV_PM_OPS(pm_ops, suspend, resume);

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(VENDOR, DEVICE_IVSHMEM) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = {
	.name = "usbwarp",
	.id_table = ids,
	.probe = probe,
	.remove = remove,
	.shutdown = shutdown,
	.driver.pm = &pm_ops,
};

static int __init usbwarp_init(void)
{
	int ret;

	uw_debug_init();
	ret = pci_register_driver(&driver);
	if (ret)
		uw_debug_fini();
	return ret;
}

static void __exit usbwarp_exit(void)
{
	pci_unregister_driver(&driver);
	uw_debug_fini();
}

module_init(usbwarp_init);
module_exit(usbwarp_exit);
MODULE_DESCRIPTION("USB devices of the host, through shared memory");
MODULE_LICENSE("GPL v2");
