/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the transport costs without a device or a virtual machine: the ring, and whole transfers through both cores.
 *
 * Two threads on two CPUs share one region, as guest and host do. The baseline, measured in the same run and in turn
 * with everything else, is one cache line handed back and forth: no message can be faster. Each case is run several
 * times, all cases in turn; printed are the median of the runs, the least and the greatest.
 */
#define _GNU_SOURCE
#include "measure.h"

#include "guest.h"
#include "host.h"

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PORT 1
#define DEPTH_MAX 32u
#define TRANSFER_BYTES (1u << 20)

static uint8_t *region;
static struct uw_layout layout;
static bool json;
static _Thread_local unsigned long kicks; /* asked for and not sent: nobody sleeps here */

static void *must(void *p)
{
	if (!p || p == MAP_FAILED) {
		perror("bench: memory");
		exit(1);
	}
	return p;
}

/* ---- baseline: one cache line ---- */

static struct {
	_Alignas(64) atomic_uint word;
	_Alignas(64) unsigned int rounds;
} line;

static void *line_peer(void *arg)
{
	unsigned int i, rounds = line.rounds;

	(void)arg;
	measure_pin(1);
	for (i = 0; i < rounds; i++) {
		while (atomic_load_explicit(&line.word, memory_order_acquire) != 2 * i + 1)
			;
		atomic_store_explicit(&line.word, 2 * i + 2, memory_order_release);
	}
	return NULL;
}

/* Nanoseconds of one round trip of a cache line between the two CPUs. */
static double line_round_trip(void)
{
	unsigned int i, rounds = 200000;
	pthread_t peer;
	uint64_t start;

	line.rounds = rounds;
	atomic_store(&line.word, 0);
	pthread_create(&peer, NULL, line_peer, NULL);
	start = measure_now();
	for (i = 0; i < rounds; i++) {
		atomic_store_explicit(&line.word, 2 * i + 1, memory_order_release);
		while (atomic_load_explicit(&line.word, memory_order_acquire) != 2 * i + 2)
			;
	}
	start = measure_now() - start;
	pthread_join(peer, NULL);
	return (double)start / rounds;
}

/* ---- rings alone ---- */

struct pair {
	struct uw_tx tx;
	struct uw_rx rx;
};

static struct {
	struct pair there, back;
	unsigned int messages, batch;
	bool echo;
} rings;

static void pair_init(struct pair *p, uint32_t ring, uint32_t count, struct uw_hot *producer, struct uw_hot *consumer)
{
	struct uw_slot *slots = (void *)(region + ring);

	uw_ring_clear(slots, count, 0);
	uw_tx_init(&p->tx, slots, count, 0, producer, consumer);
	uw_rx_init(&p->rx, slots, count, 0, 1, consumer, producer);
}

static void put_one(struct uw_tx *tx, uint32_t id)
{
	struct uw_slot slot = { .id = uw_put32(id), .type = UW_SUB_CANCEL };

	uw_msg_stamp(&slot, 1, 0);
	while (!uw_tx_room(tx))
		if (!uw_tx_look(tx))
			abort();
	uw_tx_put(tx, &slot);
}

static void get_one(struct uw_rx *rx)
{
	struct uw_slot slot;
	enum uw_rx_result result;

	do
		result = uw_rx_get(rx, &slot);
	while (result == UW_RX_EMPTY);
	if (result == UW_RX_BAD)
		abort();
}

static void *ring_peer(void *arg)
{
	unsigned int i;

	(void)arg;
	measure_pin(1);
	for (i = 0; i < rings.messages; i++) {
		get_one(&rings.there.rx);
		if (rings.echo || (i + 1) % rings.batch == 0)
			kicks += uw_rx_tell(&rings.there.rx);
		if (rings.echo)
			put_one(&rings.back.tx, i);
	}
	return NULL;
}

static void ring_start(pthread_t *peer, unsigned int messages, unsigned int batch, bool echo)
{
	struct uw_host_page *host = (void *)region;
	struct uw_guest_page *guest = (void *)(region + layout.guest_page);

	pair_init(&rings.there, layout.sub_ring, layout.sub_slots, &guest->hot, &host->hot);
	pair_init(&rings.back, layout.comp_ring, layout.comp_slots, &host->hot, &guest->hot);
	rings.messages = messages;
	rings.batch = batch;
	rings.echo = echo;
	pthread_create(peer, NULL, ring_peer, NULL);
}

/* Nanoseconds per message, one way, the producer looking at the peer's wake index once per batch. */
static double ring_one_way(unsigned int batch)
{
	unsigned int i, messages = 400000;
	uint64_t start;
	pthread_t peer;

	ring_start(&peer, messages, batch, false);
	start = measure_now();
	for (i = 0; i < messages; i++) {
		put_one(&rings.there.tx, i);
		if ((i + 1) % batch == 0)
			kicks += uw_tx_kick(&rings.there.tx);
	}
	pthread_join(peer, NULL);
	return (double)(measure_now() - start) / messages;
}

static uint32_t samples[200000];

/* Median round trip in nanoseconds of a message and its answer; *p99 is set too. */
static double ring_round_trip(double *p99)
{
	unsigned int i, rounds = 200000;
	uint64_t start;
	pthread_t peer;

	ring_start(&peer, rounds, 1, true);
	for (i = 0; i < rounds; i++) {
		start = measure_now();
		put_one(&rings.there.tx, i);
		get_one(&rings.back.rx);
		kicks += uw_rx_tell(&rings.back.rx);
		samples[i] = (uint32_t)(measure_now() - start);
	}
	pthread_join(peer, NULL);
	*p99 = measure_percentile(samples, rounds, 990);
	return measure_percentile(samples, rounds, 500);
}

/* ---- whole transfers: both cores, a device that moves every byte at once ---- */

enum way { WAY_COPY, WAY_DIRECT };

static struct {
	struct uw_host host;
	struct uw_guest guest;
	atomic_bool stop;
	uint8_t *device;               /* the device's own bytes */
} null;

/* As a controller does by DMA: its bytes go to the region, once. */
static void null_device(struct uw_xfer *x, uint64_t now)
{
	uw_copy(x->io.data, null.device, x->io.length);
	x->io.status = UW_ST_OK;
	x->io.actual = x->io.length;
	uw_host_complete(&null.host, x, now);
}

static void *null_host(void *arg)
{
	struct uw_action action;
	uint64_t now;

	(void)arg;
	measure_pin(1);
	while (!atomic_load_explicit(&null.stop, memory_order_relaxed)) {
		now = measure_now();
		(void)uw_host_poll(&null.host, now, 64);
		while (uw_host_next(&null.host, &action, now))
			if (action.kind == UW_ACT_VERB)
				null_device(action.xfer, now);
		kicks += uw_host_kick(&null.host);
	}
	return NULL;
}

static void host_init(void)
{
	struct uw_host_memory mem = { .region = region };
	struct uw_host_limits limits;

	uw_host_limits_default(&limits);
	limits.bucket.rate = 0;
	mem.xfers = must(calloc(layout.transfers, sizeof(*mem.xfers)));
	mem.isos = must(calloc((size_t)layout.isoch_max * layout.packets_max, sizeof(*mem.isos)));
	mem.iso_free = must(calloc(layout.isoch_max, sizeof(*mem.iso_free)));
	uw_host_init(&null.host, &layout, &limits, &mem, "bench", 0, measure_now());
	uw_host_attach(&null.host, PORT, UW_SPEED_HIGH, measure_now());
}

static void guest_init(void)
{
	struct uw_guest_memory mem = { .region = region, .mapped = layout.size };
	struct uw_guest_sizes sizes;
	struct uw_layout seen;

	if (uw_guest_sizes(region, layout.size, &seen, &sizes) != UW_LAYOUT_OK)
		abort();
	mem.urbs = must(calloc(sizes.entries, sizeof(*mem.urbs)));
	mem.uses = must(calloc(sizes.entries, sizeof(*mem.uses)));
	mem.free = must(calloc(sizes.entries, sizeof(*mem.free)));
	mem.bitmap = must(calloc(sizes.words, sizeof(*mem.bitmap)));
	uw_guest_init(&null.guest, &seen, &mem, "bench");
	uw_guest_begin(&null.guest, measure_now());
}

/* Polls until the port shows its device. */
static void guest_connect(void)
{
	struct uw_note note;
	bool connected = false;

	while (!connected) {
		(void)uw_guest_poll(&null.guest, measure_now(), 64);
		while (uw_guest_note(&null.guest, &note))
			connected |= note.kind == UW_NOTE_PORT && note.speed != UW_SPEED_NONE;
		kicks += uw_guest_kick(&null.guest);
	}
}

struct load {
	struct uw_ep ep;
	struct uw_urb urb[DEPTH_MAX];
	uint8_t *buffer[DEPTH_MAX];
	unsigned int depth, size;
	enum way way;
};

static void load_fill(void)
{
	struct uw_urb *urb;

	while ((urb = uw_guest_fill(&null.guest, measure_now())))
		uw_guest_filled(&null.guest, urb, measure_now());
}

static void load_enqueue(struct uw_urb *urb)
{
	if (uw_guest_enqueue(&null.guest, urb, measure_now()) != UW_ST_OK)
		abort();
}

/* IN transfers: with WAY_COPY the guest copies each byte out of the region once, as the driver does. */
static unsigned int load_reap(struct load *load)
{
	unsigned int done = 0;
	struct uw_urb *urb;

	while ((urb = uw_guest_done(&null.guest))) {
		if (urb->status != UW_ST_OK || !urb->answered)
			abort();
		if (load->way == WAY_COPY && urb->moved)
			uw_copy(load->buffer[urb - load->urb], region + layout.data + urb->data, urb->moved);
		if (!uw_guest_drained(&null.guest, urb, measure_now()))
			continue;
		done++;
		load_enqueue(urb);
	}
	return done;
}

static void load_step(struct load *load, unsigned int *done)
{
	load_fill();
	kicks += uw_guest_kick(&null.guest);
	(void)uw_guest_poll(&null.guest, measure_now(), 64);
	*done += load_reap(load);
}

static void load_init(struct load *load, unsigned int depth, unsigned int size, enum way way)
{
	unsigned int i;

	uw_ep_init(&load->ep, PORT, 0x81, UW_BULK, 512);
	load->depth = depth;
	load->size = size;
	load->way = way;
	for (i = 0; i < depth; i++) {
		uw_zero(&load->urb[i], sizeof(load->urb[i]));
		load->urb[i].ep = &load->ep;
		load->urb[i].endpoint = 0x81;
		load->urb[i].length = size;
		load->urb[i].direct = way == WAY_DIRECT && size ? i % 12 * TRANSFER_BYTES : UW_NOT_DIRECT;
	}
}

/* Ends what flies, so that the next case starts from nothing. */
static void load_stop(struct load *load)
{
	struct uw_urb *urb;
	unsigned int left = load->depth;

	while (left) {
		load_fill();
		kicks += uw_guest_kick(&null.guest);
		(void)uw_guest_poll(&null.guest, measure_now(), 64);
		while ((urb = uw_guest_done(&null.guest)))
			left -= uw_guest_drained(&null.guest, urb, measure_now());
	}
}

/* Nanoseconds per transfer. */
static double null_transfer(struct load *load, unsigned int depth, unsigned int size, enum way way)
{
	unsigned int i, done = 0, want = size > 65536 ? 400 : size > 4096 ? 4000 : 40000;
	uint64_t start;

	load_init(load, depth, size, way);
	for (i = 0; i < depth; i++)
		load_enqueue(&load->urb[i]);
	start = measure_now();
	while (done < want)
		load_step(load, &done);
	start = measure_now() - start;
	load_stop(load);
	return (double)start / done;
}

/* ---- cases ---- */

static const unsigned int depths[] = { 1, 4, 32 };
static const unsigned int sizes[] = { 0, 512, 4096, 65536, 1u << 20 };
#define DEPTHS UW_COUNT_OF(depths)
#define SIZES UW_COUNT_OF(sizes)

static struct {
	struct measure_runs line, one_way[2], trip, trip99, null[2][DEPTHS][SIZES];
} results;

static void run_null(struct load *load)
{
	unsigned int d, s, w;

	for (w = 0; w < 2; w++)
		for (d = 0; d < DEPTHS; d++)
			for (s = 0; s < SIZES; s++)
				measure_add(&results.null[w][d][s], null_transfer(load, depths[d], sizes[s], w));
}

static void run_all(unsigned int runs)
{
	struct load *load = must(calloc(1, sizeof(*load)));
	pthread_t host;
	unsigned int i;
	double p99;

	null.device = must(calloc(1, TRANSFER_BYTES));
	for (i = 0; i < DEPTH_MAX; i++)
		load->buffer[i] = must(malloc(TRANSFER_BYTES));
	for (i = 0; i < runs; i++) {
		measure_add(&results.line, line_round_trip());
		measure_add(&results.one_way[0], ring_one_way(1));
		measure_add(&results.one_way[1], ring_one_way(32));
		measure_add(&results.trip, ring_round_trip(&p99));
		measure_add(&results.trip99, p99);
		host_init();
		guest_init();
		atomic_store(&null.stop, false);
		pthread_create(&host, NULL, null_host, NULL);
		guest_connect();
		run_null(load);
		atomic_store(&null.stop, true);
		pthread_join(host, NULL);
		fprintf(stderr, "run %u of %u\n", i + 1, runs);
	}
}

static void row(const char *name, const struct measure_runs *r)
{
	double ratio = measure_median(r) / measure_median(&results.line);

	if (json)
		printf("{\"case\":\"%s\",\"ns\":%.1f,\"low\":%.1f,\"high\":%.1f,\"ratio\":%.2f}\n", name,
		       measure_median(r), measure_low(r), measure_high(r), ratio);
	else
		printf("%-42s %10.0f %10.0f %10.0f %8.2f", name, measure_median(r), measure_low(r), measure_high(r),
		       ratio);
}

static void end_row(unsigned int size, const struct measure_runs *r)
{
	if (json)
		return;
	if (size)
		printf(" %9.2f", size / measure_median(r));
	printf("\n");
}

static void report(void)
{
	static const char *const way[] = { "copied once by the guest", "zero copy" };
	unsigned int d, s, w;
	char name[64];

	if (!json)
		printf("%-42s %10s %10s %10s %8s %9s\n", "case", "median ns", "least", "greatest", "ratio", "GB/s");
	row("cache line round trip (baseline)", &results.line);
	end_row(0, &results.line);
	row("ring one way, batch 1, per message", &results.one_way[0]);
	end_row(0, &results.one_way[0]);
	row("ring one way, batch 32, per message", &results.one_way[1]);
	end_row(0, &results.one_way[1]);
	row("ring round trip p50", &results.trip);
	end_row(0, &results.trip);
	row("ring round trip p99", &results.trip99);
	end_row(0, &results.trip99);
	for (w = 0; w < 2; w++)
		for (d = 0; d < DEPTHS; d++)
			for (s = 0; s < SIZES; s++) {
				snprintf(name, sizeof(name), "depth %u, %u bytes, %s", depths[d], sizes[s], way[w]);
				row(name, &results.null[w][d][s]);
				end_row(sizes[s], &results.null[w][d][s]);
			}
}

int main(int argc, char **argv)
{
	unsigned int runs = 7;
	int option;

	while ((option = getopt(argc, argv, "r:jh")) != -1) {
		if (option == 'r')
			runs = (unsigned int)strtoul(optarg, NULL, 10);
		else if (option == 'j')
			json = true;
		else {
			printf("usage: bench-transport [-r RUNS (7)] [-j (JSON lines)]\n");
			return option == 'h' ? 0 : 2;
		}
	}
	uw_layout_default(&layout, UW_REGION_DEFAULT);
	region = must(mmap(NULL, layout.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
	measure_pin(0);
	run_all(runs);
	report();
	return 0;
}
