/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs in the guest: times transfers through usbfs.
 *
 *   usbbench control NODE COUNT              one GET_DESCRIPTOR after the other: median and 99th percentile
 *   usbbench bulk NODE SIZE DEPTH BYTES      reads from the first bulk IN endpoint with DEPTH transfers in flight,
 *                                            into memory that the kernel maps (no copy by usbfs where it can)
 */
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int control(int fd, unsigned int count)
{
	uint32_t *ns = calloc(count + 1, sizeof(*ns));
	uint8_t descriptor[18];
	struct usbdevfs_ctrltransfer c = {
		.bRequestType = 0x80, .bRequest = 6, .wValue = 0x100, .wLength = 18, .timeout = 5000, .data = descriptor
	};
	unsigned int i;
	uint64_t start;

	for (i = 0; ns && i < count; i++) {
		start = now_ns();
		if (ioctl(fd, USBDEVFS_CONTROL, &c) != 18)
			fail("control");
		ns[i] = (uint32_t)(now_ns() - start);
	}
	qsort(ns, count, sizeof(*ns), by_value);
	printf("p50 %.1f us p99 %.1f us\n", ns[count / 2] / 1e3, ns[count * 99 / 100] / 1e3);
	return 0;
}

/* The first bulk IN endpoint in the descriptors, with its interface; alternate setting 0 is in force. */
static unsigned int find_bulk_in(int fd, unsigned int *interface)
{
	uint8_t bytes[1024];
	ssize_t length = read(fd, bytes, sizeof(bytes)), at = 18;

	for (; at + 1 < length && bytes[at]; at += bytes[at]) {
		if (bytes[at + 1] == 4)
			*interface = bytes[at + 2];
		if (bytes[at + 1] == 5 && (bytes[at + 2] & 0x80) && (bytes[at + 3] & 3) == 2)
			return bytes[at + 2];
	}
	fprintf(stderr, "no bulk IN endpoint\n");
	exit(1);
}

static int bulk(int fd, unsigned int size, unsigned int depth, uint64_t want)
{
	struct usbdevfs_urb *urbs = calloc(depth, sizeof(*urbs)), *done;
	unsigned int i, interface = 0, endpoint = find_bulk_in(fd, &interface);
	uint64_t start, asked = 0, got = 0;

	if (!urbs || ioctl(fd, USBDEVFS_CLAIMINTERFACE, &interface))
		fail("claim");
	for (i = 0; i < depth; i++) {
		urbs[i].type = USBDEVFS_URB_TYPE_BULK;
		urbs[i].endpoint = (unsigned char)endpoint;
		urbs[i].buffer_length = (int)size;
		urbs[i].buffer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (urbs[i].buffer == MAP_FAILED)
			fail("mmap");
	}
	start = now_ns();
	for (i = 0; i < depth && asked < want; i++, asked += size)
		if (ioctl(fd, USBDEVFS_SUBMITURB, &urbs[i]))
			fail("submit");
	while (got < asked) {
		if (ioctl(fd, USBDEVFS_REAPURB, &done) || done->status || done->actual_length != (int)size)
			fail("reap");
		got += size;
		if (asked >= want)
			continue;
		asked += size;
		if (ioctl(fd, USBDEVFS_SUBMITURB, done))
			fail("submit");
	}
	printf("%.1f MB/s\n", (double)got * 1e3 / (double)(now_ns() - start));
	return 0;
}

int main(int argc, char **argv)
{
	int fd = argc > 2 ? open(argv[2], O_RDWR) : -1;

	if (argc == 4 && !strcmp(argv[1], "control") && fd >= 0)
		return control(fd, (unsigned int)atoi(argv[3]));
	if (argc == 6 && !strcmp(argv[1], "bulk") && fd >= 0)
		return bulk(fd, (unsigned int)atoi(argv[3]), (unsigned int)atoi(argv[4]), strtoull(argv[5], NULL, 10));
	fprintf(stderr, "usage: usbbench control NODE COUNT | bulk NODE SIZE DEPTH BYTES\n");
	return 2;
}
