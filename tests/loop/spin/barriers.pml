/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The barriers B and C of core/ring.c on x86-TSO: each side's stores go through a buffer that drains when it likes.
 *
 * A lost wake-up is a deadlock here: a side waits for a kick that nobody will send. With all four fences there is
 * none; with any one of them left out (-DNO_TX_KICK, -DNO_RX_SLEEP, -DNO_RX_TELL, -DNO_TX_WAIT) there is.
 * Tags are counted up and never wrap: the arithmetic is the unit tests' business, the order of accesses is this one's.
 */
#define MESSAGES 5
#define SLOTS 2
#define NOBODY 255

#ifdef NO_TX_KICK
#define FENCE_TX_KICK skip
#else
#define FENCE_TX_KICK FENCE(0)
#endif
#ifdef NO_RX_SLEEP
#define FENCE_RX_SLEEP skip
#else
#define FENCE_RX_SLEEP FENCE(1)
#endif
#ifdef NO_RX_TELL
#define FENCE_RX_TELL skip
#else
#define FENCE_RX_TELL FENCE(1)
#endif
#ifdef NO_TX_WAIT
#define FENCE_TX_WAIT skip
#else
#define FENCE_TX_WAIT FENCE(0)
#endif

mtype = { TAG, CONSUMED, WAKE, SPACE };

/* Shared memory: written by the buffers only. */
byte tag = 0, consumed = 0, wake = 0, space = NOBODY;
/* Kicks go through the kernel and are never lost; a second one before the first is heard adds nothing. */
bool kick_producer = false, kick_consumer = false;

/* Store buffers of producer and consumer. Neither loads what it stores, so no load looks into its own. */
chan buffer[2] = [3] of { mtype, byte };

#define STORE(side, what, value) buffer[side]!what, value
#define FENCE(side) (empty(buffer[side]))
#define PASSED(now, before, index) (index >= before && index < now)

active [2] proctype drain()
{
	byte value;

end:	do
	:: atomic { buffer[_pid]?TAG, value -> tag = value }
	:: atomic { buffer[_pid]?CONSUMED, value -> consumed = value }
	:: atomic { buffer[_pid]?WAKE, value -> wake = value }
	:: atomic { buffer[_pid]?SPACE, value -> space = value }
	od
}

active proctype producer()
{
	byte head = 0, told = 0, before, peer = 0, last, seen;

	do
	:: head == MESSAGES -> break
	:: else ->
		do /* uw_tx_put, as often as there is room and it likes */
		:: head < MESSAGES && head - peer < SLOTS -> STORE(0, TAG, head + 1); head++
		:: head != told -> break
		:: head - peer == SLOTS -> break
		od;
		if /* uw_tx_kick */
		:: head != told ->
			before = told;
			told = head;
			FENCE_TX_KICK;
			seen = wake;
			if
			:: PASSED(head, before, seen) -> kick_consumer = true
			:: else
			fi
		:: else
		fi;
		if /* uw_tx_wait */
		:: head < MESSAGES && head - peer == SLOTS ->
			do
			:: last = peer;
				STORE(0, SPACE, last);
				FENCE_TX_WAIT;
				peer = consumed;
				if
				:: peer == last -> break
				:: else
				fi
			od;
			if
			:: head - peer == SLOTS -> atomic { kick_producer -> kick_producer = false }
			:: else
			fi
		:: else
		fi
	od
}

active proctype consumer()
{
	byte pos = 0, told = 0, before, seen;

	do
	:: pos == MESSAGES -> break
	:: else ->
		do /* uw_rx_get, a batch of any size */
		:: atomic { tag > pos -> pos++ }
		:: break
		od;
		if /* uw_rx_tell */
		:: pos != told ->
			before = told;
			told = pos;
			STORE(1, CONSUMED, pos);
			FENCE_RX_TELL;
			seen = space;
			if
			:: PASSED(pos, before, seen) -> kick_producer = true
			:: else
			fi
		:: else
		fi;
		if /* uw_rx_sleep */
		:: pos < MESSAGES ->
			STORE(1, WAKE, pos);
			FENCE_RX_SLEEP;
			seen = tag;
			if
			:: seen == pos -> atomic { kick_consumer -> kick_consumer = false }
			:: else
			fi
		:: else
		fi
	od
}
