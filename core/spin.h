/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether to poll a little before sleeping: learnt from whether it paid. */
#ifndef UW_SPIN_H
#define UW_SPIN_H

#include "base.h"

/*
 * A wake-up through an interrupt or a system call takes tens of microseconds, an answer often only a few. But a
 * device that answers in milliseconds, or never, makes polling a waste. So each poll in vain doubles the number of
 * chances that are let pass, up to UW_SPIN_SKIP, and one that paid sets it back to none.
 */
#define UW_SPIN_SKIP 1024u

struct uw_spin {
	uint32_t skip;         /* chances to let pass */
	uint32_t penalty;      /* what skip becomes after the next poll in vain */
};

UW_MUST_CHECK static inline bool uw_spin_begin(struct uw_spin *s)
{
	if (!s->skip)
		return true;
	s->skip--;
	return false;
}

static inline void uw_spin_end(struct uw_spin *s, bool paid)
{
	s->penalty = paid ? 0 : uw_min(s->penalty * 2 + 1, UW_SPIN_SKIP);
	s->skip = s->penalty;
}

#endif
