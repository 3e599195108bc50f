/* SPDX-License-Identifier: GPL-2.0-only */
/* What keeper and worker know of each other: what a worker starts with, and the messages between the two. */
#ifndef UW_START_H
#define UW_START_H

#include <sys/types.h>

#include "binding.h"
#include "region.h"

/* All that a worker is given. It lives in memory that fork has copied. */
struct uw_start {
	const struct uw_config *config;
	const struct uw_region *regions; /* config->vms of them */
	const bool *present;   /* is a QEMU connected? As many. */
	const struct uw_bindings *bindings; /* the former worker's, or those of the start */
	uint32_t restarts;
	pid_t keeper;
	uid_t uid;             /* who may use the control socket, besides root */
	gid_t gid;             /* and the group; (gid_t)-1: none */
	uid_t drop_uid;        /* to become; (uid_t)-1: stay as we are */
	gid_t drop_gid;
	int control;           /* listening socket */
	int words;             /* SOCK_SEQPACKET to the keeper: struct uw_word each */
	int opener;            /* SOCK_SEQPACKET to the keeper: struct uw_open_ask, answered by struct uw_open_answer */
};

enum uw_word_kind {
	UW_WORD_READY,         /* worker: it serves; no body */
	UW_WORD_BINDINGS,      /* worker: its table of bindings, as the body: struct uw_binding each */
	UW_WORD_LINK,          /* keeper: QEMU came or went */
	UW_WORD_STOP,          /* keeper: end in good order */
};

struct uw_word {
	uint32_t kind;
	uint32_t vm;           /* of LINK: index */
	uint32_t present;      /* of LINK */
	uint32_t bytes;        /* of what follows */
};

/* What of a USB device the worker may not open itself. */
enum uw_open_what {
	UW_OPEN_NODE,
	UW_OPEN_POWER,         /* its power/control, which is "on" again after the worker's end, if it was */
	UW_OPEN_POWER_BACK,    /* the worker has put power/control right itself; no descriptor */
};

struct uw_open_ask {
	uint32_t what;
	uint32_t bus, device;
};

struct uw_open_answer {
	int32_t error;         /* errno, or 0: the descriptor comes with it, if there is one */
};

#endif
