/* SPDX-License-Identifier: GPL-2.0-only */
/* Answers on the screen: tables for people, or JSON. */
#ifndef UW_SHOW_H
#define UW_SHOW_H

#include "client.h"

void uw_show_list(const struct uw_reply *reply, bool json);
void uw_show_status(const struct uw_reply *reply, bool json);

struct uw_show_stats {
	bool json;
	bool all;              /* counters that are 0, too */
	const struct uw_reply *former; /* to tell what came since, or NULL */
	double seconds;        /* since former */
};
void uw_show_stats(const struct uw_reply *reply, const struct uw_show_stats *how);

/* The outcome of a command that has no records. */
void uw_show_outcome(const struct uw_reply *reply, bool json);
void uw_show_version(const struct uw_reply *reply, bool json);

#endif
