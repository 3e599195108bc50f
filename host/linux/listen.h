/* SPDX-License-Identifier: GPL-2.0-only */
/* Unix sockets to listen on: a path is served by one daemon, and what a dead one left behind is cleared away. */
#ifndef UW_LISTEN_H
#define UW_LISTEN_H

#include "base.h"

struct uw_listener {
	int fd;                /* -1: closed */
	const char *path;      /* kept by reference; NULL when the socket came from the service manager */
	int lock;
};

/* Listens on path; group may connect, when given. false: why is logged. */
UW_MUST_CHECK bool uw_listen(struct uw_listener *l, const char *path, const char *group);
/* Takes over a socket that listens already. */
void uw_listen_given(struct uw_listener *l, int fd);
/* Stops, and removes what uw_listen made. */
void uw_listen_close(struct uw_listener *l);

/* Makes sure that the directory of the default sockets exists and belongs to this user alone. */
UW_MUST_CHECK bool uw_listen_directory(const char *path);

#endif
