/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes the fuzzers' seeds from the tables: one in every few vectors for the host, each row of lies for the guest. */
#include <stdio.h>
#include <stdlib.h>

#include "lies.h"
#include "vectors.h"

#define EVERY 8u

struct seeds {
	const char *folder;
	uint32_t seen;
};

static FILE *create(const char *folder, const char *kind, uint32_t number)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%04u", folder, kind, number);
	f = fopen(path, "wb");
	if (f)
		return f;
	perror(path);
	exit(2);
}

/* The steps as fuzz_host.c reads them. */
static void host_seed(void *context, const struct vec *v)
{
	struct seeds *s = context;
	const struct vec_step *t;
	FILE *f;

	if (s->seen++ % EVERY)
		return;
	f = create(s->folder, "host", s->seen / EVERY);
	fputc(v->state, f);
	for (t = v->step; t < v->step + v->count; t++) {
		fputc(t->kind | 0x80, f);
		if (t->kind == STEP_SEND)
			fwrite(&t->slot, sizeof(t->slot), 1, f);
		if (t->kind == STEP_WORD)
			fwrite(&t->at, sizeof(t->at), 1, f);
		if (t->kind != STEP_SEND && t->kind != STEP_MORE)
			fwrite(&t->value, sizeof(t->value), 1, f);
	}
	fclose(f);
}

/* A base of fuzz_guest.c, and the bits in which the lie differs from a field that is 0. */
static void guest_seeds(const char *folder)
{
	static const uint8_t op[LIE_BASES] = { [LIE_COMPLETE] = 0, [LIE_ISOCH] = 1, [LIE_REQUEST] = 6, [LIE_EVENT] = 3,
					       [LIE_STATS] = 5, [LIE_BYE] = 7, [LIE_WELCOME] = 4 };
	struct uw_slot mask;
	uint32_t i;
	FILE *f;

	for (i = 0; i < UW_COUNT_OF(lie_rows); i++) {
		memset(&mask, 0, sizeof(mask));
		memcpy((uint8_t *)&mask + lie_rows[i].at, &lie_rows[i].value, lie_rows[i].bytes);
		f = create(folder, "guest", i);
		fputc(!lie_rows[i].greet, f);
		if (lie_rows[i].base == LIE_STATS)
			fputc(12 | 0x80, f);
		if (lie_rows[i].base == LIE_REQUEST)
			fwrite("\x8b\0\0\0\0", 5, 1, f);
		fputc(op[lie_rows[i].base] | 0x80, f);
		fwrite(&mask, sizeof(mask), 1, f);
		fputc(8 | 0x80, f);
		fclose(f);
	}
}

int main(int argc, char **argv)
{
	struct seeds s = { .folder = argv[1] };
	struct uw_layout l;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER (with host/ and guest/ in it)\n", argv[0]);
		return 2;
	}
	uw_layout_default(&l, 4u << 20);
	l.transfers = 1024;
	l.packets_max = 64;
	vec_each(&l, host_seed, &s);
	guest_seeds(s.folder);
	return 0;
}
