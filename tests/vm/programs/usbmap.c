/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs in the guest: maps usbfs memory of a device, does a control transfer into it, leaves a mark that a test can look
 * for in the region, then holds the mapping until a line comes in on stdin. So tests can take the driver away meanwhile.
 */
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct usbdevfs_urb urb, *done;
	char line[8];
	uint8_t *map;
	int fd = argc > 2 ? open(argv[1], O_RDWR) : -1;

	if (fd < 0) {
		perror("usage: usbmap /dev/bus/usb/BUS/DEVICE MARK: open");
		return 2;
	}
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	memset(map, 0, 64);
	memcpy(map, "\x80\x06\x00\x01\x00\x00\x12\x00", 8);
	memset(&urb, 0, sizeof(urb));
	urb.type = USBDEVFS_URB_TYPE_CONTROL;
	urb.buffer = map;
	urb.buffer_length = 8 + 18;
	if (ioctl(fd, USBDEVFS_SUBMITURB, &urb) || ioctl(fd, USBDEVFS_REAPURB, &done)) {
		perror("control transfer");
		return 1;
	}
	snprintf((char *)map + 1024, 256, "%s", argv[2]);
	printf("descriptor %02x %02x\n", map[8], map[9]);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		line[0] = 0;
	/* The page must still be readable and writable, whoever owned it has gone. */
	map[0]++;
	printf("still mapped %02x\n", map[8]);
	fflush(stdout);
	munmap(map, 4096);
	close(fd);
	return 0;
}
