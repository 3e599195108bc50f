/* SPDX-License-Identifier: GPL-2.0-only */
/* Windows tells when USB devices come and go. */
#ifndef UW_NOTIFY_H
#define UW_NOTIFY_H

#include "loop.h"

struct uw_notify {
	struct uw_loop *loop;
	struct uw_op op;
	LONG posted;
	HANDLE handle;
	void (*arrived)(struct uw_notify *notify); /* in the loop; once for what came together */
};

/* arrived has been set. False: this Windows does not tell. */
UW_MUST_CHECK bool uw_notify_open(struct uw_notify *n, struct uw_loop *loop);
void uw_notify_close(struct uw_notify *n);

#endif
