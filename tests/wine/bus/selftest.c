/* SPDX-License-Identifier: GPL-2.0-only */
/* The bus against itself: good and bad URBs. */
#include "bus.h"

void uw_selftest(struct uwb_selftest *result) { uw_zero(result, sizeof(*result)); }
