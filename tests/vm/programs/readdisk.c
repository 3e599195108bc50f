/* SPDX-License-Identifier: GPL-2.0-only */
/* Runs in the guest: reads a block device past the page cache and says how fast. readdisk DEVICE SIZE COUNT */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned int i, count = argc > 3 ? (unsigned int)atoi(argv[3]) : 0;
	int fd = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
	void *buffer;
	double start;

	if (fd < 0 || !size || posix_memalign(&buffer, 4096, size)) {
		perror("usage: readdisk DEVICE SIZE COUNT");
		return 2;
	}
	start = now();
	for (i = 0; i < count; i++) {
		if (read(fd, buffer, size) != (ssize_t)size) {
			perror("read");
			return 1;
		}
	}
	printf("%u reads of %zu bytes: %.1f MB/s\n", count, size, (double)count * (double)size / 1e6 / (now() - start));
	return 0;
}
