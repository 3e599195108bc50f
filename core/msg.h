/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages in native form, and the one place that turns slots into them: a decoded message is valid, or says why not. */
#ifndef UW_MSG_H
#define UW_MSG_H

#include "layout.h"

/* A submission: guest to host. Field meanings, units and ranges as in proto.h. */
struct uw_ask {
	uint32_t id;
	uint8_t type;                  /* enum uw_sub */
	uint8_t flags;
	uint8_t port;                  /* of submit, port, streams, event ack */
	union {
		struct {
			uint64_t features;
			uint32_t incarnation;
			uint16_t version_min, version_max;
			char name[UW_NAME + 1];
		} hello;
		struct {
			uint32_t data, length, table;
			uint16_t packets, stream, interval;
			uint8_t endpoint, transfer;
			uint8_t setup[8];
		} submit;
		struct {
			uint16_t streams;
			uint8_t count;
			uint8_t endpoint[UW_STREAM_ENDPOINTS];
		} streams;
		uint8_t request;       /* enum uw_request */
		uint32_t seq;
		uint16_t first;
	} u;
};

/* A completion: host to guest. */
struct uw_answer {
	uint32_t id;
	uint8_t type;                  /* enum uw_comp */
	uint8_t port;                  /* of event */
	union {
		struct {
			uint64_t features;
			uint32_t epoch;
			uint16_t version, status;
			char name[UW_NAME + 1];
		} welcome;
		struct {
			uint32_t actual, errors;
			uint16_t status, why;
		} complete;
		struct {
			uint32_t seq;
			uint16_t changes;
			uint8_t speed;
		} event;
		struct {
			uint64_t value[UW_STATS_PER_MESSAGE];
			uint16_t first, count, total;
		} stats;
	} u;
};

/* What each endpoint sender adds to a message: its epoch, and how far it has read the other ring. */
void uw_msg_stamp(struct uw_slot *slot, uint32_t epoch, uint32_t consumed);

/* Fill the slot but for the stamp and the tag. */
void uw_ask_encode(const struct uw_ask *a, struct uw_slot *slot);
void uw_answer_encode(const struct uw_answer *a, struct uw_slot *slot);

/*
 * Check a private copy of a slot against format and layout, and decode it. On any result but UW_WHY_NONE only type
 * and id of a are set. Checks run in the order of enum uw_why, but for the packets of an isochronous table and the
 * state of the session, which are the host's.
 */
UW_MUST_CHECK enum uw_why uw_ask_decode(const struct uw_slot *slot, const struct uw_layout *l, struct uw_ask *a);
/* False: not a completion that a host may send. */
UW_MUST_CHECK bool uw_answer_decode(const struct uw_slot *slot, const struct uw_layout *l, struct uw_answer *a);

/* Does a submission of this type get an answer that carries its id? */
static inline bool uw_ask_answered(uint8_t type)
{
	return type != UW_SUB_CANCEL && type != UW_SUB_EVENT_ACK;
}

#endif
