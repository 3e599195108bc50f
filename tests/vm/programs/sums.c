/* SPDX-License-Identifier: GPL-2.0-only */
/* Runs in the guest: asks a serial prompt for sums, compares each answer with its own, and reports the round trips. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PROMPT ">>> "
#define SILENCE_MS 10000
#define QUIET_MS 400

static char text[4096];
static size_t have;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void fail(const char *what)
{
	printf("sums: %s: %s\n", what, errno ? strerror(errno) : "no answer");
	exit(1);
}

static int open_raw(const char *path)
{
	struct termios t;
	int fd = open(path, O_RDWR | O_NOCTTY);

	if (fd < 0 || tcgetattr(fd, &t))
		fail(path);
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	if (tcsetattr(fd, TCSANOW, &t))
		fail("tcsetattr");
	return fd;
}

/* Reads until the prompt stands at the end. */
static void read_prompt(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t got;

	have = 0;
	for (;;) {
		text[have] = 0;
		if (have >= strlen(PROMPT) && !strcmp(text + have - strlen(PROMPT), PROMPT))
			return;
		errno = 0;
		if (poll(&p, 1, SILENCE_MS) != 1)
			fail("waiting for the prompt");
		got = read(fd, text + have, sizeof(text) - 1 - have);
		if (got <= 0)
			fail("read");
		have += (size_t)got;
	}
}

/* A fresh terminal is greeted with a banner and a prompt, an old one has a prompt already: what came before the first
 * question is read until nothing follows for a while, or each answer would be taken for the next one's. */
static void settle(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (write(fd, "\r", 1) != 1)
		fail("write");
	do
		read_prompt(fd);
	while (poll(&p, 1, QUIET_MS) == 1);
}

static void ask(int fd, const char *question)
{
	size_t length = strlen(question);

	if (write(fd, question, length) != (ssize_t)length)
		fail("write");
	read_prompt(fd);
}

/* The prompt echoes the question; the answer is the line after it. */
static long answer(void)
{
	char *line = strchr(text, '\n');

	return line ? strtol(line + 1, NULL, 10) : -1;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	unsigned int i, right = 0, count = argc > 2 ? (unsigned int)atoi(argv[2]) : 100;
	uint32_t *us = calloc(count + 1, sizeof(*us));
	char question[64];
	long a, b;
	uint64_t start;
	int fd;

	if (argc < 2 || !us) {
		printf("usage: sums TTY [COUNT]\n");
		return 2;
	}
	fd = open_raw(argv[1]);
	settle(fd);
	srandom(1);
	for (i = 0; i < count; i++) {
		a = random() % 1000000;
		b = random() % 1000000;
		snprintf(question, sizeof(question), "%ld+%ld\r", a, b);
		start = now_us();
		ask(fd, question);
		us[i] = (uint32_t)(now_us() - start);
		right += answer() == a + b;
	}
	qsort(us, count, sizeof(*us), by_value);
	printf("%u/%u sums right, one question and its answer: %u us median, %u us at worst\n", right, count,
	       us[count / 2], us[count - 1]);
	return right != count;
}
