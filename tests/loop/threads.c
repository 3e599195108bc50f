/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two real threads on the rings and on a whole session: no wake-up is lost, no message torn, nobody called a liar.
 *
 * A sleeper is a thread that waits for a flag. A wake-up is lost when the peer has made up its mind about a kick for
 * what the sleeper waits for, and the flag is down: that is a fact, however long either thread was held up, so
 * nothing here is measured in time. "--without FENCE" leaves a fence out, to see whether this machine shows the loss.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

static unsigned left_out; /* fences, one bit each */
static const char *const fences[] = { "uw_tx_kick", "uw_rx_sleep", "uw_rx_tell", "uw_tx_wait", "publish", "host_left" };

static void test_fence(const char *who)
{
	unsigned i;

	for (i = 0; left_out && i < UW_COUNT_OF(fences); i++)
		if ((left_out >> i & 1) && !strcmp(who, fences[i])) {
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			return;
		}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#define uw_fence() test_fence(__func__)
#include "core.c"

/* ---- what both tests sleep on ---- */

struct bell {
	_Alignas(64) uint32_t rung;
	_Alignas(64) uint32_t decided; /* position up to which the peer has decided whether to ring */
	_Alignas(64) uint64_t sleeps;
	uint64_t lost;
};

static bool in_kernel; /* sleep in the kernel, not in a loop: rarer, and the real thing */

static void ring_bell(struct bell *b)
{
	__atomic_store_n(&b->rung, 1, __ATOMIC_SEQ_CST);
	if (in_kernel)
		syscall(SYS_futex, &b->rung, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Time only lets the sleeper look whether its peer has decided; it judges nothing. */
static void doze(struct bell *b, uint32_t spins)
{
	const struct timespec a_while = { 0, 1000000 };

	if (in_kernel)
		syscall(SYS_futex, &b->rung, FUTEX_WAIT_PRIVATE, 0, &a_while, NULL, 0);
	else if (spins % 1024 == 0)
		sched_yield();
}

/* What happened before the last ring is seen by whatever follows. */
static void answer_bell(struct bell *b)
{
	(void)__atomic_exchange_n(&b->rung, 0, __ATOMIC_SEQ_CST);
}

static void decide(struct bell *b, uint32_t position)
{
	__atomic_store_n(&b->decided, position, __ATOMIC_SEQ_CST);
}

/* Sleeps until rung. Gives up when the peer decided not to ring though it has gone beyond position. */
static void sleep_on(struct bell *b, uint32_t position)
{
	uint32_t spins = 0;

	b->sleeps++;
	while (!__atomic_load_n(&b->rung, __ATOMIC_SEQ_CST)) {
		if (uw_ahead(__atomic_load_n(&b->decided, __ATOMIC_SEQ_CST), position) > 0 &&
		    !__atomic_load_n(&b->rung, __ATOMIC_SEQ_CST)) {
			b->lost++;
			break;
		}
		doze(b, ++spins);
	}
	answer_bell(b);
}

/* A moment of random length, so that the threads meet at every point of their ways. */
static void dawdle(uint64_t *seed)
{
	volatile uint32_t n;

	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	for (n = (uint32_t)(*seed >> 58); n; n--)
		;
}

/* ---- one ring ---- */

#define RING 16u

static struct {
	struct uw_slot slots[RING];
	_Alignas(64) struct uw_hot producer_page;
	_Alignas(64) struct uw_hot consumer_page;
	struct bell consumer, producer;
	uint32_t start;
	uint64_t messages, torn;
	uint64_t lies_seen[2]; /* by the producer, by the consumer */
} ring; /* zeroed for each run */

static void *produce(void *unused)
{
	struct uw_slot m;
	struct uw_tx tx;
	uint64_t i, seed = 1, batch;

	(void)unused;
	memset(&m, 0, sizeof(m));
	uw_tx_init(&tx, ring.slots, RING, ring.start, &ring.producer_page, &ring.consumer_page);
	for (i = 0; i < ring.messages;) {
		dawdle(&seed);
		for (batch = 1 + (seed >> 40) % 4; batch && i < ring.messages && uw_tx_room(&tx); batch--, i++) {
			m.epoch = 5;
			m.id = (uint32_t)i;
			memset(m.u.body, (int)i, sizeof(m.u.body));
			uw_tx_put(&tx, &m);
		}
		if (uw_tx_kick(&tx))
			ring_bell(&ring.consumer);
		decide(&ring.consumer, tx.head);
		ring.lies_seen[0] += !uw_tx_look(&tx);
		if (uw_tx_room(&tx))
			continue;
		ring.lies_seen[0] += !uw_tx_wait(&tx);
		if (!uw_tx_room(&tx))
			sleep_on(&ring.producer, tx.peer);
	}
	return NULL;
}

static bool whole(const struct uw_slot *m, uint64_t i)
{
	uint32_t at, wrong = m->id != (uint32_t)i;

	for (at = 0; at < sizeof(m->u.body); at++)
		wrong |= m->u.body[at] != (uint8_t)i;
	return !wrong;
}

static void *consume(void *unused)
{
	enum uw_rx_result result = UW_RX_EMPTY;
	struct uw_slot m;
	struct uw_rx rx;
	uint64_t i = 0, seed = 2, batch;

	(void)unused;
	uw_rx_init(&rx, ring.slots, RING, ring.start, 5, &ring.consumer_page, &ring.producer_page);
	while (i < ring.messages) {
		dawdle(&seed);
		for (batch = 1 + (seed >> 40) % 8; batch; batch--) {
			result = uw_rx_get(&rx, &m);
			if (result != UW_RX_MESSAGE)
				break;
			ring.torn += !whole(&m, i++);
		}
		ring.lies_seen[1] += result == UW_RX_BAD;
		if (uw_rx_tell(&rx))
			ring_bell(&ring.producer);
		decide(&ring.producer, rx.told);
		if (i < ring.messages && uw_rx_sleep(&rx))
			sleep_on(&ring.consumer, rx.pos);
	}
	return NULL;
}

static int run_ring(uint64_t messages)
{
	pthread_t a, b;
	uint64_t lies;

	memset(&ring, 0, sizeof(ring));
	ring.start = 0u - (uint32_t)(messages / 2); /* the wrap lies in the middle */
	ring.messages = messages;
	uw_ring_clear(ring.slots, RING, ring.start);
	ring.producer_page.consumed = ring.consumer_page.consumed = ring.start;
	ring.consumer_page.wake = ring.start;
	ring.producer_page.space = ring.start - 1;
	ring.consumer.decided = ring.producer.decided = ring.start;
	pthread_create(&a, NULL, produce, NULL);
	pthread_create(&b, NULL, consume, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	lies = ring.lies_seen[0] + ring.lies_seen[1];
	printf("ring%s: %llu messages, %llu sleeps for a message, %llu lost, %llu sleeps for room, %llu lost, %llu torn, "
	       "%llu lies\n", in_kernel ? " with futex" : "", (unsigned long long)messages, (unsigned long long)ring.consumer.sleeps,
	       (unsigned long long)ring.consumer.lost, (unsigned long long)ring.producer.sleeps,
	       (unsigned long long)ring.producer.lost, (unsigned long long)ring.torn, (unsigned long long)lies);
	return ring.consumer.lost || ring.producer.lost || ring.torn || lies;
}

/* ---- a whole session ---- */

#define REGION UW_REGION_MIN
#define DEPTH 12u

static struct {
	uint8_t *region;
	struct uw_layout layout;
	struct bell host_bell, guest_bell;
	struct uw_host host;
	struct uw_guest guest;
	uint64_t urbs;
	bool stop;
	uint64_t ended, ok, twice, wrong, host_epochs, guest_epochs;
} session;

struct job {
	struct uw_urb urb;
	bool live;
	uint32_t serial;
};

static void carry_out(struct uw_host *h, uint64_t now)
{
	struct uw_action a;

	while (uw_host_next(h, &a, now)) {
		if (a.kind != UW_ACT_VERB)
			continue; /* nothing is ever left to cancel or close: every verb ends at once */
		memset(a.xfer->io.data, a.xfer->io.setup[2], a.xfer->io.length);
		a.xfer->io.status = UW_ST_OK;
		a.xfer->io.actual = a.xfer->io.length;
		uw_host_complete(h, a.xfer, now);
	}
}

static void *serve(void *unused)
{
	struct uw_host *h = &session.host;
	uint64_t seed = 3, now = 1;

	(void)unused;
	while (!__atomic_load_n(&session.stop, __ATOMIC_ACQUIRE)) {
		dawdle(&seed);
		now += 1000;
		(void)uw_host_poll(h, now, 1 + (uint32_t)(seed >> 40) % 8);
		carry_out(h, now);
		if ((seed >> 20) % 200 == 0) {
			h->fault = true; /* an epoch by the host's own will */
			session.host_epochs++;
		}
		if (uw_host_kick(h))
			ring_bell(&session.guest_bell);
		if (uw_host_sleep(h))
			while (!__atomic_load_n(&session.host_bell.rung, __ATOMIC_SEQ_CST) &&
			       !__atomic_load_n(&session.stop, __ATOMIC_ACQUIRE))
				sched_yield();
		answer_bell(&session.host_bell);
	}
	return NULL;
}

static void keep_busy(struct uw_guest *g, struct uw_ep *ep, struct job *jobs, uint64_t now, uint32_t *serial)
{
	uint32_t i;

	for (i = 0; i < DEPTH; i++) {
		struct job *j = &jobs[i];

		if (j->live)
			continue;
		memset(j, 0, sizeof(*j));
		j->urb.ep = ep;
		j->urb.length = 64;
		j->urb.direct = UW_NOT_DIRECT;
		j->urb.endpoint = 0x80;
		j->serial = ++*serial;
		memcpy(j->urb.setup, "\xc0\x01\0\0\0\0\x40\0", 8);
		j->urb.setup[2] = (uint8_t)j->serial; /* what the device fills the data with */
		j->live = uw_guest_enqueue(g, &j->urb, now) == UW_ST_OK;
	}
}

static void judge_job(const struct uw_guest *g, const struct job *j)
{
	const uint8_t *data = g->mem.region + g->layout.data + j->urb.data;
	uint32_t i;

	if (!j->live)
		session.twice++;
	for (i = 0; i < j->urb.moved; i++)
		session.wrong += data[i] != (uint8_t)j->serial;
}

static void work(struct uw_guest *g, uint64_t now)
{
	struct uw_urb *u;
	struct job *j;

	while ((u = uw_guest_fill(g, now))) {
		memset(g->mem.region + g->layout.data + u->data, 0xee, u->piece);
		uw_guest_filled(g, u, now);
	}
	while ((u = uw_guest_done(g))) {
		j = UW_CONTAINER(u, struct job, urb);
		judge_job(g, j);
		if (!uw_guest_drained(g, u, now))
			continue;
		session.ended++;
		session.ok += u->status == UW_ST_OK;
		j->live = false;
	}
}

static void guest_turn(struct uw_guest *g, struct uw_ep *ep, struct job *jobs, uint64_t *seed, uint64_t now)
{
	static uint32_t serial;
	struct uw_note note;

	dawdle(seed);
	answer_bell(&session.guest_bell);
	(void)uw_guest_poll(g, now, 1 + (uint32_t)(*seed >> 40) % 8);
	while (uw_guest_note(g, &note))
		;
	keep_busy(g, ep, jobs, now, &serial);
	work(g, now);
	if ((*seed >> 20) % 500 == 0) {
		uw_guest_abandon(g, now);
		session.guest_epochs++;
	}
	if (uw_guest_kick(g))
		ring_bell(&session.host_bell);
}

static void *use(void *unused)
{
	struct uw_guest *g = &session.guest;
	struct job jobs[DEPTH];
	uint64_t seed = 4, now = 1;
	struct uw_ep ep;

	(void)unused;
	memset(jobs, 0, sizeof(jobs));
	uw_ep_init(&ep, 1, 0, UW_CONTROL, 8);
	uw_guest_begin(g, now);
	while (session.ended < session.urbs) {
		now += 1000;
		guest_turn(g, &ep, jobs, &seed, now);
		if (uw_guest_sleep(g))
			while (!__atomic_load_n(&session.guest_bell.rung, __ATOMIC_SEQ_CST))
				sched_yield(); /* a wake-up lost here hangs the test */
	}
	__atomic_store_n(&session.stop, true, __ATOMIC_RELEASE);
	return NULL;
}

static void open_session(void)
{
	struct uw_layout *l = &session.layout, seen;
	struct uw_guest_sizes sizes;
	struct uw_host_limits limits;
	struct uw_host_memory mem;
	struct uw_guest_memory guest;

	uw_layout_default(l, REGION);
	l->start = 0xfffffff0;
	l->sub_slots = 16;
	l->comp_slots = 32;
	l->reserve = 4;
	session.region = aligned_alloc(UW_PAGE, REGION);
	memset(session.region, 0, REGION);
	uw_host_limits_default(&limits);
	mem.region = session.region;
	mem.xfers = calloc(l->transfers, sizeof(*mem.xfers));
	mem.isos = calloc((size_t)l->isoch_max * l->packets_max, sizeof(*mem.isos));
	mem.iso_free = calloc(l->isoch_max, sizeof(*mem.iso_free));
	uw_host_init(&session.host, l, &limits, &mem, "threads", 0, 1);
	uw_host_attach(&session.host, 1, UW_SPEED_HIGH, 1);
	if (uw_guest_sizes(session.region, REGION, &seen, &sizes) != UW_LAYOUT_OK)
		abort();
	guest.region = session.region;
	guest.mapped = REGION;
	guest.urbs = calloc(sizes.entries, sizeof(*guest.urbs));
	guest.uses = calloc(sizes.entries, sizeof(*guest.uses));
	guest.free = calloc(sizes.entries, sizeof(*guest.free));
	guest.bitmap = calloc(sizes.words, sizeof(*guest.bitmap));
	uw_guest_init(&session.guest, &seen, &guest, "threads");
}

static void close_session(void)
{
	free(session.host.mem.xfers);
	free(session.host.mem.isos);
	free(session.host.mem.iso_free);
	free(session.guest.mem.urbs);
	free(session.guest.mem.uses);
	free(session.guest.mem.free);
	free(session.guest.mem.bitmap);
	free(session.region);
}

static int run_session(uint64_t urbs)
{
	const uint64_t *host, *guest;
	pthread_t a, b;
	int bad;

	open_session();
	session.urbs = urbs;
	pthread_create(&a, NULL, serve, NULL);
	pthread_create(&b, NULL, use, NULL);
	pthread_join(b, NULL);
	ring_bell(&session.host_bell);
	pthread_join(a, NULL);
	host = session.host.counters.value;
	guest = session.guest.counters.value;
	printf("session: %llu urbs, %llu ok, %llu twice, %llu wrong bytes, epochs: %llu by the host, %llu by the guest, "
	       "lies seen by host %llu, by guest %llu, bad tags %llu and %llu\n", (unsigned long long)session.ended,
	       (unsigned long long)session.ok, (unsigned long long)session.twice, (unsigned long long)session.wrong,
	       (unsigned long long)session.host_epochs, (unsigned long long)session.guest_epochs,
	       (unsigned long long)host[UW_STAT_lies], (unsigned long long)guest[UW_STAT_lies],
	       (unsigned long long)host[UW_STAT_bad_tags], (unsigned long long)guest[UW_STAT_bad_tags]);
	bad = session.twice || session.wrong || host[UW_STAT_lies] || guest[UW_STAT_lies] || host[UW_STAT_bad_tags] ||
	      guest[UW_STAT_bad_tags];
	close_session();
	return bad;
}

/* ---- the command ---- */

static int leave_out(const char *fence)
{
	unsigned i;

	for (i = 0; i < UW_COUNT_OF(fences); i++)
		if (!strcmp(fence, fences[i])) {
			left_out |= 1u << i;
			return 0;
		}
	fprintf(stderr, "threads: no fence in %s\n", fence);
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t messages = 2000000, urbs = 200000;
	int a, bad = 0;

	for (a = 1; a + 1 < argc && !bad; a += 2) {
		if (!strcmp(argv[a], "--without"))
			bad = leave_out(argv[a + 1]);
		else if (!strcmp(argv[a], "--messages"))
			messages = strtoull(argv[a + 1], NULL, 0);
		else if (!strcmp(argv[a], "--urbs"))
			urbs = strtoull(argv[a + 1], NULL, 0);
		else
			bad = 2;
	}
	if (bad || a != argc)
		return fprintf(stderr, "usage: threads [--messages N] [--urbs N] [--without FUNCTION]\n"), 2;
	if (messages)
		bad |= run_ring(messages);
	in_kernel = true;
	if (messages)
		bad |= run_ring(messages / 10);
	in_kernel = false;
	if (urbs && !left_out)
		bad |= run_session(urbs);
	if (left_out) {
		printf("informational: a fence was left out, so losses are expected if this machine shows them\n");
		return 0;
	}
	return bad;
}
