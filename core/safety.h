/* SPDX-License-Identifier: GPL-2.0-only */
/* What keeps one device or guest from harming the rest: circuit breaker and token bucket of a device. */
#ifndef UW_SAFETY_H
#define UW_SAFETY_H

#include "base.h"

/*
 * Circuit breaker.
 *
 *   CLOSED --threshold hard errors in a row--> OPEN --cooldown--> HALF --one transfer well--> CLOSED
 *                                               ^------- that transfer fails hard -------------'
 *
 * Only hard errors count: transaction errors and failures of the host. A STALL, a short or cancelled transfer and an
 * unplugged device are answers, and any of them closes a half-open breaker.
 */
enum uw_breaker_state { UW_BREAKER_CLOSED, UW_BREAKER_OPEN, UW_BREAKER_HALF };

struct uw_breaker_limits {
	uint32_t threshold;    /* hard errors in a row; 0 never opens */
	uint64_t cooldown;     /* nanoseconds */
};

struct uw_breaker {
	uint8_t state;
	bool probing;          /* HALF: the one transfer is under way */
	uint32_t failures;     /* in a row */
	uint64_t until;        /* OPEN: when to try again */
};

void uw_breaker_init(struct uw_breaker *b);
/* May a transfer go to the device now? */
UW_MUST_CHECK bool uw_breaker_admit(struct uw_breaker *b, uint64_t now);
/* The transfer admitted to a half-open breaker ended before it reached the device: another may try. */
void uw_breaker_forgo(struct uw_breaker *b);
/* The outcome of an admitted transfer (enum uw_status). True: this one opened the breaker. */
bool uw_breaker_note(struct uw_breaker *b, const struct uw_breaker_limits *l, uint32_t status, uint64_t now);

/* Token bucket: one token is one transfer. Transfers without a token are held back, never failed. */
struct uw_bucket_limits {
	uint32_t rate;         /* tokens per second; 0 means no limit */
	uint32_t burst;        /* tokens the bucket holds */
};

struct uw_bucket {
	uint64_t tokens;       /* in billionths */
	uint64_t since;
};

void uw_bucket_init(struct uw_bucket *b, const struct uw_bucket_limits *l, uint64_t now);
UW_MUST_CHECK bool uw_bucket_take(struct uw_bucket *b, const struct uw_bucket_limits *l, uint64_t now);
/* When the next token will be there. */
uint64_t uw_bucket_when(const struct uw_bucket *b, const struct uw_bucket_limits *l, uint64_t now);

#endif
