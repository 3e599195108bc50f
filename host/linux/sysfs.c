/* SPDX-License-Identifier: GPL-2.0-only */
/* What USB devices are plugged in, as the kernel tells it in sysfs, without opening any and without waiting for one. */
#include "sysfs.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "field.h"

#define DEVICES "/sys/bus/usb/devices"
#define CLASS_HUB 0x09

/* The first line of a small file. */
static bool read_line(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t bytes = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	if (bytes < 0)
		return false;
	text[bytes] = 0;
	text[strcspn(text, "\n")] = 0;
	return true;
}

static bool attribute(const char *device, const char *name, char *text, size_t size)
{
	char path[192];

	snprintf(path, sizeof(path), DEVICES "/%.80s/%s", device, name);
	return read_line(path, text, size);
}

static uint32_t number(const char *device, const char *name, int base)
{
	char text[32];

	return attribute(device, name, text, sizeof(text)) ? (uint32_t)strtoul(text, NULL, base) : 0;
}

/* Bus, dash, ports with dots: no root hub, no interface, and no way out of the directory. */
static bool is_bus_id(const char *text)
{
	const char *at = text;

	if (strlen(text) >= UW_CTL_NAME)
		return false;
	while (isdigit((unsigned char)*at))
		at++;
	if (at == text || *at++ != '-')
		return false;
	for (; isdigit((unsigned char)*at); at++)
		if (at[1] == '.' && isdigit((unsigned char)at[2]))
			at++;
	return !*at && isdigit((unsigned char)at[-1]);
}

/* Megabits per second: 1.5, 12, 480, 5000 and above. */
static uint8_t speed_of(const char *bus_id)
{
	uint32_t mbit = number(bus_id, "speed", 10);

	return mbit >= 5000 ? UW_SPEED_SUPER : mbit >= 480 ? UW_SPEED_HIGH : mbit >= 12 ? UW_SPEED_FULL : UW_SPEED_LOW;
}

/* A device whose class stands with its interfaces goes by the first: USB 2.0 table 9-8, bDeviceClass. */
static void read_class(struct uw_sysfs_device *d)
{
	char first[64];

	d->class_code = (uint8_t)number(d->bus_id, "bDeviceClass", 16);
	d->subclass = (uint8_t)number(d->bus_id, "bDeviceSubClass", 16);
	d->protocol = (uint8_t)number(d->bus_id, "bDeviceProtocol", 16);
	d->hub = d->class_code == CLASS_HUB;
	if (d->class_code)
		return;
	snprintf(first, sizeof(first), "%s:%u.0", d->bus_id, d->configuration);
	d->class_code = (uint8_t)number(first, "bInterfaceClass", 16);
	d->subclass = (uint8_t)number(first, "bInterfaceSubClass", 16);
	d->protocol = (uint8_t)number(first, "bInterfaceProtocol", 16);
}

/*
 * bConfigurationValue itself is shown under the device's lock, but its interfaces carry it in their names: "1-4:2.0".
 * A configuration without interfaces counts as none.
 */
static uint8_t configuration_of(const char *bus_id)
{
	size_t bytes = strlen(bus_id);
	unsigned long value = 0;
	struct dirent *entry;
	char path[96];
	DIR *dir;

	snprintf(path, sizeof(path), DEVICES "/%.60s", bus_id);
	dir = opendir(path);
	while (dir && !value && (entry = readdir(dir)) != NULL)
		if (!strncmp(entry->d_name, bus_id, bytes) && entry->d_name[bytes] == ':')
			value = strtoul(entry->d_name + bytes + 1, NULL, 10);
	if (dir)
		closedir(dir);
	return (uint8_t)value;
}

uint8_t uw_sysfs_configuration(const char *bus_id)
{
	return (uint8_t)number(bus_id, "bConfigurationValue", 10);
}

void uw_sysfs_describe(const char *bus_id, char *text, size_t size)
{
	char maker[128] = "", product[128] = "", both[sizeof(maker) + sizeof(product)];

	attribute(bus_id, "manufacturer", maker, sizeof(maker));
	attribute(bus_id, "product", product, sizeof(product));
	snprintf(both, sizeof(both), "%s%s%s", maker, *maker && *product ? " " : "", product);
	uw_text_put(text, size, both);
}

bool uw_sysfs_read(const char *bus_id, struct uw_sysfs_device *d)
{
	uw_zero(d, sizeof(*d));
	if (!is_bus_id(bus_id))
		return false;
	UW_TEXT_PUT(d->bus_id, bus_id);
	d->bus = number(bus_id, "busnum", 10);
	d->number = number(bus_id, "devnum", 10);
	d->vendor = (uint16_t)number(bus_id, "idVendor", 16);
	d->product = (uint16_t)number(bus_id, "idProduct", 16);
	d->release = (uint16_t)number(bus_id, "bcdDevice", 16);
	d->configuration = configuration_of(bus_id);
	d->speed = speed_of(bus_id);
	read_class(d);
	return d->bus && d->number;
}

#define INTERFACES 32u

bool uw_sysfs_has_class(const struct uw_sysfs_device *d, uint8_t class_code)
{
	char name[64], text[8];
	uint32_t i;

	if (d->class_code == class_code)
		return true;
	for (i = 0; i < INTERFACES; i++) {
		snprintf(name, sizeof(name), "%s:%u.%u", d->bus_id, d->configuration, i);
		if (attribute(name, "bInterfaceClass", text, sizeof(text)) && strtoul(text, NULL, 16) == class_code)
			return true;
	}
	return false;
}

static int is_device(const struct dirent *entry)
{
	return is_bus_id(entry->d_name);
}

void uw_sysfs_each(void (*each)(void *ctx, const struct uw_sysfs_device *device), void *ctx)
{
	struct uw_sysfs_device device;
	struct dirent **entries;
	int i, count = scandir(DEVICES, &entries, is_device, versionsort);

	for (i = 0; i < count; i++) {
		if (uw_sysfs_read(entries[i]->d_name, &device))
			each(ctx, &device);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

/* "1-4.2" is at port 2 of "1-4", which is at port 4 of the root hub, "usb1". */
bool uw_sysfs_parent(const char *bus_id, uint32_t *hub, uint32_t *port)
{
	const char *dot = strrchr(bus_id, '.'), *dash = strchr(bus_id, '-');
	char parent[UW_CTL_NAME];

	if (!is_bus_id(bus_id))
		return false;
	if (dot)
		snprintf(parent, sizeof(parent), "%.*s", (int)(dot - bus_id), bus_id);
	else
		snprintf(parent, sizeof(parent), "usb%.*s", (int)(dash - bus_id), bus_id);
	*hub = number(parent, "devnum", 10);
	*port = (uint32_t)strtoul((dot ? dot : dash) + 1, NULL, 10);
	return *hub != 0;
}

enum uw_sysfs_power uw_sysfs_power(const char *bus_id)
{
	char text[32];

	if (!is_bus_id(bus_id) || !attribute(bus_id, "power/autosuspend_delay_ms", text, sizeof(text)) || *text == '-' ||
	    !attribute(bus_id, "power/control", text, sizeof(text)))
		return UW_SYSFS_NEVER_SLEEPS;
	if (strcmp(text, "auto"))
		return UW_SYSFS_KEPT_AWAKE;
	if (attribute(bus_id, "power/runtime_status", text, sizeof(text)) && !strcmp(text, "suspended"))
		return UW_SYSFS_SUSPENDED;
	return UW_SYSFS_AWAKE;
}

uint64_t uw_sysfs_usb_memory(void)
{
	char text[32];

	if (!read_line("/sys/module/usbcore/parameters/usbfs_memory_mb", text, sizeof(text)))
		return 0;
	return strtoull(text, NULL, 10) << 20;
}
