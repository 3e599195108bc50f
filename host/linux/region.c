/* SPDX-License-Identifier: GPL-2.0-only */
/* The shared memory of one VM and what kicks go through: made by the keeper, outlives every worker. */
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static bool fail(const struct uw_region *r, const char *what, const char *why)
{
	uw_log(UW_LOG_ERROR, "vm %s: %s: %s", r->config->name, what, why);
	return false;
}

/* Sealed, since whoever shrinks a mapped file ends its other users with SIGBUS, and QEMU gets this descriptor. */
static bool make_memory(struct uw_region *r)
{
	char name[64];

	snprintf(name, sizeof(name), "usbwarp-%s", r->config->name);
	r->size = (uint32_t)r->config->size;
	r->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->fd < 0 || ftruncate(r->fd, r->size) ||
	    fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return fail(r, "memory", strerror(errno));
	return true;
}

static bool is_enabled(const char *path)
{
	char count = '0';
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool enabled = fd >= 0 && read(fd, &count, 1) == 1 && count != '0';

	if (fd >= 0)
		close(fd);
	return enabled;
}

/*
 * A PCI device's memory reads as all ones until the device is enabled; for other files there is nothing to enable. It
 * takes CAP_SYS_ADMIN, which a service had better not have, so who has enabled the device before spares us that.
 */
static void enable_device(const char *resource)
{
	char path[600];
	const char *slash = strrchr(resource, '/');
	int fd;

	if (!slash || strncmp(slash, "/resource", 9))
		return;
	snprintf(path, sizeof(path), "%.*s/enable", (int)(slash - resource), resource);
	if (is_enabled(path))
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		uw_log(UW_LOG_WARNING, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool open_file(struct uw_region *r)
{
	const char *path = r->config->file;
	struct stat st;

	r->polled = true;
	enable_device(path);
	r->fd = open(path, O_RDWR | O_CLOEXEC);
	if (r->fd < 0 || fstat(r->fd, &st))
		return fail(r, path, strerror(errno));
	r->size = (uint32_t)(r->config->size ? r->config->size : (uint64_t)st.st_size);
	if (st.st_size < r->size || st.st_size > UW_REGION_MAX || !uw_power_of_two(r->size) || r->size < UW_REGION_MIN)
		return fail(r, path, "its size must be a power of two from 4 MiB to 256 MiB");
	return true;
}

static int make_event(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static bool make_events(struct uw_region *r)
{
	uint32_t i;

	if (r->polled)
		return true;
	r->kick = make_event();
	for (i = 0; i < UW_VECTORS; i++)
		r->interrupt[i] = make_event();
	return (r->kick >= 0 && r->interrupt[0] >= 0 && r->interrupt[1] >= 0) || fail(r, "eventfd", strerror(errno));
}

bool uw_region_open(struct uw_region *r, const struct uw_vm_config *config)
{
	memset(r, 0, sizeof(*r));
	r->config = config;
	r->fd = r->kick = r->interrupt[0] = r->interrupt[1] = -1;
	if (!(config->file ? open_file(r) : make_memory(r)) || !make_events(r))
		return false;
	r->page = mmap(NULL, UW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->page != MAP_FAILED)
		return true;
	r->page = NULL;
	return fail(r, "map", strerror(errno));
}

void uw_region_close(struct uw_region *r)
{
	uint32_t i;

	if (!r->config)
		return;
	if (r->page)
		munmap(r->page, UW_PAGE);
	for (i = 0; i < UW_VECTORS; i++)
		if (r->interrupt[i] >= 0)
			close(r->interrupt[i]);
	if (r->kick >= 0)
		close(r->kick);
	if (r->fd >= 0)
		close(r->fd);
	r->config = NULL;
}

void uw_region_interrupt(const struct uw_region *r, uint32_t vector)
{
	/* A full counter means that the guest has been told and has not looked yet. */
	if (r->interrupt[vector] >= 0 && eventfd_write(r->interrupt[vector], 1) && errno != EAGAIN)
		uw_log(UW_LOG_ERROR, "vm %s: interrupt: %s", r->config->name, strerror(errno));
}

void uw_region_down(struct uw_region *r)
{
	uint32_t i;

	uw_release32(&r->page->head.state, UW_HOST_DOWN);
	uw_fence();
	for (i = 0; i < UW_VECTORS; i++)
		uw_region_interrupt(r, i);
}
