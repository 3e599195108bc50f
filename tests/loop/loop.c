/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The loop test: seeded runs of chaos, each followed by peace in which everything has to come right.
 *
 * One seed decides everything: layout, limits, what the devices do, who runs when, who dies. A failing run prints its
 * seed and step; "loop --seed N --runs 1 --verbose" shows the same run again.
 */
#include "loop.h"

struct totals totals;

/* ---- what everything else uses ---- */

void fail(struct world *w, const char *format, ...)
{
	va_list args;

	printf("FAILED seed %llu step %u: ", (unsigned long long)w->seed, w->step);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	exit(1);
}

void trace(struct world *w, const char *format, ...)
{
	va_list args;

	printf("%6u %12.3f us  ", w->step, (double)w->now / 1000);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static uint64_t random64(struct world *w)
{
	uint64_t z = w->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t pick(struct world *w, uint32_t n)
{
	return n ? (uint32_t)((random64(w) >> 32) * n >> 32) : 0;
}

/* A side that was about to sleep, or sleeps, has something to do. */
void wake(struct side *s, enum stage stage)
{
	if (s->stage >= STAGE_KICK)
		s->stage = (uint8_t)stage;
}

/* Kicks take their time, and now and then arrive twice. */
void kick(struct world *w, struct side *to)
{
	struct line *l = &to->kicks;
	uint32_t times = chance(w, 50) ? 2 : 1;

	TRACE(w, "kick the %s", to == &w->host ? "host" : "guest");
	while (times-- && l->count < UW_COUNT_OF(l->due))
		l->due[l->count++] = w->now + pick(w, chance(w, 100) ? 2000000 : 20000);
}

static bool deliver(struct world *w, struct side *to)
{
	struct line *l = &to->kicks;
	uint32_t i;

	for (i = 0; i < l->count; i++)
		if (l->due[i] <= w->now) {
			l->due[i] = l->due[--l->count];
			l->pending = true;
			return true;
		}
	return false;
}

static uint64_t next_kick(const struct side *to)
{
	uint64_t when = UW_NEVER;
	uint32_t i;

	for (i = 0; i < to->kicks.count; i++)
		if (to->kicks.due[i] < when)
			when = to->kicks.due[i];
	return when;
}

/* ---- steps ---- */

static uint64_t next_event(struct world *w)
{
	uint64_t when[] = { next_kick(&w->host), next_kick(&w->guest), host_next_event(w), guest_next_event(w) };
	uint64_t first = UW_NEVER;
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(when); i++)
		if (when[i] < first)
			first = when[i];
	return first;
}

/* One thing that can happen now; false: nothing can before time has passed. */
static bool happen(struct world *w)
{
	uint32_t i, turn = pick(w, 10);

	for (i = 0; i < 10; i++)
		switch ((turn + i) % 10) {
		case 0: case 5: case 7:
			if (host_step(w))
				return true;
			break;
		case 1: case 6: case 8:
			if (guest_step(w))
				return true;
			break;
		case 2:
			if (host_device_step(w))
				return true;
			break;
		case 3:
			if (deliver(w, &w->host) || deliver(w, &w->guest))
				return true;
			break;
		default:
			if (guest_work(w))
				return true;
			break;
		}
	return false;
}

/* False: nothing is left to happen. */
static bool step(struct world *w)
{
	uint64_t when;
	bool done = happen(w);

	w->step++;
	totals.steps++;
	w->now += 1 + pick(w, 2000);
	if (!done) {
		when = next_event(w);
		if (when == UW_NEVER)
			return false;
		if (when > w->now)
			w->now = when;
	}
	check_all(w);
	return true;
}

static void make_chaos(struct world *w)
{
	uint32_t i, sum = 0, at;

	for (i = 0; i < HOST_CHAOS + GUEST_CHAOS; i++)
		sum += w->weight[i];
	at = pick(w, sum);
	for (i = 0; at >= w->weight[i]; i++)
		at -= w->weight[i];
	if (i < HOST_CHAOS)
		(void)host_chaos(w, i);
	else
		(void)guest_chaos(w, i - HOST_CHAOS);
	check_all(w);
}

/* ---- a run ---- */

/* Most runs do a little of everything; some do much of one thing, so that tables and rings run full. */
static void choose_habits(struct world *w)
{
	w->poison = chance(w, 250);
	w->chaos_rate = chance(w, 300) ? 0 : 1 + pick(w, chance(w, 500) ? 5 : 30);
	w->drive_rate = chance(w, 500) ? 200 : 50 + pick(w, 900);
	w->lazy_host = chance(w, 600) ? 0 : pick(w, 950);
	w->lazy_guest = chance(w, 600) ? 0 : pick(w, 950);
	w->budget = 1 + pick(w, 32);
	w->never_rate = chance(w, 300) ? 0 : pick(w, 400);
	w->kinds = chance(w, 500) ? 0x7f : (uint8_t)(1 + pick(w, 0x7f));
	w->small = chance(w, 400);
	w->flood = chance(w, 100);
	if (!w->flood)
		return;
	w->chaos_rate = pick(w, 3);
	w->drive_rate = 900;
	w->lazy_host = 0;
	w->lazy_guest = 990;
	w->never_rate = 0;
	w->small = true;
}

static void begin(struct world *w, uint64_t seed, bool verbose)
{
	static const uint8_t speeds[DEVICES] = { UW_SPEED_HIGH, UW_SPEED_SUPER, UW_SPEED_FULL, UW_SPEED_LOW, UW_SPEED_SUPER };
	uint8_t *region = w->region;
	uint32_t i;

	memset(w, 0, sizeof(*w));
	w->region = region;
	w->seed = w->rng = seed;
	w->verbose = verbose;
	w->now = 1 + pick(w, 1000);
	choose_habits(w);
	for (i = 0; i < HOST_CHAOS + GUEST_CHAOS; i++)
		w->weight[i] = chance(w, 500) ? 0 : 1 + pick(w, 10);
	w->weight[0]++;
	for (i = 0; i < DEVICES; i++) {
		w->devices[i].speed = speeds[i];
		w->devices[i].plugged = chance(w, 700);
		uw_list_init(&w->devices[i].ios);
	}
	host_setup(w);
	host_start(w);
	guest_boot(w);
	check_all(w);
}

static void make_peace(struct world *w)
{
	uint32_t i;

	TRACE(w, "peace");
	w->settling = true;
	w->lazy_host = w->lazy_guest = 0;
	wake(&w->guest, STAGE_ACT); /* notes may lie unread */
	w->host.silent = w->guest.silent = 0;
	if (w->restart > w->now + SECOND)
		w->restart = w->now + SECOND;
	for (i = 0; i < DEVICES; i++)
		w->devices[i].hung = false;
	for (i = 0; i < ENTRIES; i++) /* what a hung device would never have ended */
		if (w->entries[i].dev && (w->entries[i].cancelled || !(w->entries[i].io->endpoint & 0x0f)))
			w->entries[i].due = w->now;
	if (w->shadow.broken && w->host.alive) {
		w->h.fault = true;
		wake(&w->host, STAGE_ACT);
	}
}

/* The guest sees every device that has a port, and no other. */
static bool settled(const struct world *w)
{
	uint8_t speed[PORTS + 1] = { 0 };
	uint32_t i;

	if (!w->host.alive || !w->up || w->g.phase != UW_GUEST_RUN || w->shadow.broken || w->g.epoch != w->h.epoch)
		return false;
	for (i = 0; i < DEVICES; i++)
		if (w->devices[i].port) {
			speed[w->devices[i].port] = w->devices[i].speed;
			if (!w->devices[i].open)
				return false;
		}
	return !memcmp(speed, w->speed, sizeof(speed));
}

static void drive_until(struct world *w, bool (*reached)(const struct world *), const char *what)
{
	uint32_t limit = w->step + 30000;
	uint64_t until = w->now + 120 * SECOND;

	check_all(w); /* what was asked for just now */
	while (!reached(w)) {
		CHECK(w, step(w), "nothing happens any more before %s", what);
		CHECK(w, w->step < limit && w->now < until, "no end before %s", what);
	}
}

static bool all_ended(const struct world *w)
{
	uint32_t i;

	for (i = 1; i <= PORTS; i++)
		if (w->request[i])
			return false;
	return !w->live && !w->g.stats_asked;
}

static bool late_ended(const struct world *w)
{
	uint32_t i;

	for (i = 0; i < URBS; i++)
		if (w->urbs[i].live && w->urbs[i].serial > w->mark)
			return false;
	return true;
}

/* However many idle transfers there are, control gets through to every device. */
static void use_control(struct world *w)
{
	uint32_t i;

	w->mark = w->serial;
	for (i = 0; i < DEVICES; i++)
		if (w->devices[i].port)
			(void)guest_enqueue(w, w->devices[i].port, EP_CONTROL);
	drive_until(w, late_ended, "control gets through");
}

static void rest(struct world *w)
{
	uint32_t limit = w->step + 5000;

	while (step(w))
		CHECK(w, w->step < limit, "no rest");
	check_quiet(w);
}

static void use_each(struct world *w, uint32_t times)
{
	uint64_t ok = totals.urbs_ok;
	uint32_t i, k, n = 0;

	for (i = 0; i < DEVICES; i++)
		for (k = 0; k < times && w->devices[i].port; k++) {
			w->large = k == 0 && times > 1 && chance(w, 300);
			n += guest_enqueue(w, w->devices[i].port, k < 3 ? EP_BULK_OUT : EP_ISO_OUT);
		}
	w->large = false;
	drive_until(w, all_ended, "the last transfers");
	CHECK(w, totals.urbs_ok - ok == n, "%llu of %u last transfers went well", (unsigned long long)(totals.urbs_ok - ok),
	      n);
}

/* After peace, every device does good work: one transfer, which closes a breaker that had opened, then a large one with
 * smaller ones behind it, and isochronous ones. */
static void use_devices(struct world *w)
{
	w->now += 2 * SECOND;
	use_each(w, 1);
	use_each(w, 5);
}

static void run(struct world *w, uint64_t seed, uint32_t steps, bool verbose)
{
	begin(w, seed, verbose);
	while (w->step < steps) {
		if (!step(w) || chance(w, w->drive_rate)) {
			guest_drive(w);
			check_all(w);
		}
		if (w->chaos_rate && chance(w, w->chaos_rate))
			make_chaos(w);
	}
	make_peace(w);
	drive_until(w, settled, "the devices re-appear");
	use_control(w);
	guest_cancel_all(w);
	drive_until(w, all_ended, "all urbs end");
	rest(w);
	use_devices(w);
	rest(w);
}

/* ---- the command ---- */

static void add_counters(struct uw_counters *sum, const struct uw_counters *c)
{
	uint32_t i;

	for (i = 0; i < UW_STAT_COUNT; i++)
		sum->value[i] += c->value[i];
}

static void report(uint64_t runs)
{
	uint32_t i;

	printf("%-16s %14s %14s\n", "counter", "host", "guest");
	for (i = 0; i < UW_STAT_COUNT; i++)
		printf("%-16s %14llu %14llu\n", uw_counter_text[i].name, (unsigned long long)totals.host.value[i],
		       (unsigned long long)totals.guest.value[i]);
#define SHOW(name) printf("%-16s %14llu\n", #name, (unsigned long long)totals.name)
	SHOW(epochs); SHOW(wraps); SHOW(kills); SHOW(reboots); SHOW(byes); SHOW(abandons); SHOW(closes); SHOW(opens);
	SHOW(events); SHOW(requests); SHOW(direct); SHOW(isoch); SHOW(streams); SHOW(short_pieces); SHOW(refused);
	SHOW(urbs); SHOW(urbs_ok); SHOW(whole);
#undef SHOW
	printf("loop: %llu runs, %llu steps, %llu urbs, no failure\n", (unsigned long long)runs,
	       (unsigned long long)totals.steps, (unsigned long long)totals.urbs);
}

/* A state that no run reached has not been tested. */
static int missed(void)
{
	static const uint8_t host[] = { UW_STAT_stalls, UW_STAT_cancelled, UW_STAT_errors, UW_STAT_refused, UW_STAT_bad_tags,
					UW_STAT_lies, UW_STAT_drains, UW_STAT_orphans, UW_STAT_parked, UW_STAT_rate_held,
					UW_STAT_breaker_opened, UW_STAT_sleeps };
	static const uint8_t guest[] = { UW_STAT_bad_tags, UW_STAT_lies, UW_STAT_probes, UW_STAT_ring_full, UW_STAT_pieces,
					 UW_STAT_range_waits, UW_STAT_entry_waits, UW_STAT_sleeps };
	const uint64_t other[] = { totals.kills, totals.reboots, totals.byes, totals.abandons, totals.closes, totals.opens,
				   totals.direct, totals.isoch, totals.streams, totals.requests, totals.short_pieces,
				   totals.wraps };
	uint32_t i;
	int n = 0;

	for (i = 0; i < sizeof(host); i++)
		n += !totals.host.value[host[i]];
	for (i = 0; i < sizeof(guest); i++)
		n += !totals.guest.value[guest[i]];
	for (i = 0; i < UW_COUNT_OF(other); i++)
		n += !other[i];
	if (n)
		printf("loop: %d states were never reached: see the zeros above\n", n);
	return n != 0;
}

static uint64_t number(const char *text)
{
	return text ? strtoull(text, NULL, 0) : 0;
}

int main(int argc, char **argv)
{
	static struct world world;
	uint64_t seed = 1, runs = 100, i;
	uint32_t steps = 1000;
	bool verbose = false, reach = false;
	int a;

	for (a = 1; a < argc; a++) {
		if (!strcmp(argv[a], "--seed") && a + 1 < argc)
			seed = number(argv[++a]);
		else if (!strcmp(argv[a], "--runs") && a + 1 < argc)
			runs = number(argv[++a]);
		else if (!strcmp(argv[a], "--steps") && a + 1 < argc)
			steps = (uint32_t)number(argv[++a]);
		else if (!strcmp(argv[a], "--verbose"))
			verbose = true;
		else if (!strcmp(argv[a], "--reach"))
			reach = true;
		else
			return fprintf(stderr, "usage: loop [--seed N] [--runs N] [--steps N] [--verbose] [--reach]\n"), 2;
	}
	printf("loop: seed %llu, %llu runs\n", (unsigned long long)seed, (unsigned long long)runs);
	world.region = aligned_alloc(UW_PAGE, REGION);
	for (i = 0; i < runs; i++) {
		run(&world, seed + i, steps, verbose);
		add_counters(&totals.host, &world.h.counters);
		add_counters(&totals.guest, &world.g.counters);
	}
	report(runs);
	free(world.region);
	return reach && missed();
}
