/* SPDX-License-Identifier: GPL-2.0-only */
/* uwpeer.sys: its own structures. */
#ifndef UW_SCRIPT_H
#define UW_SCRIPT_H

#include "layout.h"
#include "peer.h"

#include "uwpeer.h"

/* One scripted device, with its devnode. */
struct script {
	DEVICE_OBJECT *self, *lower;
	UNICODE_STRING link;
	FILE_OBJECT *owner;      /* of the connection; NULL: none */
	struct uw_peer peer;
	struct uw_layout layout; /* of the region, as published when the device was opened */

	KSPIN_LOCK lock;         /* guards the rest */
	struct uw_list idle;
	uint32_t idle_count;
	bool open;
	volatile LONG violations;
	uint32_t writes;
	uint32_t low[UWP_WRITES], high[UWP_WRITES];
};

/* script.c */
void uwp_init(struct script *s, uint32_t number);
NTSTATUS uwp_connect(struct script *s, FILE_OBJECT *file, struct uw_peer_connect *c);
void uwp_disconnect(struct script *s, const FILE_OBJECT *file);
/* Adds to what the state tells already. */
void uwp_look(struct script *s, struct uwp_state *state);
/* When the oldest idle transfer came; UW_NEVER: there is none. */
uint64_t uwp_oldest(struct script *s);
/* False: it has been cancelled meanwhile. */
bool uwp_complete(struct script *s, uint32_t status, uint32_t actual);

#endif
