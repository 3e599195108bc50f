/* SPDX-License-Identifier: GPL-2.0-only */
/* The control socket's server: checks who asks, reads commands, answers in records. */
#ifndef UW_CTL_SERVER_H
#define UW_CTL_SERVER_H

#include "dev.h"

#define UW_CLIENTS_MAX 64u

struct uw_worker;

struct uw_server {
	struct uw_worker *worker;
	struct uw_source door;
	struct uw_list clients;
	uint32_t count;
};

UW_MUST_CHECK bool uw_server_open(struct uw_server *server, struct uw_worker *worker);
void uw_server_close(struct uw_server *server);
/* The end of a command that had been put off. */
void uw_server_answer(struct uw_client *client, uint32_t id, const struct uw_outcome *outcome);

#endif
