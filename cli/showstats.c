/* SPDX-License-Identifier: GPL-2.0-only */
/* The answer to stats on the screen: counters and latencies of each scope. */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "show.h"
#include "table.h"

#define TEXT(field) ((const char *)(field))

/* The n-th record of a type; NULL past the last. */
static const struct uw_answer_record *nth(const struct uw_reply *r, uint16_t type, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < r->count; i++)
		if (r->records[i].type == type && !n--)
			return &r->records[i];
	return NULL;
}

static void counters_json(struct uw_json *j, const struct uw_reply *r)
{
	const struct uw_answer_record *c;
	uint32_t i;

	uw_json_open(j, "counters", '[');
	for (i = 0; (c = nth(r, UW_CTL_COUNTER, i)) != NULL; i++) {
		uw_json_open(j, NULL, '{');
		uw_json_text(j, "name", TEXT(c->u.counter.name));
		uw_json_text(j, "unit", TEXT(c->u.counter.unit));
		uw_json_text(j, "meaning", TEXT(c->u.counter.meaning));
		uw_json_close(j, '}');
	}
	uw_json_close(j, ']');
}

static void scope_json(struct uw_json *j, const struct uw_reply *r, const struct uw_ctl_values *v)
{
	const struct uw_answer_record *c;
	uint32_t i;

	uw_json_open(j, NULL, '{');
	uw_json_text(j, "vm", TEXT(v->vm));
	uw_json_number(j, "port", v->port);
	uw_json_text(j, "bus_id", TEXT(v->bus_id));
	uw_json_open(j, "values", '{');
	for (i = 0; i < v->count && i < UW_CTL_VALUES_MAX && (c = nth(r, UW_CTL_COUNTER, i)) != NULL; i++)
		uw_json_number(j, TEXT(c->u.counter.name), v->value[i]);
	uw_json_close(j, '}');
	uw_json_open(j, "latency_ns", '{');
	uw_json_number(j, "samples", v->samples);
	uw_json_number(j, "p50", v->p50);
	uw_json_number(j, "p90", v->p90);
	uw_json_number(j, "p99", v->p99);
	uw_json_number(j, "max", v->max);
	uw_json_close(j, '}');
	uw_json_close(j, '}');
}

static void stats_json(const struct uw_reply *r)
{
	struct uw_json j = { .out = stdout };
	const struct uw_answer_record *v;
	uint32_t i;

	uw_json_open(&j, NULL, '{');
	counters_json(&j, r);
	uw_json_open(&j, "scopes", '[');
	for (i = 0; (v = nth(r, UW_CTL_VALUES, i)) != NULL; i++)
		scope_json(&j, r, &v->u.values);
	uw_json_close(&j, ']');
	uw_json_close(&j, '}');
}

/* The same scope in the former answer, or NULL. */
static const struct uw_ctl_values *former_of(const struct uw_reply *former, const struct uw_ctl_values *v)
{
	const struct uw_answer_record *f;
	uint32_t i;

	for (i = 0; former && (f = nth(former, UW_CTL_VALUES, i)) != NULL; i++)
		if (f->u.values.port == v->port && !strcmp(TEXT(f->u.values.vm), TEXT(v->vm)) &&
		    !strcmp(TEXT(f->u.values.bus_id), TEXT(v->bus_id)))
			return &f->u.values;
	return NULL;
}

/* "1.2 us": three digits are what a bucket of the histogram is good for. */
static const char *duration(uint64_t ns, char *text, size_t size)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	uint32_t unit = 0;

	for (; value >= 1000 && unit < 3; unit++)
		value /= 1000;
	snprintf(text, size, "%.3g %s", value, units[unit]);
	return text;
}

static void latency_text(const struct uw_ctl_values *v)
{
	char t[4][32];

	if (v->samples)
		printf("  latency of %llu transfers: half below %s, 90 %% below %s, 99 %% below %s, all below %s\n",
		       (unsigned long long)v->samples, duration(v->p50, t[0], 32), duration(v->p90, t[1], 32),
		       duration(v->p99, t[2], 32), duration(v->max, t[3], 32));
}

static void scope_text(const struct uw_reply *r, const struct uw_ctl_values *v, const struct uw_show_stats *how)
{
	static const char *const plain[] = { "COUNTER", ">VALUE", "UNIT", "MEANING", NULL };
	static const char *const live[] = { "COUNTER", ">VALUE", ">PER SECOND", "UNIT", "MEANING", NULL };
	const struct uw_ctl_values *f = former_of(how->former, v);
	const struct uw_answer_record *c;
	struct uw_table t;
	uint32_t i;

	uw_table_begin(&t, "  ", how->former ? live : plain);
	for (i = 0; i < v->count && i < UW_CTL_VALUES_MAX && (c = nth(r, UW_CTL_COUNTER, i)) != NULL; i++) {
		if (!v->value[i] && !how->all)
			continue;
		uw_table_cell(&t, "%s", TEXT(c->u.counter.name));
		uw_table_cell(&t, "%llu", (unsigned long long)v->value[i]);
		if (how->former)
			uw_table_cell(&t, "%.0f", f ? (double)(v->value[i] - f->value[i]) / how->seconds : 0);
		uw_table_cell(&t, "%s", TEXT(c->u.counter.unit));
		uw_table_cell(&t, "%s", TEXT(c->u.counter.meaning));
	}
	uw_table_end(&t, stdout);
	latency_text(v);
}

static void stats_text(const struct uw_reply *r, const struct uw_show_stats *how)
{
	const struct uw_answer_record *v;
	uint32_t i;

	for (i = 0; (v = nth(r, UW_CTL_VALUES, i)) != NULL; i++) {
		printf("%sVM %s", i ? "\n" : "", TEXT(v->u.values.vm));
		if (v->u.values.port)
			printf(", port %u, %s", v->u.values.port, TEXT(v->u.values.bus_id));
		puts("");
		scope_text(r, &v->u.values, how);
	}
}

void uw_show_stats(const struct uw_reply *reply, const struct uw_show_stats *how)
{
	if (how->json)
		stats_json(reply);
	else
		stats_text(reply, how);
}
