/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs in the guest: URBs that no class driver makes, by usbfs on a zero device with pattern 1 at super speed.
 *
 *   usburbs NODE long BYTES     one IN and one OUT URB of that length, the IN one checked
 *   usburbs NODE discard TIMES  URBs of 4 MiB that are discarded at all stages of their way
 *   usburbs NODE streams COUNT  streams on both bulk endpoints, an URB on each at once, then none again
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET 1024
#define EP_IN 0x81
#define EP_OUT 0x01

static int fd;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void submit(struct usbdevfs_urb *urb, uint8_t endpoint, void *data, size_t bytes, unsigned int stream)
{
	memset(urb, 0, sizeof(*urb));
	urb->type = USBDEVFS_URB_TYPE_BULK;
	urb->endpoint = endpoint;
	urb->buffer = data;
	urb->buffer_length = (int)bytes;
	urb->stream_id = stream;
	if (ioctl(fd, USBDEVFS_SUBMITURB, urb))
		die("submit");
}

static struct usbdevfs_urb *reap(void)
{
	struct usbdevfs_urb *urb;

	if (ioctl(fd, USBDEVFS_REAPURB, &urb))
		die("reap");
	return urb;
}

static void expect(const struct usbdevfs_urb *urb, int status, size_t actual)
{
	if (urb->status == status && (size_t)urb->actual_length == actual)
		return;
	fprintf(stderr, "endpoint %02x: status %d, %d bytes\n", urb->endpoint, urb->status, urb->actual_length);
	exit(1);
}

/* The device's packets count up modulo 63, each from 0. */
static uint8_t pattern(size_t at)
{
	return (uint8_t)(at % PACKET % 63);
}

static void check(const uint8_t *data, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++) {
		if (data[i] == pattern(i))
			continue;
		fprintf(stderr, "byte %zu is %02x\n", i, data[i]);
		exit(1);
	}
}

static uint8_t *buffer(size_t bytes)
{
	uint8_t *data = malloc(bytes ? bytes : 1);
	size_t i;

	if (!data)
		die("malloc");
	for (i = 0; i < bytes; i++)
		data[i] = pattern(i);
	return data;
}

static void do_long(size_t bytes)
{
	uint8_t *data = buffer(bytes);
	struct usbdevfs_urb urb;

	submit(&urb, EP_OUT, data, bytes, 0);
	expect(reap(), 0, bytes);
	memset(data, 0xee, bytes);
	submit(&urb, EP_IN, data, bytes, 0);
	expect(reap(), 0, bytes);
	check(data, bytes);
	free(data);
}

static void do_discard(size_t times)
{
	const size_t bytes = 4 << 20;
	struct timespec wait = { 0, 0 };
	uint8_t *data = buffer(bytes);
	struct usbdevfs_urb urb[2];
	size_t i, j;

	for (i = 0; i < times; i++) {
		for (j = 0; j < 2; j++)
			submit(&urb[j], i % 2 ? EP_IN : EP_OUT, data, bytes, 0);
		wait.tv_nsec = (long)(i * 37 % 50) * 20000;
		nanosleep(&wait, NULL);
		for (j = 0; j < 2; j++)
			if (ioctl(fd, USBDEVFS_DISCARDURB, &urb[(i / 2 + j) % 2]) && errno != EINVAL)
				die("discard");
		for (j = 0; j < 2; j++) {
			struct usbdevfs_urb *done = reap();

			if (done->status != -ENOENT && done->status != 0)
				expect(done, 0, bytes);
		}
	}
	free(data);
}

static void do_streams(unsigned int count)
{
	struct usbdevfs_streams *streams = calloc(1, sizeof(*streams) + 2);
	struct usbdevfs_urb *urb = calloc(2 * count, sizeof(*urb));
	uint8_t *data = buffer(2 * count * 16384);
	unsigned int i;
	int granted;

	streams->num_streams = count;
	streams->num_eps = 2;
	streams->eps[0] = EP_IN;
	streams->eps[1] = EP_OUT;
	granted = ioctl(fd, USBDEVFS_ALLOC_STREAMS, streams);
	if (granted < 0)
		die("alloc streams");
	printf("%d streams\n", granted);
	for (i = 0; i < 2u * (unsigned int)granted; i++)
		submit(&urb[i], i % 2 ? EP_IN : EP_OUT, data + i * 16384, 16384, i / 2 + 1);
	for (i = 0; i < 2u * (unsigned int)granted; i++)
		expect(reap(), 0, 16384);
	check(data, 2u * (size_t)granted * 16384);
	if (ioctl(fd, USBDEVFS_FREE_STREAMS, streams))
		die("free streams");
	free(streams);
	free(urb);
	free(data);
	do_long(65536);
}

int main(int argc, char **argv)
{
	unsigned int interface = 0, n = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 0) : 0;

	fd = argc > 3 ? open(argv[1], O_RDWR) : -1;
	if (fd < 0)
		die("usage: usburbs NODE long|discard|streams NUMBER: open");
	if (ioctl(fd, USBDEVFS_CLAIMINTERFACE, &interface))
		die("claim");
	if (!strcmp(argv[2], "long"))
		do_long(n);
	else if (!strcmp(argv[2], "discard"))
		do_discard(n);
	else
		do_streams(n);
	printf("%s %s right\n", argv[2], argv[3]);
	return 0;
}
