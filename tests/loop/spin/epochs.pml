/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Barrier D of core/ring.c: a guest at work in an epoch that the host is ending never calls the host a liar.
 *
 * The host only stores and the guest only loads here, so the orders of x86-TSO and of the lettered fences elsewhere
 * are those of this model. What it shows is that the order of the words itself is right, and that no other will do:
 * -DREADY_FIRST (state before epoch), -DEPOCH_READ_FIRST (the guest looks at them the other way round),
 * -DNO_RESETTING (cleared without notice).
 */
#define EPOCHS 4
#define CLEARING 0

mtype = { RESETTING, READY };

mtype state = READY;
byte epoch = 1;
byte ring = 1; /* the epoch whose positions the ring and the hot line fit, or CLEARING */

active proctype host()
{
	byte next = 2;

	do
	:: next > EPOCHS -> break
	:: else ->
#ifndef NO_RESETTING
		state = RESETTING;
#endif
		ring = CLEARING;
		ring = next;
#ifdef READY_FIRST
		state = READY;
		epoch = next;
#else
		epoch = next;
		state = READY;
#endif
		next++
	od
}

active proctype guest()
{
	byte own = 1, seen, e;
	mtype s;

	do
	:: own == EPOCHS -> break
	:: else ->
		/* follow_host: epoch, then state */
		e = epoch;
		s = state;
		if
		:: e != own && s == READY -> own = e
		:: else
		fi;
		/* read_answers, and what uw_guest_fault does about a slot that does not fit */
		seen = ring;
		if
		:: seen != own ->
#ifdef EPOCH_READ_FIRST
			e = epoch;
			s = state;
#else
			s = state;
			e = epoch;
#endif
			assert(s != READY || e != own)
		:: else
		fi
	od
}
