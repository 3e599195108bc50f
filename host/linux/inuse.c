/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether the host lives on a USB device, so that taking it away would hurt. */
#include "inuse.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define LAYERS 8               /* of device mapper, RAID and the like, one on the other */

/* What is asked about, and the answer. */
struct question {
	char device[PATH_MAX]; /* in /sys/devices, with a slash behind it */
	char *why;
	size_t size;
};

static bool below(const struct question *q, const char *path)
{
	return !strncmp(path, q->device, strlen(q->device));
}

/* ---- file systems and swap ---- */

/* A disk or partition, or what is made of several: then any of them. */
static bool disk_below(const struct question *q, const char *disk, uint32_t layers)
{
	char path[PATH_MAX], slaves[PATH_MAX + 16];
	struct dirent *entry;
	bool found;
	DIR *dir;

	if (!layers || !realpath(disk, path))
		return false;
	if (below(q, path))
		return true;
	snprintf(slaves, sizeof(slaves), "%s/slaves", path);
	dir = opendir(slaves);
	found = false;
	while (dir && !found && (entry = readdir(dir)) != NULL) {
		if (*entry->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/block/%s", entry->d_name);
		found = disk_below(q, path, layers - 1);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool number_below(const struct question *q, uint32_t major_number, uint32_t minor_number)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major_number, minor_number);
	return disk_below(q, path, LAYERS);
}

/* A node, or a file on a disk. */
static bool file_below(const struct question *q, const char *path)
{
	struct stat st;
	dev_t number;

	if (*path != '/' || stat(path, &st))
		return false;
	number = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	return number_below(q, major(number), minor(number));
}

/* proc(5), mountinfo: number, parent, major:minor, root, mount point, options..., "-", type, source. */
static bool mount_line(const struct question *q, char *line)
{
	char point[256] = "", source[256] = "", *dash = strstr(line, " - ");
	uint32_t major_number, minor_number;

	if (!dash || sscanf(line, "%*u %*u %u:%u %*s %255s", &major_number, &minor_number, point) != 3)
		return false;
	/* Some file systems have numbers of their own; their source says where they lie. */
	if (sscanf(dash, " - %*s %255s", source) != 1)
		return false;
	if (!number_below(q, major_number, minor_number) && !file_below(q, source))
		return false;
	snprintf(q->why, q->size, "the file system at %.200s lies on it", point);
	return true;
}

static bool swap_line(const struct question *q, char *line)
{
	char path[256] = "";

	if (sscanf(line, "%255s", path) != 1 || !file_below(q, path))
		return false;
	snprintf(q->why, q->size, "the host swaps to %.200s on it", path);
	return true;
}

/* ---- the network ---- */

/* An interface, or what is made of several, as a bridge is: then any of them. */
static bool interface_below(const struct question *q, const char *name, uint32_t layers)
{
	char link[PATH_MAX], path[PATH_MAX];
	struct dirent *entry;
	bool found;
	DIR *dir;

	snprintf(link, sizeof(link), "/sys/class/net/%s", name);
	if (!layers || !realpath(link, path))
		return false;
	if (below(q, path))
		return true;
	dir = opendir(path);
	found = false;
	while (dir && !found && (entry = readdir(dir)) != NULL)
		found = !strncmp(entry->d_name, "lower_", 6) && interface_below(q, entry->d_name + 6, layers - 1);
	if (dir)
		closedir(dir);
	return found;
}

static bool is_default_route(const struct question *q, const char *name)
{
	if (!interface_below(q, name, LAYERS))
		return false;
	snprintf(q->why, q->size, "the host's default route goes through its interface %s", name);
	return true;
}

/* proc_net(5), route: interface, destination in hexadecimal digits. */
static bool route_line(const struct question *q, char *line)
{
	char name[32] = "", destination[16] = "";

	return sscanf(line, "%31s %15s", name, destination) == 2 && !strcmp(destination, "00000000") &&
	       is_default_route(q, name);
}

/* net/ipv6/route.c: destination, its prefix, source, its prefix, next hop, four numbers, interface. */
static bool route6_line(const struct question *q, char *line)
{
	char name[32] = "", destination[33] = "", prefix[3] = "";

	return sscanf(line, "%32s %2s %*s %*s %*s %*s %*s %*s %*s %31s", destination, prefix, name) == 3 &&
	       strspn(destination, "0") == 32 && !strcmp(prefix, "00") && is_default_route(q, name);
}

static bool any_line(const struct question *q, const char *path, bool (*is)(const struct question *q, char *line))
{
	FILE *file = fopen(path, "re");
	bool found = false;
	char line[4096];

	while (file && !found && fgets(line, sizeof(line), file))
		found = is(q, line);
	if (file)
		fclose(file);
	return found;
}

/* ---- keyboards ---- */

#define EV_REPEATS (1ul << 0x14)                          /* EV_REP of linux/input-event-codes.h */
#define TYPES_TEXT (1ul << 30 | 1ul << 28 | 1ul << 57)    /* KEY_A, KEY_ENTER, KEY_SPACE */

struct keyboards {
	uint32_t here, elsewhere;
};

/* One line of /proc/bus/input/devices; a device's lines end with an empty one. */
struct input {
	bool here, real;
	unsigned long events, keys;
};

static void input_line(const struct question *q, char *line, struct input *input, struct keyboards *count)
{
	char path[PATH_MAX], *last;

	line[strcspn(line, "\n")] = 0;
	if (!strncmp(line, "S: Sysfs=", 9)) {
		snprintf(path, sizeof(path), "/sys%s/", line + 9);
		input->here = below(q, path);
		input->real = strncmp(line + 9, "/devices/virtual/", 17) != 0;
	} else if (!strncmp(line, "B: EV=", 6)) {
		input->events = strtoul(line + 6, NULL, 16);
	} else if (!strncmp(line, "B: KEY=", 7)) {
		last = strrchr(line, ' '); /* the lowest bits come last */
		input->keys = strtoul(last && last > line + 6 ? last : line + 7, NULL, 16);
	} else if (!*line) {
		if (input->real && (input->events & EV_REPEATS) && (input->keys & TYPES_TEXT) == TYPES_TEXT)
			*(input->here ? &count->here : &count->elsewhere) += 1;
		memset(input, 0, sizeof(*input));
	}
}

static bool last_keyboard(const struct question *q)
{
	FILE *file = fopen("/proc/bus/input/devices", "re");
	struct keyboards count = { 0 };
	struct input input = { 0 };
	char line[4096];

	while (file && fgets(line, sizeof(line), file))
		input_line(q, line, &input, &count);
	if (file)
		fclose(file);
	if (!count.here || count.elsewhere)
		return false;
	snprintf(q->why, q->size, "it is the host's last keyboard");
	return true;
}

bool uw_in_use(const char *bus_id, char *why, size_t size)
{
	struct question q = { .why = why, .size = size };
	char link[96];

	snprintf(link, sizeof(link), "/sys/bus/usb/devices/%.60s", bus_id);
	if (!realpath(link, q.device) || strlen(q.device) + 2 > sizeof(q.device))
		return false;
	memcpy(q.device + strlen(q.device), "/", 2);
	return any_line(&q, "/proc/self/mountinfo", mount_line) || any_line(&q, "/proc/swaps", swap_line) ||
	       any_line(&q, "/proc/net/route", route_line) || any_line(&q, "/proc/net/ipv6_route", route6_line) ||
	       last_keyboard(&q);
}
