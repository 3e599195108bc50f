/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A random host, in part a hostile one, that no model may be hurt by: garbage of every kind, submissions from inside
 * complete(), verbs at any moment. Every transfer must end exactly once. UW_SEED in the environment repeats a run.
 */
#include "model_host.h"

static int null_read(void *ctx, uint64_t offset, void *to, uint32_t bytes)
{
	(void)ctx;
	memset(to, (int)offset, bytes);
	return offset > 60000;
}

static int null_write(void *ctx, uint64_t offset, const void *from, uint32_t bytes)
{
	(void)ctx;
	(void)from;
	(void)bytes;
	return offset > 60000;
}

static const struct uw_disk_io storage = { null_read, null_write, NULL, 65536, 0, NULL };

#define POOL 64
#define STEPS 6000

static uint64_t dice_state;

static uint32_t dice(uint32_t below)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)(dice_state >> 32) % below;
}

struct pool {
	struct xfer x[POOL];
	uint8_t free[POOL];
	uint32_t frees;
};

static struct pool pool;

static void to_pool(struct host *h, struct xfer *x);

/* A setup packet: often a standard or class request, now and then a valid one, else noise. */
static void random_setup(struct xfer *x, uint32_t length)
{
	static const uint8_t types[] = { 0x80, 0x00, 0x81, 0x01, 0x82, 0x02, 0x21, 0xa1, 0x40, 0xc0 };
	static const uint8_t requests[] = { 0, 1, 3, 6, 8, 10, 12, 0x20, 0x21, 0x22, 0x23, 0x5b, 0x5c, 0xfe, 0xff, 48, 49 };
	uint8_t *s = x->io.setup;

	for (int i = 0; i < 6; i++)
		s[i] = (uint8_t)dice(256);
	if (dice(8)) {
		s[0] = types[dice(UW_COUNT_OF(types))];
		s[1] = requests[dice(UW_COUNT_OF(requests))];
		s[2] = (uint8_t)dice(4);
		s[3] = (uint8_t)dice(dice(2) ? 17 : 1);
		s[4] = dice(3) ? 0 : (uint8_t)dice(256);
		s[5] = dice(3) ? 0 : (uint8_t)dice(8);
	}
	s[6] = (uint8_t)length;
	s[7] = (uint8_t)(length >> 8);
	x->io.endpoint = s[0] & 0x80;
}

/* A command wrapper that a disk will often take for one. */
static void random_wrapper(uint8_t *d)
{
	static const uint8_t codes[] = { 0, 3, 8, 0x0a, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x5a, 0x88,
					 0x8a, 0x9e, 0xa0, 0xa8, 0xaa };

	memcpy(d, "USBC", 4);
	memset(d + 8, 0, 23);
	d[9] = (uint8_t)(dice(2) ? dice(9) : 0);
	d[8] = (uint8_t)(dice(2) ? dice(256) : 0);
	d[12] = dice(2) ? 0x80 : 0;
	d[14] = (uint8_t)(dice(30) ? 16 : dice(256));
	d[15] = codes[dice(UW_COUNT_OF(codes))];
	d[15 + dice(16)] = (uint8_t)dice(256);
	d[15 + 5] = (uint8_t)dice(130);
	d[15 + 8] = (uint8_t)dice(9);
}

static void random_isoch(struct xfer *x, uint32_t length)
{
	uint32_t n = 1 + dice(64);

	x->io.packets = (uint16_t)n;
	x->io.iso = x->iso;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t offset = dice(length + 1);

		x->iso[i] = (struct uw_iso){ offset, dice(length - offset + 1), 0, 0 };
	}
}

static void random_submit(struct host *h)
{
	static const uint8_t endpoints[] = { 0x01, 0x81, 0x02, 0x82, 0x03, 0x83 };
	static const uint32_t lengths[] = { 0, 1, 13, 31, 36, 64, 512, 513, 1024, 4096 };
	uint32_t length = dice(2) ? lengths[dice(UW_COUNT_OF(lengths))] : dice(5000);
	struct xfer *x;

	if (!pool.frees)
		return;
	x = &pool.x[pool.free[--pool.frees]];
	xfer_init(x, (uint8_t)dice(4), endpoints[dice(6)], malloc(length), length);
	for (uint32_t i = 0; i < length; i++)
		x->data[i] = dice(3) ? 0 : (uint8_t)dice(256);
	x->then = to_pool;
	x->io.flags = (uint8_t)dice(4);
	x->io.stream = (uint16_t)(dice(30) ? 0 : dice(9));
	if (x->io.type == UW_CONTROL)
		random_setup(x, length);
	else if (x->io.type == UW_ISOCH)
		random_isoch(x, length);
	else if (length == 31 && dice(8))
		random_wrapper(x->data);
	submit(h, x);
}

/* The transfer is over; sometimes the next one is submitted at once. */
static void to_pool(struct host *h, struct xfer *x)
{
	free(x->data);
	x->data = NULL;
	x->io.node.next = NULL;
	pool.free[pool.frees++] = (uint8_t)(x - pool.x);
	if (!dice(3) && h->depth < 4)
		random_submit(h);
}

/* A device that has left, to change its identity, is found again where it was. */
static void plug_in_again(struct host *h)
{
	if (!h->gones)
		return;
	h->gones = 0;
	h->dev->ops->close(h->dev);
	assert_int_equal(h->dev->ops->open(h->dev), UW_ST_OK);
}

static void random_verb(struct host *h)
{
	static const uint8_t both[] = { 0x01, 0x81, 0x02, 0x82 };
	uint8_t v = (uint8_t)(UW_VERB_RESET + dice(UW_VERB_RESUME));
	uint16_t a = (uint16_t)dice(4), b = (uint16_t)dice(3);

	if (v == UW_VERB_RESET && dice(4))
		return;
	if (v == UW_VERB_CLEAR_HALT)
		a = both[dice(4)];
	if (v == UW_VERB_SET_CONFIGURATION && dice(3))
		a = h->model->class->desc->config[0].value;
	(void)verb(h, v, a, b, both);
	if (v == UW_VERB_SUSPEND)
		assert_int_equal(verb(h, UW_VERB_RESUME, 0, 0, NULL), UW_ST_OK);
}

static void random_cancel(struct host *h)
{
	struct xfer *x = &pool.x[dice(POOL)];

	if (x->data)
		h->dev->ops->cancel(h->dev, &x->io);
}

static void random_step(struct host *h)
{
	uint32_t kind = dice(100);

	plug_in_again(h);
	if (kind < 70)
		random_submit(h);
	else if (kind < 85)
		random_cancel(h);
	else if (kind < 90)
		random_verb(h);
	else if (kind < 99)
		host_run(h, h->t + dice(3000000));
	else if (!dice(10)) {
		h->dev->ops->close(h->dev);
		assert_int_equal(pool.frees, POOL);
		assert_int_equal(h->dev->ops->open(h->dev), UW_ST_OK);
	}
}

static void stress(uint32_t model, uint8_t speed, bool paced)
{
	const struct uw_model_options options = { .speed = speed, .paced = paced, .streams = dice(2) ? 8 : 0,
						  .babble = dice(2), .autoresume = dice(3), .disk = &storage };
	struct host h;

	pool.frees = 0;
	for (uint32_t i = 0; i < POOL; i++) {
		pool.x[i].data = NULL;
		pool.free[pool.frees++] = (uint8_t)i;
	}
	host_init(&h, uw_models[model]->name, &options);
	for (int i = 0; i < STEPS; i++)
		random_step(&h);
	host_fini(&h);
	assert_int_equal(pool.frees, POOL);
}

static void test_random_host(void **state)
{
	const char *seed = getenv("UW_SEED");

	(void)state;
	dice_state = seed ? strtoull(seed, NULL, 0) : 0x5eed0123456789abull;
	printf("UW_SEED=0x%llx\n", (unsigned long long)dice_state);
	for (uint32_t i = 0; i < uw_models_count; i++)
		for (uint8_t speed = UW_SPEED_FULL; speed <= UW_SPEED_SUPER; speed++) {
			stress(i, speed, false);
			stress(i, speed, true);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
