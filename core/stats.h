/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters and latency histograms: one table of names makes the enum, the labels, the documentation. */
#ifndef UW_STATS_H
#define UW_STATS_H

#include "base.h"

/* X(name, unit, meaning). New counters go to the end: peers ask for them by index. */
#define UW_COUNTERS(X) \
	X(submissions, "messages", "submissions read from the ring (host) or written to it (guest)") \
	X(completions, "messages", "completions written to the ring (host) or read from it (guest)") \
	X(transfers, "transfers", "transfers accepted") \
	X(transfers_ok, "transfers", "transfers that ended with status ok") \
	X(stalls, "transfers", "transfers that ended with a STALL") \
	X(cancelled, "transfers", "transfers that ended as cancelled") \
	X(errors, "transfers", "transfers that ended with any other status") \
	X(bytes_moved, "bytes", "data bytes moved to or from devices") \
	X(bytes_copied, "bytes", "of these, bytes that software on this side copied") \
	X(kicks, "kicks", "kicks sent to the peer") \
	X(wakeups, "kicks", "kicks received from the peer") \
	X(sleeps, "times", "times this side went to sleep on the ring") \
	X(rejected, "messages", "messages rejected as malformed or out of place") \
	X(refused, "messages", "well-formed submissions refused: no device, limit, breaker, not supported") \
	X(bad_tags, "faults", "slots with an impossible tag or epoch") \
	X(lies, "faults", "impossible positions, ids or completions") \
	X(epochs, "times", "epochs begun") \
	X(drains, "times", "devices closed because a transfer would not end in time") \
	X(orphans, "times", "guests given up as gone or silent") \
	X(probes, "kicks", "liveness probes sent to a peer that had not read a message") \
	X(ring_full, "times", "times the own ring had no room") \
	X(parked, "transfers", "answers that waited for room in the completion ring") \
	X(rate_held, "transfers", "transfers held back by the rate limiter") \
	X(breaker_opened, "times", "times the circuit breaker opened") \
	X(port_events, "events", "port events sent (host) or received (guest)") \
	X(pieces, "transfers", "pieces of transfers longer than one submission may be") \
	X(range_waits, "transfers", "transfers that waited for data space") \
	X(entry_waits, "transfers", "transfers that waited for an entry of the transfer table")

enum uw_stat {
#define X(name, unit, meaning) UW_STAT_##name,
	UW_COUNTERS(X)
#undef X
	UW_STAT_COUNT
};

struct uw_counter_text {
	const char *name, *unit, *meaning;
};

extern const struct uw_counter_text uw_counter_text[UW_STAT_COUNT];

/* One writer; readers on other threads may see a counter late, never torn on 64-bit systems. */
struct uw_counters {
	uint64_t value[UW_STAT_COUNT];
};

#define UW_COUNT(counters, name, by) ((counters)->value[UW_STAT_##name] += (by))

/* Latencies in nanoseconds: four buckets to each power of two, so a percentile is right within 25 %. */
#define UW_BUCKETS 160u

struct uw_histogram {
	uint64_t count[UW_BUCKETS];
};

void uw_histogram_add(struct uw_histogram *h, uint64_t ns);
/* Upper edge in nanoseconds of the bucket in which permille of all values lie below; 0 when empty. */
uint64_t uw_histogram_at(const struct uw_histogram *h, uint32_t permille);
uint64_t uw_histogram_total(const struct uw_histogram *h);

#endif
