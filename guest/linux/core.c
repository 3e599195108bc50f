// SPDX-License-Identifier: GPL-2.0-only
/* The portable core as part of the module. */
#include "../../core/core.c"
