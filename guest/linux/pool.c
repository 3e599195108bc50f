// SPDX-License-Identifier: GPL-2.0-only
/*
 * The coherent pool: part of the region, handed out by usbcore to class drivers and usbfs.
 *
 * A process may have mapped such a buffer through usbfs and keep it after the device, and even this module, have gone.
 * Its memory must then not be handed out again, and usbcore gives it back to the same gen_pool whenever the process
 * ends. So a pool that somebody may still know is not destroyed: it stays behind with the PCI device, holds nothing of
 * this module's code, and the next instance goes on with it. Keeping the module loaded instead would make an
 * uncooperative process able to prevent its unloading.
 */
#include <linux/genalloc.h>
#include <linux/io.h>
#include <linux/slab.h>

#include "usbwarp.h"

#define POOL_ORDER 6             /* 64 bytes: a cache line */
#define POOL_MAGIC 0x55575032u   /* "UWP2": changes with struct uw_pool, which another build of this driver may find */

struct uw_pool {
	u32 magic;
	bool kept;               /* an instance left it behind: somebody may know it for ever */
	size_t lowest;           /* bytes free when there were fewest, by what usb_alloc_coherent took; a guide only */
	phys_addr_t phys;
	size_t size;
	void *start;
	struct gen_pool *pool;
};

/* First fit, and remembers how full the pool has been. A request beyond what is free never comes here. */
static unsigned long pool_fit(unsigned long *map, unsigned long size, unsigned long start, unsigned int nr, void *data,
			      struct gen_pool *pool, unsigned long start_addr)
{
	unsigned long at = gen_pool_first_fit(map, size, start, nr, NULL, pool, start_addr);
	size_t left = gen_pool_avail(pool) - ((size_t)nr << POOL_ORDER);
	struct uw_pool *p = data;

	if (at < size && left < READ_ONCE(p->lowest))
		WRITE_ONCE(p->lowest, left);
	return at;
}

static struct uw_pool *pool_create(phys_addr_t phys, size_t size)
{
	struct uw_pool *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return NULL;
	p->magic = POOL_MAGIC;
	p->phys = phys;
	p->size = size;
	p->start = memremap(phys, size, MEMREMAP_WB);
	if (!p->start)
		goto free_p;
	p->pool = gen_pool_create(POOL_ORDER, -1);
	if (!p->pool)
		goto unmap;
	/* The bus address of a buffer is the CPU's address of the BAR, because usbfs maps pages by it. */
	if (gen_pool_add_virt(p->pool, (unsigned long)p->start, phys, size, -1))
		goto destroy;
	return p;

destroy:
	gen_pool_destroy(p->pool);
unmap:
	memunmap(p->start);
free_p:
	kfree(p);
	return NULL;
}

static void pool_destroy(struct uw_pool *p)
{
	gen_pool_destroy(p->pool);
	memunmap(p->start);
	kfree(p);
}

static bool pool_is_empty(const struct uw_pool *p)
{
	return gen_pool_avail(p->pool) == p->size;
}

/* A pool left behind by an earlier instance, or NULL. Only this driver gives these devices platform data. */
static struct uw_pool *pool_take_kept(struct device *dev)
{
	struct uw_pool *p = dev_get_platdata(dev);

	if (!p || p->magic != POOL_MAGIC)
		return NULL;
	dev->platform_data = NULL;
	return p;
}

/* Process context. -EBUSY: buffers of an earlier instance lie elsewhere in the region and are still in use. */
int uw_pool_open(struct uw_dev *d, u32 bytes)
{
	phys_addr_t phys = d->link.phys + d->g.layout.data;
	struct device *dev = &d->pdev->dev;
	struct uw_pool *p = pool_take_kept(dev);

	if (p && (p->phys != phys || p->size != bytes)) {
		if (!pool_is_empty(p)) {
			dev->platform_data = p;
			return -EBUSY;
		}
		/* Somebody may still know this pool, though he has nothing of it now: it is left to him. */
		p = NULL;
	}
	if (!p && bytes)
		p = pool_create(phys, bytes);
	if (!p)
		return bytes ? -ENOMEM : 0;
	p->lowest = gen_pool_avail(p->pool);
	gen_pool_set_algo(p->pool, pool_fit, p);
	d->pool = p;
	d->pool_start = p->start;
	d->pool_size = p->size;
	return 0;
}

/* Process context, after both hcds have been removed. stale: somebody still holds a device of theirs. */
void uw_pool_close(struct uw_dev *d, bool stale)
{
	struct uw_pool *p = d->pool;

	d->pool = NULL;
	if (!p)
		return;
	gen_pool_set_algo(p->pool, NULL, NULL);
	if (!stale && !p->kept && pool_is_empty(p)) {
		pool_destroy(p);
		return;
	}
	if (!pool_is_empty(p))
		dev_notice(&d->pdev->dev, "%zu KiB of coherent buffers are still mapped and stay reserved\n",
			   (p->size - gen_pool_avail(p->pool)) >> 10);
	p->kept = true;
	d->pdev->dev.platform_data = p;
}

void uw_pool_attach(struct uw_dev *d, struct usb_hcd *hcd)
{
	if (d->pool)
		hcd->localmem_pool = d->pool->pool;
}

size_t uw_pool_free(const struct uw_dev *d)
{
	return d->pool ? gen_pool_avail(d->pool->pool) : 0;
}

size_t uw_pool_lowest(const struct uw_dev *d)
{
	return d->pool ? READ_ONCE(d->pool->lowest) : 0;
}
