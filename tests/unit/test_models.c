/* SPDX-License-Identifier: GPL-2.0-only */
/* What all models have in common: descriptors, chapter 9, and queues. */
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

static void start(struct host *h, uint32_t model, uint8_t speed, bool paced)
{
	const struct uw_model_options options = { .speed = speed, .paced = paced, .disk = &storage };

	host_init(h, uw_models[model]->name, &options);
}

#define EVERY_MODEL(i) for (uint32_t i = 0; i < uw_models_count; i++)
#define EVERY_SPEED(s) for (uint8_t s = UW_SPEED_FULL; s <= UW_SPEED_SUPER; s++)

static int descriptor(struct host *h, uint8_t type, uint8_t index, uint16_t language, void *data, uint16_t length)
{
	return control(h, 0x80, 6, (uint16_t)(type << 8 | index), language, data, length);
}

static uint32_t get16(const uint8_t *b) { return b[0] | (uint32_t)b[1] << 8; }

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

/* Largest wMaxPacketSize by speed (full, high, super) and transfer type: USB 2.0 5.5.3 to 5.8.3, USB 3.2 table 9-26. */
static const uint16_t largest[3][4] = {
	{ 64, 1023, 64, 64 },
	{ 64, 1024, 512, 1024 },
	{ 512, 1024, 1024, 1024 },
};

static void check_companion(const uint8_t *e, const uint8_t *c)
{
	uint32_t type = e[3] & 3;

	assert_int_equal(c[0], 6);
	assert_int_equal(c[1], 48);
	assert_true(c[2] <= 15);
	if (type == UW_BULK) {
		assert_true(c[3] <= 16);
		assert_int_equal(get16(c + 4), 0);
	} else {
		assert_int_equal(c[3], 0);
		assert_true(get16(c + 4) <= get16(e + 4) * (c[2] + 1u));
		assert_true(get16(c + 4) > 0);
	}
}

static void check_endpoint(const uint8_t *e, uint8_t speed, uint8_t alternate, bool audio)
{
	uint32_t type = e[3] & 3, packet = get16(e + 4), at = speed - UW_SPEED_FULL;

	assert_int_equal(e[0], audio ? 9 : 7); /* USB Audio 1.0 4.6.1.1 */
	assert_int_equal(e[2] & 0x70, 0);
	assert_true(e[2] & 15);
	assert_true(packet && packet <= largest[at][type]);
	if (type == UW_BULK)
		assert_int_equal(packet, largest[at][type]);
	if (type == UW_ISOCH)
		assert_true(alternate && e[6] >= 1 && e[6] <= 16); /* no bandwidth by default: USB 2.0 5.6.3 */
	if (type == UW_INTERRUPT) {
		assert_true(e[6] >= 1 && (speed == UW_SPEED_FULL || e[6] <= 16));
		assert_true(alternate || packet <= 64); /* USB 2.0 5.7.3 */
	}
	if (speed == UW_SPEED_SUPER)
		check_companion(e, e + e[0]);
}

static void check_string(struct host *h, uint8_t index)
{
	uint8_t s[255];
	int n;

	if (!index)
		return;
	n = descriptor(h, 3, index, 0x0409, s, 255);
	assert_true(n > 2 && n % 2 == 0);
	assert_int_equal(s[0], n);
	assert_int_equal(s[1], 3);
	for (int i = 2; i < n; i += 2)
		assert_true(s[i] >= ' ' && s[i] <= '~' && !s[i + 1]);
}

struct walk {
	uint32_t interfaces, endpoints; /* found; endpoints still to come */
	uint32_t seen;                  /* addresses of the present setting */
	uint8_t alternate;
	bool audio;
};

static void walk_one(struct host *h, struct walk *w, const uint8_t *d, uint8_t speed)
{
	if (d[1] == 4) {
		assert_int_equal(d[0], 9);
		assert_int_equal(w->endpoints, 0);
		w->interfaces += d[3] == 0;
		assert_int_equal(d[2], w->interfaces - 1);
		w->alternate = d[3];
		w->audio = d[5] == 1;
		w->endpoints = d[4];
		w->seen = 0;
		check_string(h, d[8]);
	} else if (d[1] == 5) {
		uint32_t bit = 1u << uw_model_index(d[2]);

		check_endpoint(d, speed, w->alternate, w->audio);
		assert_true(w->endpoints-- > 0);
		assert_false(w->seen & bit);
		w->seen |= bit;
	} else {
		/* association, class-specific interface and endpoint, DFU functional, SuperSpeed endpoint companion */
		assert_true(d[1] == 11 || d[1] == 0x24 || d[1] == 0x25 || d[1] == 0x21 || (d[1] == 48 && speed == UW_SPEED_SUPER));
	}
}

static void check_config(struct host *h, uint8_t type, uint8_t index, uint8_t speed)
{
	struct walk w = { 0 };
	uint8_t d[1024], part[1024];
	int total = descriptor(h, type, index, 0, d, sizeof(d));

	assert_true(total > 9 && total < 512);
	assert_int_equal(d[0], 9);
	assert_int_equal(d[1], type);
	assert_int_equal(get16(d + 2), total);
	assert_int_equal(d[7] & 0x9f, 0x80);
	assert_true(d[8] <= (speed == UW_SPEED_SUPER ? 112 : 250));
	check_string(h, d[6]);
	for (int at = 9; at < total; at += d[at]) {
		assert_true(d[at] >= 2 && at + d[at] <= total);
		walk_one(h, &w, d + at, speed);
	}
	assert_int_equal(w.endpoints, 0);
	assert_int_equal(w.interfaces, d[4]);
	for (int n = 0; n < total + 3; n++) {
		memset(part, 0xa5, sizeof(part));
		assert_int_equal(descriptor(h, type, index, 0, part, (uint16_t)n), n < total ? n : total);
		assert_memory_equal(part, d, n < total ? n : total);
		assert_int_equal(part[n < total ? n : total], 0xa5);
	}
}

static void check_device(struct host *h, uint8_t speed)
{
	uint8_t d[18];

	assert_int_equal(descriptor(h, 1, 0, 0, d, 18), 18);
	assert_int_equal(d[0], 18);
	assert_int_equal(d[1], 1);
	assert_int_equal(get16(d + 2), speed == UW_SPEED_SUPER ? 0x320 : 0x200);
	assert_int_equal(d[7], speed == UW_SPEED_SUPER ? 9 : 64);
	assert_int_equal(get16(d + 8), h->dev->vendor);
	assert_int_equal(get16(d + 10), h->dev->product);
	assert_int_equal(d[4], h->dev->class_code);
	for (int i = 14; i < 17; i++)
		check_string(h, d[i]);
	for (uint8_t i = 0; i < d[17]; i++)
		check_config(h, 2, i, speed);
	assert_int_equal(descriptor(h, 2, d[17], 0, d, 18), -UW_ST_STALL);
}

/* A dual-speed device describes itself at the other of full and high speed: USB 2.0 9.6.2. */
static void check_other_speed(struct host *h, uint8_t speed)
{
	bool has = speed == UW_SPEED_HIGH || (speed == UW_SPEED_FULL && h->model->class->desc->dual_speed);
	uint8_t d[10];

	if (!has) {
		assert_int_equal(descriptor(h, 6, 0, 0, d, 10), -UW_ST_STALL);
		assert_int_equal(descriptor(h, 7, 0, 0, d, 10), -UW_ST_STALL);
		return;
	}
	assert_int_equal(descriptor(h, 6, 0, 0, d, 10), 10);
	assert_memory_equal(d, "\x0a\x06\x00\x02", 4);
	assert_int_equal(d[9], 0);
	for (uint8_t i = 0; i < d[8]; i++)
		check_config(h, 7, i, speed == UW_SPEED_HIGH ? UW_SPEED_FULL : UW_SPEED_HIGH);
}

/* USB 3.2 9.6.2 */
static void check_bos(struct host *h, uint8_t speed)
{
	uint8_t d[64];
	int total = descriptor(h, 15, 0, 0, d, sizeof(d)), caps = 0;

	if (speed != UW_SPEED_SUPER) {
		assert_int_equal(total, -UW_ST_STALL);
		return;
	}
	assert_int_equal(get16(d + 2), total);
	for (int at = d[0]; at < total; at += d[at], caps++)
		assert_int_equal(d[at + 1], 16);
	assert_int_equal(caps, d[4]);
	assert_int_equal(descriptor(h, 15, 0, 0, d, 5), 5);
}

static void test_descriptors(void **state)
{
	(void)state;
	EVERY_MODEL(i) EVERY_SPEED(speed) {
		struct host h;

		start(&h, i, speed, false);
		assert_int_equal(h.dev->speed, speed);
		check_device(&h, speed);
		check_other_speed(&h, speed);
		check_bos(&h, speed);
		host_fini(&h);
	}
}

static void test_strings(void **state)
{
	const struct uw_model_options options = { .serial = "A\xc3\xa9" "1" };
	uint8_t d[255];
	struct host h;

	(void)state;
	host_init(&h, "pico", &options);
	assert_int_equal(descriptor(&h, 3, 0, 0, d, 255), 4);
	assert_memory_equal(d, "\4\3\x09\4", 4);
	assert_int_equal(descriptor(&h, 3, 3, 0x0409, d, 255), 10);
	assert_memory_equal(d, "\x0a\3A\0?\0?\0001\0", 10);
	assert_int_equal(descriptor(&h, 3, 3, 0x0409, d, 5), 5);
	assert_int_equal(descriptor(&h, 3, 3, 0x0407, d, 255), -UW_ST_STALL);
	assert_int_equal(descriptor(&h, 3, 99, 0x0409, d, 255), -UW_ST_STALL);
	assert_string_equal(h.dev->description, "MicroPython Board in FS mode");
	assert_string_equal(h.dev->bus_id, "pico");
	host_fini(&h);
}

static void test_catalog(void **state)
{
	struct uw_model_options options = { .speed = UW_SPEED_LOW, .disk = &storage };

	(void)state;
	assert_null(uw_model_find("nothing"));
	assert_null(uw_model_find(""));
	EVERY_MODEL(i) {
		void *memory = malloc(uw_models[i]->size);

		assert_ptr_equal(uw_model_find(uw_models[i]->name), uw_models[i]);
		options.speed = UW_SPEED_LOW;
		options.streams = 0;
		assert_null(uw_models[i]->init(memory, &options));
		options.speed = UW_SPEED_SUPER + 1;
		assert_null(uw_models[i]->init(memory, &options));
		options.speed = UW_SPEED_NONE;
		options.streams = 3;
		assert_null(uw_models[i]->init(memory, &options));
		options.streams = 0;
		assert_int_equal(uw_models[i]->init(memory, &options)->dev.speed, uw_models[i]->speed);
		free(memory);
	}
}

/* ---- chapter 9 -------------------------------------------------------------------------------------------------- */

static int get_status(struct host *h, uint8_t recipient, uint16_t index)
{
	uint8_t d[2];
	int n = control(h, 0x80 | recipient, 0, 0, index, d, 2);

	assert_true(n == 2 || n == -UW_ST_STALL);
	return n == 2 ? (int)get16(d) : n;
}

static int feature(struct host *h, uint8_t recipient, bool on, uint16_t selector, uint16_t index)
{
	return control(h, recipient, on ? 3 : 1, selector, index, NULL, 0);
}

static int present(struct host *h)
{
	uint8_t d[1];

	assert_int_equal(control(h, 0x80, 8, 0, 0, d, 1), 1);
	return d[0];
}

static void test_configurations(void **state)
{
	struct host h;
	uint8_t d[4];

	(void)state;
	start(&h, 1, UW_SPEED_HIGH, false);
	assert_int_equal(present(&h), 0);
	assert_int_equal(control(&h, 0x81, 10, 0, 0, d, 1), -UW_ST_STALL);
	assert_int_equal(verb(&h, UW_VERB_SET_INTERFACE, 0, 0, NULL), UW_ST_STALL);
	assert_int_equal(verb(&h, UW_VERB_SET_CONFIGURATION, 1, 0, NULL), UW_ST_STALL);
	configure(&h, 3);
	assert_int_equal(present(&h), 3);
	assert_int_equal(verb(&h, UW_VERB_SET_INTERFACE, 0, 1, NULL), UW_ST_OK);
	assert_int_equal(control(&h, 0x81, 10, 0, 0, d, 1), 1);
	assert_int_equal(d[0], 1);
	assert_int_equal(verb(&h, UW_VERB_SET_INTERFACE, 0, 2, NULL), UW_ST_STALL);
	assert_int_equal(verb(&h, UW_VERB_SET_INTERFACE, 1, 0, NULL), UW_ST_STALL);
	assert_int_equal(verb(&h, UW_VERB_SET_CONFIGURATION, 259, 0, NULL), UW_ST_STALL);
	assert_int_equal(present(&h), 3);
	configure(&h, 2);
	assert_int_equal(control(&h, 0x81, 10, 0, 0, d, 1), 1);
	assert_int_equal(d[0], 0);
	assert_int_equal(verb(&h, UW_VERB_RESET, 0, 0, NULL), UW_ST_OK);
	assert_int_equal(present(&h), 0);
	configure(&h, 3);
	configure(&h, 0);
	assert_int_equal(present(&h), 0);
	host_fini(&h);
}

static void test_status_and_features(void **state)
{
	struct host h;

	(void)state;
	start(&h, 1, UW_SPEED_HIGH, false);
	assert_int_equal(get_status(&h, 0, 0), 0);
	assert_int_equal(get_status(&h, 2, 0), 0);
	assert_int_equal(get_status(&h, 2, 0x81), -UW_ST_STALL);
	assert_int_equal(get_status(&h, 1, 0), -UW_ST_STALL);
	assert_int_equal(feature(&h, 0, true, 1, 0), -UW_ST_STALL);
	configure(&h, 3);
	assert_int_equal(get_status(&h, 0, 0), 1);
	assert_int_equal(get_status(&h, 0, 1), -UW_ST_STALL);
	assert_int_equal(get_status(&h, 1, 0), 0);
	assert_int_equal(get_status(&h, 1, 1), -UW_ST_STALL);
	assert_int_equal(get_status(&h, 2, 0x80), 0);
	assert_int_equal(get_status(&h, 2, 0x1081), -UW_ST_STALL);
	assert_int_equal(get_status(&h, 2, 0x82), -UW_ST_STALL);
	assert_int_equal(feature(&h, 0, true, 1, 0), 0);
	assert_int_equal(get_status(&h, 0, 0), 3);
	assert_int_equal(feature(&h, 0, false, 1, 0), 0);
	assert_int_equal(get_status(&h, 0, 0), 1);
	assert_int_equal(feature(&h, 0, true, 2, 0x0100), -UW_ST_STALL);
	assert_int_equal(feature(&h, 0, true, 48, 0), -UW_ST_STALL);
	assert_int_equal(feature(&h, 1, true, 0, 0), -UW_ST_STALL);
	host_fini(&h);
}

static void test_super_speed_features(void **state)
{
	uint8_t sel[6] = { 0 };
	struct host h;

	(void)state;
	start(&h, 1, UW_SPEED_SUPER, false);
	assert_int_equal(control(&h, 0, 48, 0, 0, sel, 6), 6);
	assert_int_equal(control(&h, 0, 48, 0, 0, sel, 5), -UW_ST_STALL);
	assert_int_equal(control(&h, 0, 49, 100, 0, NULL, 0), 0);
	assert_int_equal(feature(&h, 0, true, 48, 0), -UW_ST_STALL);
	configure(&h, 3);
	assert_int_equal(feature(&h, 0, true, 48, 0), 0);
	assert_int_equal(feature(&h, 0, true, 49, 0), 0);
	assert_int_equal(get_status(&h, 0, 0), 1 | 4 | 8);
	assert_int_equal(feature(&h, 0, false, 48, 0), 0);
	assert_int_equal(get_status(&h, 0, 0), 1 | 8);
	assert_int_equal(feature(&h, 0, true, 50, 0), -UW_ST_STALL);
	assert_int_equal(feature(&h, 0, true, 1, 0), -UW_ST_STALL);
	assert_int_equal(get_status(&h, 1, 0), 1);
	assert_int_equal(feature(&h, 1, true, 0, 0x0300), 0);
	assert_int_equal(get_status(&h, 1, 0), 3);
	assert_int_equal(feature(&h, 1, true, 0, 0x0301), -UW_ST_STALL);
	assert_int_equal(verb(&h, UW_VERB_SUSPEND, 0, 0, NULL), UW_ST_OK);
	assert_true(uw_model_wake(h.model));
	assert_int_equal(h.wakeups, 1);
	assert_int_equal(verb(&h, UW_VERB_RESUME, 0, 0, NULL), UW_ST_OK);
	assert_false(uw_model_wake(h.model));
	assert_int_equal(feature(&h, 1, false, 0, 0), 0);
	assert_int_equal(get_status(&h, 1, 0), 1);
	host_fini(&h);
	start(&h, 0, UW_SPEED_SUPER, false);
	configure(&h, 1);
	assert_int_equal(feature(&h, 1, true, 0, 0x0200), -UW_ST_STALL);
	host_fini(&h);
}

/* What is refused: bmRequestType, bRequest, wValue. */
static const uint16_t refused[][3] = {
	{ 0x80, 6, 0x0400 }, { 0x80, 6, 0x0500 }, { 0x80, 6, 0x0101 }, { 0x80, 6, 0x2900 }, { 0x00, 7, 0x0100 },
	{ 0x82, 12, 0 }, { 0x00, 5, 1 }, { 0x00, 9, 1 }, { 0x01, 11, 0 }, { 0x80, 3, 1 }, { 0x00, 6, 0x0100 },
	{ 0x03, 3, 0 }, { 0x83, 0, 0 }, { 0x80, 0xff, 0 }, { 0xc0, 0x77, 0 }, { 0xe0, 0, 0 }, { 0xa1, 0x77, 0 },
};

static void test_refused_requests(void **state)
{
	(void)state;
	EVERY_MODEL(i) EVERY_SPEED(speed) {
		struct host h;

		start(&h, i, speed, false);
		for (int round = 0; round < 2; round++) {
			for (size_t k = 0; k < UW_COUNT_OF(refused); k++) {
				uint8_t d[8] = { 0 };

				assert_int_equal(control(&h, (uint8_t)refused[k][0], (uint8_t)refused[k][1],
							 refused[k][2], 0, d, refused[k][0] & 0x80 ? 8 : 0),
						 -UW_ST_STALL);
			}
			configure(&h, h.model->class->desc->config[0].value);
		}
		host_fini(&h);
	}
}

/* ---- queues ----------------------------------------------------------------------------------------------------- */

/* Every way to end transfers that wait, and what they end with. */
static const struct {
	uint8_t verb;
	uint16_t a, b;
	bool ends;                 /* those of the bulk IN endpoint */
} enders[] = {
	{ UW_VERB_RESET, 0, 0, true },
	{ UW_VERB_SET_CONFIGURATION, 1, 0, true },
	{ UW_VERB_SET_CONFIGURATION, 0, 0, true },
	{ UW_VERB_SET_CONFIGURATION, 77, 0, false },
	{ UW_VERB_SET_INTERFACE, 1, 0, true },
	{ UW_VERB_SET_INTERFACE, 0, 0, false },
	{ UW_VERB_SET_INTERFACE, 1, 1, false },
	{ UW_VERB_CLEAR_HALT, 0x82, 0, true },
	{ UW_VERB_CLEAR_HALT, 0x02, 0, false },
	{ UW_VERB_SUSPEND, 0, 0, false },
};

static void test_idle_transfers(void **state)
{
	(void)state;
	for (size_t i = 0; i < UW_COUNT_OF(enders); i++) {
		uint8_t data[64];
		struct xfer x[4];
		struct host h;

		start(&h, 0, UW_SPEED_FULL, true);
		configure(&h, 1);
		for (int k = 0; k < 3; k++)
			bulk(&h, &x[k], 0x82, data, 64);
		xfer_init(&x[3], UW_INTERRUPT, 0x81, data, 64);
		submit(&h, &x[3]);
		host_run(&h, h.t + 10000 * UW_MS);
		assert_int_equal(h.arms, 0);
		assert_int_equal(h.completions, 1);
		(void)verb(&h, enders[i].verb, enders[i].a, enders[i].b, NULL);
		for (int k = 0; k < 3; k++)
			assert_int_equal(x[k].done, enders[i].ends);
		if (enders[i].ends)
			assert_int_equal(x[1].io.status, UW_ST_CANCELLED);
		host_fini(&h);
		for (int k = 0; k < 4; k++) {
			assert_int_equal(x[k].done, 1);
			assert_int_equal(x[k].io.status, UW_ST_CANCELLED);
		}
		assert_int_equal(h.arms, 0);
	}
}

static void test_cancel_from_the_middle(void **state)
{
	uint8_t data[3][64];
	struct xfer x[3];
	struct host h;

	(void)state;
	start(&h, 0, UW_SPEED_FULL, false);
	configure(&h, 1);
	for (int k = 0; k < 3; k++)
		bulk(&h, &x[k], 0x82, data[k], 64);
	h.dev->ops->cancel(h.dev, &x[1].io);
	assert_int_equal(x[1].io.status, UW_ST_CANCELLED);
	assert_int_equal(control(&h, 0x21, 0x22, 1, 0, NULL, 0), 0);
	assert_true(x[0].done && x[2].done);
	assert_memory_equal(data[0], "MicroPython", 11);
	host_fini(&h);
}

static void test_closed_and_unplugged(void **state)
{
	uint8_t data[64];
	struct xfer x, y;
	struct host h;

	(void)state;
	start(&h, 0, UW_SPEED_FULL, false);
	assert_int_equal(h.dev->ops->open(h.dev), UW_ST_BUSY);
	configure(&h, 1);
	bulk(&h, &x, 0x82, data, 64);
	uw_model_unplug(h.model);
	assert_int_equal(x.io.status, UW_ST_NO_DEVICE);
	assert_int_equal(h.gones, 1);
	uw_model_unplug(h.model);
	assert_int_equal(h.gones, 1);
	bulk(&h, &y, 0x82, data, 64);
	assert_int_equal(y.io.status, UW_ST_NO_DEVICE);
	for (uint8_t v = UW_VERB_RESET; v <= UW_VERB_RESUME; v++)
		assert_int_equal(verb(&h, v, 1, 0, NULL), UW_ST_NO_DEVICE);
	h.dev->ops->close(h.dev);
	h.dev->ops->close(h.dev);
	bulk(&h, &x, 0x82, data, 64);
	assert_int_equal(x.io.status, UW_ST_NO_DEVICE);
	h.dev->ops->timer(h.dev);
	assert_int_equal(h.dev->ops->open(h.dev), UW_ST_OK);
	configure(&h, 1);
	host_fini(&h);
}

/* What does not fit the present setting. */
static void test_no_endpoint(void **state)
{
	static const struct {
		uint8_t type, endpoint;
	} cases[] = {
		{ UW_BULK, 0x01 }, { UW_BULK, 0x81 }, { UW_BULK, 0x00 }, { UW_BULK, 0x80 }, { UW_INTERRUPT, 0x82 },
		{ UW_ISOCH, 0x82 }, { UW_CONTROL, 0x01 }, { UW_BULK, 0x8f }, { UW_CONTROL, 0x8f }, { 77, 0x82 },
	};
	uint8_t data[64];
	struct host h;
	struct xfer x;

	(void)state;
	start(&h, 0, UW_SPEED_FULL, false);
	bulk(&h, &x, 0x82, data, 64);
	assert_int_equal(x.io.status, UW_ST_NO_ENDPOINT);
	configure(&h, 1);
	for (size_t i = 0; i < UW_COUNT_OF(cases); i++) {
		xfer_init(&x, cases[i].type, cases[i].endpoint, data, 64);
		submit(&h, &x);
		assert_int_equal(x.done, 1);
		assert_int_equal(x.io.status, UW_ST_NO_ENDPOINT);
	}
	host_fini(&h);
}

static unsigned again;

static void resubmit(struct host *h, struct xfer *x)
{
	if (x->io.status != UW_ST_OK || !again)
		return;
	again--;
	x->done = 0;
	submit(h, x);
}

/* A host that submits from inside complete(), forever: the stack stays flat, and the host gets its turn. */
static void test_recursion(void **state)
{
	uint8_t data[2][64];
	struct xfer x[2];
	struct host h;

	(void)state;
	start(&h, 1, UW_SPEED_HIGH, false);
	configure(&h, 3);
	again = 100000;
	memset(data, 0, sizeof(data));
	for (int i = 0; i < 2; i++) {
		xfer_init(&x[i], UW_BULK, i ? 0x81 : 0x01, data[i], 64);
		x[i].then = resubmit;
	}
	submit(&h, &x[0]);
	submit(&h, &x[1]);
	assert_true(h.completions < 1000);
	assert_true(h.armed <= h.t);
	host_run(&h, h.t);
	assert_int_equal(h.completions, 1 + 100002);
	assert_int_equal(h.deepest, 1);
	host_fini(&h);
}

static void close_inside(struct host *h, struct xfer *x)
{
	(void)x;
	h->dev->ops->close(h->dev);
}

static void test_close_inside_complete(void **state)
{
	uint8_t data[64];
	struct xfer x[3];
	struct host h;

	(void)state;
	start(&h, 0, UW_SPEED_FULL, false);
	configure(&h, 1);
	for (int i = 0; i < 3; i++)
		bulk(&h, &x[i], 0x82, data, 64);
	x[0].then = close_inside;
	assert_int_equal(control(&h, 0x21, 0x22, 1, 0, NULL, 0), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(x[i].done, 1);
	assert_true(h.deepest <= 2);
	host_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_catalog),
		cmocka_unit_test(test_configurations),
		cmocka_unit_test(test_status_and_features),
		cmocka_unit_test(test_super_speed_features),
		cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_idle_transfers),
		cmocka_unit_test(test_cancel_from_the_middle),
		cmocka_unit_test(test_closed_and_unplugged),
		cmocka_unit_test(test_no_endpoint),
		cmocka_unit_test(test_recursion),
		cmocka_unit_test(test_close_inside_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
