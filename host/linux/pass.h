/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages between processes with a file descriptor beside them: unix(7), SCM_RIGHTS. */
#ifndef UW_PASS_H
#define UW_PASS_H

#include "base.h"

/* fd: -1 for none. False with errno, also when not all bytes went. Never waits, never raises SIGPIPE. */
UW_MUST_CHECK bool uw_pass_send(int to, const void *bytes, size_t count, int fd);
/* Waits for a message of exactly count bytes. *fd: what came beside it, or -1. */
UW_MUST_CHECK bool uw_pass_receive(int from, void *bytes, size_t count, int *fd);

#endif
