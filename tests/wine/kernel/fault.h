/* SPDX-License-Identifier: GPL-2.0-only */
/* Planned failures: the n-th failable call fails, counted over all kinds that are chosen. */
#ifndef UWLAB_FAULT_H
#define UWLAB_FAULT_H

#include "lab.h"

struct lab_fault_plan {
	uint32_t kinds;            /* a bit for each enum lab_fail */
	uint32_t nth;              /* this one fails, counted from 1; 0: none */
	uint32_t every;            /* and each one after so many more; 0: no other */
	char module[32];           /* calls from this driver alone; empty: from all */
};

bool lab_fault(struct lab_call *call, const void *caller);
void lab_fault_set(const struct lab_fault_plan *plan);
uint32_t lab_fault_count(uint32_t *failed);     /* failable calls since the plan was set */
uint32_t lab_fault_kind(const char *word);      /* bits of "pool", "all", ... */

#endif
