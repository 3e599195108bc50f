/* SPDX-License-Identifier: GPL-2.0-only */
/* The control pipe's server: reads commands, checks who asks, answers in records. */
#ifndef UW_CTL_SERVER_H
#define UW_CTL_SERVER_H

#include "loop.h"
#include "outcome.h"

#define UW_CLIENTS_MAX 64u

struct uw_worker;
struct uw_client;

struct uw_server {
	struct uw_worker *worker;
	struct uw_list clients;        /* all, also the one that waits for a client */
	uint32_t count;                /* connected */
	struct uw_timer again;         /* to make an instance that could not be made */
	bool closed;
};

UW_MUST_CHECK bool uw_server_open(struct uw_server *server, struct uw_worker *worker);
/* Ends all connections; their memory goes when their last operation has come back. */
void uw_server_close(struct uw_server *server);
bool uw_server_idle(const struct uw_server *server);
/* The end of a command that had been put off. */
void uw_server_answer(struct uw_client *client, uint32_t id, const struct uw_outcome *outcome);
/* The same for a list. */
void uw_server_listed(struct uw_client *client, uint32_t id);

#endif
