/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs in the guest: bulk messages by usbfs, for devices that have no driver in the kernel.
 *
 *   usbtalk NODE INTERFACE OUT IN WORD...
 *
 * A word is a message to send, in hexadecimal, or "+" and the number of bytes to read at most. What was read is printed
 * in hexadecimal, a line each. The protocol is the caller's affair.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TIMEOUT 20000 /* ms */

static int node;

static void die(const char *what)
{
	fprintf(stderr, "usbtalk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int transfer(unsigned int endpoint, void *data, unsigned int bytes)
{
	struct usbdevfs_bulktransfer t = { .ep = endpoint, .len = bytes, .timeout = TIMEOUT, .data = data };
	int moved = ioctl(node, USBDEVFS_BULK, &t);

	if (moved < 0)
		die(endpoint & 0x80 ? "read" : "write");
	return moved;
}

static void read_answer(unsigned int endpoint, unsigned int room)
{
	uint8_t *data = malloc(room);
	int i, bytes;

	if (!data)
		die("memory");
	bytes = transfer(endpoint, data, room);
	for (i = 0; i < bytes; i++)
		printf("%02x", data[i]);
	putchar('\n');
	free(data);
}

static void write_message(unsigned int endpoint, const char *hex)
{
	size_t i, bytes = strlen(hex) / 2;
	uint8_t *data = malloc(bytes ? bytes : 1);
	unsigned int byte;

	if (!data)
		die("memory");
	for (i = 0; i < bytes; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
			errno = EINVAL;
			die(hex);
		}
		data[i] = (uint8_t)byte;
	}
	if (transfer(endpoint, data, (unsigned int)bytes) != (int)bytes) {
		errno = EIO;
		die("short write");
	}
	free(data);
}

int main(int argc, char **argv)
{
	unsigned int interface, out, in;
	int i;

	if (argc < 6) {
		fputs("usage: usbtalk NODE INTERFACE OUT IN WORD...\n", stderr);
		return 2;
	}
	interface = (unsigned int)strtoul(argv[2], NULL, 0);
	out = (unsigned int)strtoul(argv[3], NULL, 0);
	in = (unsigned int)strtoul(argv[4], NULL, 0);
	node = open(argv[1], O_RDWR | O_CLOEXEC);
	if (node < 0)
		die(argv[1]);
	if (ioctl(node, USBDEVFS_CLAIMINTERFACE, &interface))
		die("claim");
	for (i = 5; i < argc; i++) {
		if (argv[i][0] == '+')
			read_answer(in, (unsigned int)strtoul(argv[i] + 1, NULL, 10));
		else
			write_message(out, argv[i]);
	}
	return 0;
}
