/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A server's side of one conversation in the format of usbwarp/ctl.h, over any stream: what of it is the same for the
 * daemon's socket and the service's pipe. The stream's owner fills in, empties out, and calls uw_talk_take while a
 * message may be taken: while no answer is due (waiting) or on its way (out_bytes).
 */
#ifndef UW_TALK_H
#define UW_TALK_H

#include "base.h"
#include "usbwarp/ctl.h"

struct uw_client; /* each server's own */

struct uw_talk {
	const char *server;    /* the program, for people */
	uint32_t id;           /* of the command under way */
	uint32_t have;         /* bytes of in */
	bool waiting;          /* the answer comes later */
	bool closing;          /* once the answer has gone out */
	bool failed;           /* no memory for an answer: the connection is to be dropped */
	uint8_t *out;
	size_t out_bytes, out_sent, out_room;
	struct {
		struct uw_ctl_header header;
		uint8_t body[UW_CTL_BODY_MAX];
	} in;
};

struct uw_talk_command {
	void (*run)(struct uw_client *client); /* the body is whole and of this length, and not judged */
	uint32_t length;       /* bytes of the body */
};

/* Runs the first message of in, if it is there whole. False: there is none, or closing has been set. */
UW_MUST_CHECK bool uw_talk_take(struct uw_talk *t, const struct uw_talk_command *commands, uint32_t count,
				struct uw_client *client);

/* Records of the answer; what does not fit into memory sets failed. */
void uw_talk_put(struct uw_talk *t, uint16_t type, const void *body, uint32_t bytes);
#define UW_TALK_PUT(talk, type, record) uw_talk_put(talk, type, &(record), sizeof(record))
/* Of a stream of records: can so many bytes, headers included, be put and a few records after them? Forgets what was sent. */
UW_MUST_CHECK bool uw_talk_room(struct uw_talk *t, size_t bytes);
/* What each counter is called, before its values. */
void uw_talk_put_counters(struct uw_talk *t);
void uw_talk_end(struct uw_talk *t, uint16_t status, const char *text);
void uw_talk_malformed(struct uw_talk *t);
/* The answer has gone out, or nobody wants it. */
void uw_talk_clear(struct uw_talk *t);

/* A name from outside: graphic ASCII, ends inside its field, with nothing behind its end. */
UW_MUST_CHECK bool uw_talk_is_name(const uint8_t field[UW_CTL_NAME], bool may_be_empty);
UW_MUST_CHECK bool uw_talk_is_zero(const uint8_t *bytes, size_t count);

#endif
