/* SPDX-License-Identifier: GPL-2.0-only */
/* A host for model devices with a virtual clock: what the tests of the models stand on. */
#ifndef UW_TEST_MODEL_HOST_H
#define UW_TEST_MODEL_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model.h"

struct host;

/* One transfer and what became of it. */
struct xfer {
	struct uw_transfer_io io;
	int done;              /* times completed */
	uint64_t when;         /* of the virtual clock, at completion */
	void (*then)(struct host *h, struct xfer *x); /* called from inside complete() */
	struct uw_iso iso[64];
	uint8_t *data;
};

/* A device, and the host that has it. */
struct host {
	struct uw_device_host ops;
	struct uw_device *dev;
	struct uw_model *model;
	void *memory;
	uint64_t t;            /* nanoseconds */
	uint64_t armed;
	unsigned arms;         /* calls of arm for a moment */
	unsigned depth, deepest; /* of complete() within complete() */
	unsigned completions, wakeups, gones;
};

static uint64_t host_now(struct uw_device *dev) { return ((struct host *)dev->owner)->t; }

static void host_arm(struct uw_device *dev, uint64_t when)
{
	struct host *h = dev->owner;

	h->armed = when;
	h->arms += when != UW_NEVER;
}

static void host_complete(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct host *h = dev->owner;
	struct xfer *x = UW_CONTAINER(io, struct xfer, io);

	h->completions++;
	if (++h->depth > h->deepest)
		h->deepest = h->depth;
	x->done++;
	x->when = h->t;
	assert_int_equal(x->done, 1);
	assert_true(io->status < UW_ST_COUNT);
	if (io->verb == UW_VERB_SUBMIT)
		assert_true(io->actual <= io->length);
	if (x->then)
		x->then(h, x);
	h->depth--;
}

static void host_gone(struct uw_device *dev) { ((struct host *)dev->owner)->gones++; }
static void host_wakeup(struct uw_device *dev) { ((struct host *)dev->owner)->wakeups++; }

static inline void host_init(struct host *h, const char *name, const struct uw_model_options *options)
{
	const struct uw_model_kind *kind = uw_model_find(name);

	assert_non_null(kind);
	memset(h, 0, sizeof(*h));
	h->memory = malloc(kind->size);
	memset(h->memory, 0xa5, kind->size);
	h->model = kind->init(h->memory, options);
	assert_non_null(h->model);
	h->dev = &h->model->dev;
	h->ops = (struct uw_device_host){ host_now, host_arm, host_complete, host_gone, host_wakeup };
	h->dev->host = &h->ops;
	h->dev->owner = h;
	h->t = 1000 * UW_MS;
	h->armed = UW_NEVER;
	assert_int_equal(h->dev->ops->open(h->dev), UW_ST_OK);
}

static inline void host_fini(struct host *h)
{
	h->dev->ops->close(h->dev);
	assert_true(h->armed == UW_NEVER);
	free(h->memory);
}

/* Lets time pass, calling the timer when it is due. */
static inline void host_run(struct host *h, uint64_t until)
{
	while (h->armed <= until) {
		if (h->armed > h->t)
			h->t = h->armed;
		h->armed = UW_NEVER;
		h->dev->ops->timer(h->dev);
	}
	if (until > h->t)
		h->t = until;
}

/* ---- transfers -------------------------------------------------------------------------------------------------- */

static inline void xfer_init(struct xfer *x, uint8_t type, uint8_t endpoint, void *data, uint32_t length)
{
	memset(x, 0, sizeof(*x));
	x->data = data;
	x->io.type = type;
	x->io.endpoint = endpoint;
	x->io.data = data;
	x->io.length = length;
	x->io.status = 0xdead;
	x->io.node.next = x->io.node.prev = NULL;
	x->io.own = (void *)1;
}

static inline void submit(struct host *h, struct xfer *x) { h->dev->ops->submit(h->dev, &x->io); }

static inline void bulk(struct host *h, struct xfer *x, uint8_t endpoint, void *data, uint32_t length)
{
	xfer_init(x, UW_BULK, endpoint, data, length);
	submit(h, x);
}

static inline void control_init(struct xfer *x, uint8_t type, uint8_t request, uint16_t value, uint16_t index, void *data,
				uint16_t length)
{
	uint8_t setup[8] = { type, request, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index, (uint8_t)(index >> 8),
			     (uint8_t)length, (uint8_t)(length >> 8) };

	xfer_init(x, UW_CONTROL, type & 0x80, data, length);
	memcpy(x->io.setup, setup, 8);
}

/* Bytes moved, or minus the status. */
static inline int control(struct host *h, uint8_t type, uint8_t request, uint16_t value, uint16_t index, void *data,
			  uint16_t length)
{
	struct xfer x;

	control_init(&x, type, request, value, index, data, length);
	submit(h, &x);
	assert_int_equal(x.done, 1);
	return x.io.status == UW_ST_OK ? (int)x.io.actual : -(int)x.io.status;
}

static inline uint32_t verb(struct host *h, uint8_t verb, uint16_t a, uint16_t b, const uint8_t *endpoints)
{
	struct xfer x;

	xfer_init(&x, 0, 0, NULL, 0);
	x.io.verb = verb;
	x.io.arg[0] = a;
	x.io.arg[1] = b;
	x.io.endpoints = endpoints;
	uw_device_begin(h->dev, &x.io);
	assert_int_equal(x.done, 1);
	return x.io.status;
}

static inline void configure(struct host *h, uint8_t value)
{
	assert_int_equal(verb(h, UW_VERB_SET_CONFIGURATION, value, 0, NULL), UW_ST_OK);
}

/* ---- tests of one model ---------------------------------------------------------------------------------------- */

/* The host is the test's state, and the model is configured. */
static inline int host_start(void **state, const char *name)
{
	const struct uw_model_options options = { 0 };
	struct host *h = malloc(sizeof(*h));

	assert_non_null(h);
	host_init(h, name, &options);
	configure(h, 1);
	*state = h;
	return 0;
}

static inline int host_stop(void **state)
{
	host_fini(*state);
	free(*state);
	return 0;
}

#endif
