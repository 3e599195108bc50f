/* SPDX-License-Identifier: GPL-2.0-only */
/* Clock, pinning and order statistics for the benchmarks. */
#ifndef UW_MEASURE_H
#define UW_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t measure_now(void);
/* Binds the calling thread to one CPU; with a single CPU everything stays where it is. */
void measure_pin(unsigned int cpu);

/* Results of repeated runs of one case. */
struct measure_runs {
	double value[64];
	unsigned int count;
};

void measure_add(struct measure_runs *runs, double value);
double measure_median(const struct measure_runs *runs);
double measure_low(const struct measure_runs *runs);  /* least of all runs */
double measure_high(const struct measure_runs *runs); /* greatest */

/* The value below which permille of count samples lie; sorts them. */
uint32_t measure_percentile(uint32_t *samples, size_t count, unsigned int permille);

#endif
