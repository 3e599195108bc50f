/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A board that is flashed over USB (DFU 1.1): at run time it is one device, and when it is told to detach it leaves
 * the bus and comes back as another one, takes or gives its firmware, and leaves again for what it was when it is reset.
 *
 * The identity changes while the device is away, as on real boards; whoever serves it has to follow it.
 */
#include "model.h"

#define FLASH 65536u               /* bytes of firmware, at most */
#define TRANSFER 1024u             /* wTransferSize */
#define SOON (5 * UW_MS)           /* the request that causes it is answered before the device leaves */
#define BUSY 2u                    /* milliseconds, bwPollTimeout */

/* DFU 1.1 table 3.2, with bmRequestType */
enum { DETACH = 0x2100, DNLOAD = 0x2101, UPLOAD = 0xa102, GETSTATUS = 0xa103, CLRSTATUS = 0x2104, GETSTATE = 0xa105,
       ABORT = 0x2106 };
/* DFU 1.1 6.1.2, bState */
enum { APP_IDLE = 0, DFU_IDLE = 2, DOWNLOAD_SYNC = 3, DOWNLOAD_IDLE = 5, MANIFEST_SYNC = 6, MANIFEST = 7,
       WAIT_RESET = 8, UPLOAD_IDLE = 9, DFU_ERROR = 10 };
/* DFU 1.1 6.1.2, bStatus */
enum { STATUS_OK = 0, STATUS_ADDRESS = 8, STATUS_NOT_DONE = 9, STATUS_STALLED = 15 };

struct board {
	struct uw_model m;
	uint8_t state, status;
	bool used;                 /* has been configured since it came; the reset before that is part of its coming */
	uint32_t firmware;         /* bytes in flash */
	uint32_t at;               /* next byte to be written or given out */
	uint8_t flash[FLASH];
};

static struct board *board_of(struct uw_model *m) { return UW_CONTAINER(m, struct board, m); }

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

/* DFU 1.1 table 4.2: both directions, detaches by itself, does not survive its manifestation. */
static const uint8_t functional[] = { 9, 0x21, 0x0b, 0xe8, 0x03, TRANSFER & 0xff, TRANSFER >> 8, 0x10, 0x01 };

static const struct uw_desc_if run_interfaces[] = {
	{ .number = 0, .class_code = 0xfe, .subclass = 1, .protocol = 1, .string = UW_STRING_FIRST,
	  .extra = functional, .extra_bytes = sizeof(functional) },
};

static const struct uw_desc_if dfu_interfaces[] = {
	{ .number = 0, .class_code = 0xfe, .subclass = 1, .protocol = 2, .string = UW_STRING_FIRST,
	  .extra = functional, .extra_bytes = sizeof(functional) },
};

static const struct uw_desc_config run_config = {
	.value = 1, .attributes = UW_CONFIG_ONE, .milliamps_by_2 = 50, .interfaces = 1,
	.ifs = UW_COUNT_OF(run_interfaces), .itf = run_interfaces,
};

static const struct uw_desc_config dfu_config = {
	.value = 1, .attributes = UW_CONFIG_ONE, .milliamps_by_2 = 50, .interfaces = 1,
	.ifs = UW_COUNT_OF(dfu_interfaces), .itf = dfu_interfaces,
};

static const char *const run_strings[] = { "UsbWarp", "Board", "board0001", "Run-time" };
static const char *const dfu_strings[] = { "UsbWarp", "Board to be flashed", "board0001", "Flash" };

/* Of the numbers that pid.codes keeps for tests. */
static const struct uw_desc_device run_device = {
	.vendor = 0x1209, .product = 0x0001, .release = 0x0100,
	.configs = 1, .config = &run_config, .strings = UW_COUNT_OF(run_strings), .string = run_strings,
};

static const struct uw_desc_device dfu_device = {
	.vendor = 0x1209, .product = 0x0002, .release = 0x0100,
	.configs = 1, .config = &dfu_config, .strings = UW_COUNT_OF(dfu_strings), .string = dfu_strings,
};

/* ---- firmware --------------------------------------------------------------------------------------------------- */

static int32_t fail(struct board *b, uint8_t status)
{
	b->state = DFU_ERROR;
	b->status = status;
	return UW_MODEL_STALL;
}

/* DFU 1.1 6.1.1: blocks in order, an empty one ends them. */
static int32_t download(struct board *b, const struct uw_setup *s, const uint8_t *data)
{
	if (b->state == DFU_IDLE)
		b->at = 0;
	else if (b->state != DOWNLOAD_IDLE)
		return fail(b, STATUS_STALLED);
	if (!s->length) {
		if (b->state == DFU_IDLE)
			return fail(b, STATUS_NOT_DONE);
		b->firmware = b->at;
		b->state = MANIFEST_SYNC;
		return 0;
	}
	if (s->length > TRANSFER || s->length > FLASH - b->at)
		return fail(b, STATUS_ADDRESS);
	uw_copy(b->flash + b->at, data, s->length);
	b->at += s->length;
	b->state = DOWNLOAD_SYNC;
	return s->length;
}

/* DFU 1.1 6.2: a short block is the last one. */
static int32_t upload(struct board *b, const struct uw_setup *s, uint8_t *data)
{
	uint32_t bytes;

	if (b->state == DFU_IDLE)
		b->at = 0;
	else if (b->state != UPLOAD_IDLE)
		return fail(b, STATUS_STALLED);
	bytes = uw_min(s->length, b->firmware - b->at);
	if (bytes)
		uw_copy(data, b->flash + b->at, bytes);
	b->at += bytes;
	b->state = bytes < s->length ? DFU_IDLE : UPLOAD_IDLE;
	return (int32_t)bytes;
}

/* Asking for the status is what moves a device on: DFU 1.1 figure A.1. */
static int32_t give_status(struct board *b, const struct uw_setup *s, uint8_t *data)
{
	uint8_t answer[6] = { b->status, BUSY };

	if (b->state == DOWNLOAD_SYNC) {
		b->state = DOWNLOAD_IDLE;
	} else if (b->state == MANIFEST_SYNC) {
		b->state = MANIFEST;
	} else if (b->state == MANIFEST) {
		b->state = WAIT_RESET;
	}
	answer[4] = b->state;
	uw_copy(data, answer, uw_min(s->length, sizeof(answer)));
	return (int32_t)uw_min(s->length, sizeof(answer));
}

static int32_t give_state(const struct board *b, const struct uw_setup *s, uint8_t *data)
{
	if (s->length != 1)
		return UW_MODEL_STALL;
	data[0] = b->state;
	return 1;
}

/* ---- the two devices -------------------------------------------------------------------------------------------- */

static int32_t run_control(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	struct board *b = board_of(m);

	if (!m->config || s->index)
		return UW_MODEL_STALL;
	switch (s->type << 8 | s->request) {
	case DETACH:
		uw_model_alarm(m, m->dev.host->now(&m->dev) + SOON);
		return s->length ? UW_MODEL_STALL : 0;
	case GETSTATUS:
		return give_status(b, s, data);
	case GETSTATE:
		return give_state(b, s, data);
	default:
		return UW_MODEL_STALL;
	}
}

static int32_t dfu_control(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	struct board *b = board_of(m);

	if (!m->config || s->index)
		return UW_MODEL_STALL;
	switch (s->type << 8 | s->request) {
	case DNLOAD:
		return download(b, s, data);
	case UPLOAD:
		return upload(b, s, data);
	case GETSTATUS:
		return give_status(b, s, data);
	case GETSTATE:
		return give_state(b, s, data);
	case CLRSTATUS:
		if (b->state != DFU_ERROR || s->length)
			return UW_MODEL_STALL;
		b->state = DFU_IDLE;
		b->status = STATUS_OK;
		return 0;
	case ABORT:
		if (b->state == DFU_ERROR || (b->state >= MANIFEST_SYNC && b->state <= WAIT_RESET) || s->length)
			return UW_MODEL_STALL;
		b->state = DFU_IDLE;
		return 0;
	default:
		return UW_MODEL_STALL;
	}
}

static void configured(struct uw_model *m)
{
	if (m->config)
		board_of(m)->used = true;
}

static void run_reset(struct uw_model *m)
{
	struct board *b = board_of(m);

	b->state = APP_IDLE;
	b->status = STATUS_OK;
	b->used = false;
}

/* DFU 1.1 appendix A: a reset ends it, with the firmware there is. */
static void dfu_reset(struct uw_model *m)
{
	struct board *b = board_of(m);

	b->state = DFU_IDLE;
	b->status = STATUS_OK;
	b->at = 0;
	if (b->used)
		uw_model_alarm(m, m->dev.host->now(&m->dev) + SOON);
	b->used = false;
}

static void run_alarm(struct uw_model *m);
static void dfu_alarm(struct uw_model *m);

static const struct uw_model_class run_class = {
	.desc = &run_device,
	.reset = run_reset,
	.configured = configured,
	.alarm = run_alarm,
	.control = run_control,
};

static const struct uw_model_class dfu_class = {
	.desc = &dfu_device,
	.reset = dfu_reset,
	.configured = configured,
	.alarm = dfu_alarm,
	.control = dfu_control,
};

static void run_alarm(struct uw_model *m)
{
	board_of(m)->used = false;
	uw_model_become(m, &dfu_class);
}

static void dfu_alarm(struct uw_model *m)
{
	board_of(m)->used = false;
	uw_model_become(m, &run_class);
}

static struct uw_model *board_init(void *memory, const struct uw_model_options *options)
{
	struct board *b = memory;

	if (!uw_model_init(&b->m, &run_class, "board", UW_SPEED_FULL, options))
		return NULL;
	b->firmware = b->at = 0;
	run_reset(&b->m);
	return &b->m;
}

const struct uw_model_kind uw_model_board = {
	.name = "board",
	.about = "a board that is flashed (DFU): leaves and comes back as another device",
	.size = sizeof(struct board),
	.speed = UW_SPEED_FULL,
	.init = board_init,
};
