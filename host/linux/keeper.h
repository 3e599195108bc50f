/* SPDX-License-Identifier: GPL-2.0-only */
/* The process that outlives crashes: it owns what must not be lost, starts workers, and reads no byte of a guest. */
#ifndef UW_KEEPER_H
#define UW_KEEPER_H

#include "config.h"

/* Serves until told to stop. The exit code of the program. */
int uw_keeper_run(struct uw_config *config);

#endif
