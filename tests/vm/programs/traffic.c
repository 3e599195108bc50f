/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Uses every disk and serial prompt that there is, until a file appears, and checks every byte: traffic FILE
 *
 * A disk's blocks say which disk and which block they are, and how often they were written; so a byte of another disk,
 * of another place or of another time is noticed. A prompt is asked for sums. What vanishes in the middle is fine.
 * Prints what was done, and ends with 1 after the first thing that was wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 512
#define BLOCKS 2048              /* of each disk, the ones that are used */
#define MAGIC 0x74617277u

struct stamp {
	uint32_t magic, disk, block, round;
};

static unsigned long reads, writes, sums, visits;

static int wrong(const char *what, unsigned a, unsigned b)
{
	printf("WRONG: %s: %u, expected %u\n", what, a, b);
	exit(1);
}

static int stopped(const char *file)
{
	return access(file, F_OK) == 0;
}

/* -1: the disk has gone. */
static int get(int fd, uint32_t block, struct stamp *s, char *buffer)
{
	uint32_t i;

	if (pread(fd, buffer, BLOCK, (off_t)block * BLOCK) != BLOCK)
		return -1;
	memcpy(s, buffer, sizeof(*s));
	for (i = 1; i < BLOCK / sizeof(*s); i++)
		if (memcmp(buffer + i * sizeof(*s), s, sizeof(*s)))
			wrong("a block that is not of one piece, at stamp", i, 0);
	return 0;
}

static int put(int fd, const struct stamp *s, char *buffer)
{
	uint32_t i;

	for (i = 0; i < BLOCK / sizeof(*s); i++)
		memcpy(buffer + i * sizeof(*s), s, sizeof(*s));
	return pwrite(fd, buffer, BLOCK, (off_t)s->block * BLOCK) == BLOCK ? 0 : -1;
}

static int step(int fd, uint32_t disk, char *buffer)
{
	uint32_t block = (uint32_t)rand() % BLOCKS;
	struct stamp s, back;

	if (get(fd, block, &s, buffer))
		return -1;
	reads++;
	if (s.magic != MAGIC || s.disk != disk)
		wrong("disk", s.disk, disk);
	if (s.block != block)
		wrong("block", s.block, block);
	s.round++;
	if (put(fd, &s, buffer))
		return -1;
	writes++;
	if (get(fd, block, &back, buffer))
		return -1;
	if (memcmp(&s, &back, sizeof(s)))
		wrong("round", back.round, s.round);
	return 0;
}

static void use_disk(const char *path, const char *stop)
{
	char *buffer = aligned_alloc(4096, 4096);
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC), i;
	struct stamp first;

	if (fd >= 0 && !get(fd, 0, &first, buffer)) {
		visits++;
		for (i = 0; i < 20 && !stopped(stop); i++)
			if (step(fd, first.disk, buffer))
				break;
	}
	if (fd >= 0)
		close(fd);
	free(buffer);
}

/* What comes until the prompt; -1: the port has gone, or has nothing to say for a while. */
static int hear(int fd, char *text, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	ssize_t n;

	while (poll(&p, 1, 3000) > 0 && used < size - 1) {
		n = read(fd, text + used, size - 1 - used);
		if (n <= 0)
			return -1;
		used += (size_t)n;
		text[used] = 0;
		if (used >= 4 && !strcmp(text + used - 4, ">>> "))
			return 0;
	}
	return -1;
}

static int ask(int fd)
{
	unsigned a = (unsigned)rand() % 10000, b = (unsigned)rand() % 10000;
	char text[512], want[64];
	int n = snprintf(text, sizeof(text), "%u+%u\r", a, b);

	if (write(fd, text, (size_t)n) != n || hear(fd, text, sizeof(text)))
		return -1;
	snprintf(want, sizeof(want), "\r\n%u\r\n>>> ", a + b);
	if (!strstr(text, want)) {
		printf("%s\n", text);
		wrong("sum", a, b);
	}
	sums++;
	return 0;
}

/*
 * Until it has been quiet for a while. A port that is just opened echoes, before it can be told not to: then the prompt
 * has got some of its own banner to read, and the end of a line makes it forget that.
 */
static int begin(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[512];

	if (hear(fd, text, sizeof(text)) || write(fd, "\r", 1) != 1)
		return -1;
	while (poll(&p, 1, 500) > 0)
		if (read(fd, text, sizeof(text)) <= 0)
			return -1;
	return 0;
}

static void use_prompt(const char *path, const char *stop)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC), i;
	struct termios t;

	if (fd < 0 || tcgetattr(fd, &t)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	cfmakeraw(&t);
	tcsetattr(fd, TCSANOW, &t);
	if (!begin(fd)) {
		visits++;
		for (i = 0; i < 10 && !stopped(stop); i++)
			if (ask(fd))
				break;
	}
	tcflush(fd, TCIOFLUSH);
	close(fd);
}

int main(int argc, char **argv)
{
	char path[32];
	int i;

	if (argc != 2)
		return 2;
	srand((unsigned)time(NULL));
	setvbuf(stdout, NULL, _IONBF, 0);
	while (!stopped(argv[1])) {
		for (i = 0; i < 8 && !stopped(argv[1]); i++) {
			snprintf(path, sizeof(path), "/dev/sd%c", 'a' + i);
			use_disk(path, argv[1]);
			snprintf(path, sizeof(path), "/dev/ttyACM%d", i);
			use_prompt(path, argv[1]);
		}
		usleep(10000);
	}
	printf("done: %lu reads, %lu writes, %lu sums, %lu visits\n", reads, writes, sums, visits);
	return 0;
}
