/* SPDX-License-Identifier: GPL-2.0-only */
/* Cuts isochronous submissions into whole frames. No state: the caller keeps what waits. */
#include "cut.h"

/* bInterval counts 2^(n-1) microframes at high and super speed, frames at full speed: USB 2.0 9.6.6. */
void uw_cut_rules(struct uw_cut_rules *rules, uint8_t speed, uint8_t interval, uint32_t service, bool in)
{
	uint32_t exponent = interval < 1 ? 0 : uw_min(interval, 16) - 1u;
	uint32_t fits;

	rules->period = (speed >= UW_SPEED_HIGH ? 1u : 8u) << exponent;
	rules->multiple = rules->period < 8 ? 8 / rules->period : 1;
	fits = UW_CUT_FRAMES * 8 / rules->period;
	rules->most = uw_min(speed >= UW_SPEED_HIGH ? UW_CUT_HIGH_SPEED : UW_CUT_FULL_SPEED, fits ? fits : 1);
	rules->service = service;
	rules->in = in;
}

uint32_t uw_cut_bytes(const struct uw_cut_rules *rules, const struct uw_iso *packet)
{
	if (packet->length <= rules->service)
		return packet->length;
	return rules->in ? rules->service : 0;
}

uint32_t uw_cut_frames(const struct uw_cut_rules *rules, uint32_t packets)
{
	return (packets * rules->period + 7) / 8;
}

static void add_part(struct uw_cut *cut, uint32_t source, uint32_t first, uint32_t count)
{
	struct uw_cut_part *part = &cut->part[cut->parts++];

	part->source = source;
	part->first = first;
	part->count = count;
	cut->packets += count;
}

static void join_frame(const struct uw_cut_rules *rules, const struct uw_cut_source *source, uint32_t sources,
		       struct uw_cut *cut)
{
	uint32_t i, left;

	for (i = 0; i < uw_min(sources, UW_CUT_PARTS) && cut->packets < rules->multiple; i++) {
		left = source[i].packets - source[i].next;
		add_part(cut, i, source[i].next, uw_min(left, rules->multiple - cut->packets));
	}
}

bool uw_cut_next(const struct uw_cut_rules *rules, const struct uw_cut_source *source, uint32_t sources, bool pad,
		 struct uw_cut *cut)
{
	uint32_t left, whole;

	cut->parts = cut->packets = cut->pad = 0;
	if (!sources)
		return false;
	left = source->packets - source->next;
	whole = uw_min(left, rules->most) / rules->multiple * rules->multiple;
	if (whole) {
		add_part(cut, 0, source->next, whole);
		return true;
	}
	join_frame(rules, source, sources, cut);
	if (cut->packets == rules->multiple)
		return true;
	cut->pad = pad ? rules->multiple - cut->packets : 0;
	cut->packets += cut->pad;
	return pad;
}

/* A device may send into a packet that nobody asked for, so that one has room; OUT it is empty. */
uint32_t uw_cut_place(const struct uw_cut_rules *rules, const struct uw_cut_source *source, const struct uw_cut *cut,
		      struct uw_cut_slot *slot)
{
	uint32_t p, i, end = 0;

	for (p = 0; p < cut->parts; p++)
		for (i = 0; i < cut->part[p].count; i++, slot++) {
			slot->offset = end;
			slot->length = uw_cut_bytes(rules, source[cut->part[p].source].iso + cut->part[p].first + i);
			slot->status = 0;
			end += slot->length;
		}
	for (i = 0; i < cut->pad; i++, slot++) {
		slot->offset = end;
		slot->length = rules->in ? rules->service : 0;
		slot->status = 0;
		end += slot->length;
	}
	return end;
}

static bool add_bytes(struct uw_cut_run run[UW_CUT_RUNS], uint32_t *runs, uint32_t source, uint32_t offset, uint32_t bytes)
{
	struct uw_cut_run *last = *runs ? &run[*runs - 1] : NULL;

	if (!bytes)
		return true;
	if (last && last->source == source && last->offset + last->bytes == offset) {
		last->bytes += bytes;
		return true;
	}
	if (*runs == UW_CUT_RUNS)
		return false;
	run[(*runs)++] = (struct uw_cut_run){ source, offset, bytes };
	return true;
}

uint32_t uw_cut_runs(const struct uw_cut_rules *rules, const struct uw_cut_source *source, const struct uw_cut *cut,
		     struct uw_cut_run run[UW_CUT_RUNS])
{
	const struct uw_iso *packet;
	uint32_t p, i, runs = 0;

	if (rules->in && cut->pad)
		return 0;
	for (p = 0; p < cut->parts; p++) {
		packet = source[cut->part[p].source].iso + cut->part[p].first;
		for (i = 0; i < cut->part[p].count; i++, packet++)
			if (!add_bytes(run, &runs, cut->part[p].source, packet->offset, uw_cut_bytes(rules, packet)))
				return 0;
	}
	return runs;
}
