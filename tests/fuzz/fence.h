/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory between two pages that nobody may touch, so that one byte too many ends the test. */
#ifndef UW_FENCE_H
#define UW_FENCE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base.h"

static inline void *fence_must(void *p)
{
	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

/* Ends exactly at the upper fence, as far as alignment allows. Given back by the end of the process. */
static inline void *fence_alloc(size_t bytes)
{
	size_t room = (bytes + UW_PAGE - 1) / UW_PAGE * UW_PAGE;
	uint8_t *at = fence_must(mmap(NULL, room + 2 * UW_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	fence_must(mmap(at + UW_PAGE, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	return at + UW_PAGE + ((room - bytes) & ~(size_t)15);
}

/* A view of a shared file between fences. */
static inline uint8_t *fence_view(int fd, size_t bytes)
{
	uint8_t *at = fence_must(mmap(NULL, bytes + 2 * UW_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	return fence_must(mmap(at + UW_PAGE, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
}

static inline int fence_file(size_t bytes)
{
	int fd = memfd_create("region", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes)) {
		perror("memfd");
		exit(2);
	}
	return fd;
}

/* From here on whoever writes there through this view ends the test. */
static inline void fence_read_only(uint8_t *at, size_t bytes)
{
	if (mprotect(at, bytes, PROT_READ)) {
		perror("mprotect");
		exit(2);
	}
}

#endif
