/* SPDX-License-Identifier: GPL-2.0-only */
/* One command to the daemon and all records of its answer. */
#ifndef UW_CLIENT_H
#define UW_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "usbwarp/ctl.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian systems need conversions of ctl.h's integers");

/* Exit codes of the program: usbwarp(1). */
enum uw_exit { UW_EXIT_OK = 0, UW_EXIT_REFUSED = 1, UW_EXIT_USAGE = 2, UW_EXIT_UNREACHABLE = 3, UW_EXIT_PROTOCOL = 4 };

struct uw_answer_record {
	uint16_t type;         /* enum uw_ctl_type */
	union {
		uint8_t body[UW_CTL_BODY_MAX];
		struct uw_ctl_end end;
		struct uw_ctl_daemon daemon;
		struct uw_ctl_device device;
		struct uw_ctl_vm vm;
		struct uw_ctl_port port;
		struct uw_ctl_counter counter;
		struct uw_ctl_values values;
	} u;
};

struct uw_reply {
	int code;              /* enum uw_exit */
	uint16_t status;       /* enum uw_ctl_status */
	char text[UW_CTL_TEXT]; /* the daemon's, or our own about the connection */
	struct uw_answer_record *records; /* without the end */
	uint32_t count;
};

/* Connects on the first call; where as for uw_transport_open. The reply is to be freed whatever its code. */
void uw_client_ask(const char *where, uint16_t type, const void *body, uint32_t length, struct uw_reply *reply);
/* The command alone, for an answer that is a stream; false: the reply, all zero before, says why. */
bool uw_client_send(const char *where, uint16_t type, const void *body, uint32_t length, struct uw_reply *reply);
void uw_client_free(struct uw_reply *reply);

/* The word for a status, as --json prints it. */
const char *uw_client_status(uint16_t status);

#endif
