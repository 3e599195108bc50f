/* SPDX-License-Identifier: GPL-2.0-only */
/* The whole core as one translation unit: what every build compiles. */
#include "layout.c"
#include "ring.c"
#include "msg.c"
#include "stats.c"
#include "safety.c"
#include "share.c"
#include "range.c"
#include "xfer.c"
#include "host.c"
#include "urb.c"
#include "guest.c"
