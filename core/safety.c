/* SPDX-License-Identifier: GPL-2.0-only */
/* Circuit breaker and token bucket. */
#include "safety.h"

#define TOKEN 1000000000ull

void uw_breaker_init(struct uw_breaker *b)
{
	uw_zero(b, sizeof(*b));
}

bool uw_breaker_admit(struct uw_breaker *b, uint64_t now)
{
	if (b->state == UW_BREAKER_OPEN && now >= b->until) {
		b->state = UW_BREAKER_HALF;
		b->probing = false;
	}
	if (b->state == UW_BREAKER_HALF && !b->probing) {
		b->probing = true;
		return true;
	}
	return b->state == UW_BREAKER_CLOSED;
}

void uw_breaker_forgo(struct uw_breaker *b)
{
	b->probing = false;
}

bool uw_breaker_note(struct uw_breaker *b, const struct uw_breaker_limits *l, uint32_t status, uint64_t now)
{
	if (status != UW_ST_PROTOCOL && status != UW_ST_HOST) {
		/* Transfers admitted before the breaker opened say nothing of the device now. */
		if (b->state != UW_BREAKER_OPEN)
			uw_breaker_init(b);
		return false;
	}
	b->failures++;
	if (b->state == UW_BREAKER_OPEN || !l->threshold ||
	    (b->state == UW_BREAKER_CLOSED && b->failures < l->threshold))
		return false;
	b->state = UW_BREAKER_OPEN;
	b->until = now + l->cooldown;
	return true;
}

void uw_bucket_init(struct uw_bucket *b, const struct uw_bucket_limits *l, uint64_t now)
{
	b->tokens = l->burst * TOKEN;
	b->since = now;
}

/* A second's worth at most is added at once, so that the product cannot overflow. */
static void refill(struct uw_bucket *b, const struct uw_bucket_limits *l, uint64_t now)
{
	uint64_t passed = now - b->since < TOKEN ? now - b->since : TOKEN;

	b->tokens += passed * l->rate;
	if (b->tokens > l->burst * TOKEN)
		b->tokens = l->burst * TOKEN;
	b->since = now;
}

bool uw_bucket_take(struct uw_bucket *b, const struct uw_bucket_limits *l, uint64_t now)
{
	if (!l->rate)
		return true;
	refill(b, l, now);
	if (b->tokens < TOKEN)
		return false;
	b->tokens -= TOKEN;
	return true;
}

uint64_t uw_bucket_when(const struct uw_bucket *b, const struct uw_bucket_limits *l, uint64_t now)
{
	uint32_t missing;
	uint64_t when;

	if (!l->rate || b->tokens >= TOKEN)
		return now;
	/* In thousandths, 32 bits suffice and the kernel needs no 64-bit division. It counts from the last refill: from now it
	 * would move away for as long as it is asked. */
	missing = (uint32_t)((TOKEN - b->tokens) >> 10) + 1;
	when = b->since + 1024 + ((uint64_t)(missing / l->rate) << 10);
	return when > now ? when : now;
}
