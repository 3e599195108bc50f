/* SPDX-License-Identifier: GPL-2.0-only */
/* Between guest.c, guestmsg.c and urb.c: the URB path, and messages. */
#ifndef UW_URB_H
#define UW_URB_H

#include "guest.h"

static inline uint64_t uw_guest_port_bit(uint32_t port) { return 1ull << port; }

void uw_urb_init(struct uw_guest *g);
/* Takes a free entry of the transfer table; false: none. *id is the new id. */
UW_MUST_CHECK bool uw_entry_get(struct uw_guest *g, struct uw_urb *urb, uint32_t *id);
void uw_entry_put(struct uw_guest *g, uint32_t id);
/* The answer to a flying URB. False: the answer is impossible. */
UW_MUST_CHECK bool uw_urb_answer(struct uw_guest *g, const struct uw_answer *a);
/* Lets go what waits, as far as space, entries and ring room allow. */
void uw_urb_pump(struct uw_guest *g);
/* Every URB ends with this status: no answer will come. */
void uw_urb_fail_all(struct uw_guest *g, enum uw_status status);
/* Writes a message; needs room. */
void uw_guest_put(struct uw_guest *g, const struct uw_ask *a);
/* Room for a submission; for what may use the reserve, reserve is 0. */
UW_MUST_CHECK bool uw_guest_room(struct uw_guest *g, uint32_t reserve);
/* The features this guest asks for: what it knows of what is offered. */
uint64_t uw_guest_wanted(const struct uw_guest *g);
/* Reads at most budget completions and takes them in. Returns the number read. */
uint32_t uw_guest_read(struct uw_guest *g, uint32_t budget);
/* Writes what waits for room: cancels, acknowledgements, requests, URBs, bye. */
void uw_guest_put_waiting(struct uw_guest *g);
/* The host broke this epoch, or has ended it: asks for a new one if need be. True: it was broken. */
bool uw_guest_fault(struct uw_guest *g);

#endif
