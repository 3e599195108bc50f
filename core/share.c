/* SPDX-License-Identifier: GPL-2.0-only */
/* Shares of the transfer table. */
#include "share.h"

void uw_shares_init(struct uw_shares *s, const struct uw_layout *l)
{
	uw_zero(s, sizeof(*s));
	s->share = l->share;
	s->common = l->transfers - uw_layout_ports(l) * (l->share + 2u);
	s->isoch_max = l->isoch_max;
}

/* Entries of the common part that a port occupies. */
static uint32_t beyond_share(const struct uw_shares *s, const struct uw_share_port *p)
{
	uint32_t cost = p->transfers + (p->control ? p->control - 1 : 0);

	return cost > s->share ? cost - s->share : 0;
}

static void count(struct uw_shares *s, struct uw_share_port *p, enum uw_share_kind kind, uint32_t by)
{
	s->common_used -= beyond_share(s, p);
	if (kind == UW_SHARE_CONTROL)
		p->control += by;
	else
		p->transfers += by;
	s->common_used += beyond_share(s, p);
}

bool uw_share_get(struct uw_shares *s, uint8_t port, bool isoch, enum uw_share_kind kind)
{
	struct uw_share_port *p = &s->port[port];

	if (kind == UW_SHARE_REQUEST) {
		if (p->request)
			return false;
		p->request = true;
		return true;
	}
	if (isoch && s->isoch == s->isoch_max)
		return false;
	count(s, p, kind, 1);
	if (s->common_used > s->common) {
		count(s, p, kind, 0u - 1);
		return false;
	}
	s->isoch += isoch;
	return true;
}

void uw_share_put(struct uw_shares *s, uint8_t port, bool isoch, enum uw_share_kind kind)
{
	struct uw_share_port *p = &s->port[port];

	if (kind == UW_SHARE_REQUEST) {
		p->request = false;
		return;
	}
	count(s, p, kind, 0u - 1);
	s->isoch -= isoch;
}
