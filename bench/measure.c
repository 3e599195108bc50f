/* SPDX-License-Identifier: GPL-2.0-only */
/* Clock, pinning and order statistics for the benchmarks. */
#define _GNU_SOURCE
#include "measure.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t measure_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void measure_pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void measure_add(struct measure_runs *runs, double value)
{
	if (runs->count < sizeof(runs->value) / sizeof(runs->value[0]))
		runs->value[runs->count++] = value;
}

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double order(const struct measure_runs *runs, unsigned int at)
{
	struct measure_runs sorted = *runs;

	if (!runs->count)
		return 0;
	qsort(sorted.value, sorted.count, sizeof(sorted.value[0]), by_double);
	return sorted.value[at];
}

double measure_median(const struct measure_runs *runs)
{
	return order(runs, runs->count / 2);
}

double measure_low(const struct measure_runs *runs)
{
	return order(runs, 0);
}

double measure_high(const struct measure_runs *runs)
{
	return order(runs, runs->count ? runs->count - 1 : 0);
}

static int by_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

uint32_t measure_percentile(uint32_t *samples, size_t count, unsigned int permille)
{
	if (!count)
		return 0;
	qsort(samples, count, sizeof(*samples), by_u32);
	return samples[(count - 1) * permille / 1000];
}
