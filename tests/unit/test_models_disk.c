/* SPDX-License-Identifier: GPL-2.0-only */
/* The disk: the thirteen cases of the bulk-only transport, reset recovery, commands, sense, and storage that fails. */
#include "model_host.h"

enum { IN = 0x81, OUT = 0x02 };
enum { PASSED, FAILED, PHASE_ERROR };

#define BLOCKS 256u
#define SIZE (BLOCKS * 512u)

/* Storage that can be made to fail from some byte on. */
struct medium {
	uint8_t data[SIZE];
	uint64_t broken;
	bool flush_fails;
	unsigned flushes;
};

static int medium_read(void *ctx, uint64_t offset, void *to, uint32_t bytes)
{
	struct medium *d = ctx;

	assert_true(bytes && offset <= SIZE && bytes <= SIZE - offset);
	if (offset + bytes > d->broken)
		return -1;
	memcpy(to, d->data + offset, bytes);
	return 0;
}

static int medium_write(void *ctx, uint64_t offset, const void *from, uint32_t bytes)
{
	struct medium *d = ctx;

	assert_true(bytes && offset <= SIZE && bytes <= SIZE - offset);
	if (offset + bytes > d->broken)
		return -1;
	memcpy(d->data + offset, from, bytes);
	return 0;
}

static int medium_flush(void *ctx)
{
	struct medium *d = ctx;

	d->flushes++;
	return d->flush_fails;
}

static struct medium medium;
static const struct uw_disk_io storage = { medium_read, medium_write, medium_flush, SIZE, 0, &medium };

struct cbw {
	uint8_t bytes[31];
};

static struct cbw cbw_of(uint32_t length, uint8_t flags, const uint8_t *cdb, uint8_t cdb_bytes)
{
	struct cbw c = { { 'U', 'S', 'B', 'C', 1, 2, 3, 4, (uint8_t)length, (uint8_t)(length >> 8),
			   (uint8_t)(length >> 16), (uint8_t)(length >> 24), flags, 0, cdb_bytes } };

	memcpy(c.bytes + 15, cdb, cdb_bytes);
	return c;
}

static void send_cbw(struct host *h, struct cbw c)
{
	struct xfer x;

	bulk(h, &x, OUT, c.bytes, 31);
	assert_int_equal(x.done, 1);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(x.io.actual, 31);
}

static bool halted(struct host *h, uint8_t endpoint)
{
	uint8_t status[2];

	assert_int_equal(control(h, 0x82, 0, 0, endpoint, status, 2), 2);
	return status[0];
}

/* Reads the CSW, clearing a halt before it as BOT 6.7.2 figure 2 says. Returns bCSWStatus. */
static int read_csw(struct host *h, uint32_t *residue)
{
	uint8_t csw[64];
	struct xfer x;

	if (halted(h, IN))
		assert_int_equal(verb(h, UW_VERB_CLEAR_HALT, IN, 0, NULL), UW_ST_OK);
	bulk(h, &x, IN, csw, sizeof(csw));
	assert_int_equal(x.done, 1);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(x.io.actual, 13);
	assert_memory_equal(csw, "USBS\1\2\3\4", 8);
	*residue = csw[8] | csw[9] << 8 | csw[10] << 16 | (uint32_t)csw[11] << 24;
	if (halted(h, OUT))
		assert_int_equal(verb(h, UW_VERB_CLEAR_HALT, OUT, 0, NULL), UW_ST_OK);
	return csw[12];
}

/* A command as Linux sends one. The number of bytes moved, or minus the sense key after a failed one. */
static int command(struct host *h, const uint8_t *cdb, uint8_t cdb_bytes, uint8_t direction, void *data,
		   uint32_t length)
{
	uint8_t sense[18], ask[6] = { 3, 0, 0, 0, 18, 0 };
	uint32_t residue;
	struct xfer x = { .io.actual = 0 };
	int status;

	send_cbw(h, cbw_of(length, direction, cdb, cdb_bytes));
	if (length) {
		bulk(h, &x, direction ? IN : OUT, data, length);
		assert_int_equal(x.done, 1);
		assert_true(x.io.status == UW_ST_OK || x.io.status == UW_ST_STALL);
	}
	status = read_csw(h, &residue);
	assert_true(status == PASSED || status == FAILED);
	if (status == PASSED) {
		assert_int_equal(residue, length - x.io.actual);
		return (int)x.io.actual;
	}
	assert_int_equal(command(h, ask, 6, 0x80, sense, 18), 18);
	assert_int_equal(sense[0], 0x70);
	return -(sense[2] << 16 | sense[12] << 8 | sense[13]);
}

#define SENSE(key, code, qualifier) (-((key) << 16 | (code) << 8 | (qualifier)))
#define SIX(...) ((const uint8_t[16]){ __VA_ARGS__ }), 6
#define TEN(...) ((const uint8_t[16]){ __VA_ARGS__ }), 10
#define TWELVE(...) ((const uint8_t[16]){ __VA_ARGS__ }), 12
#define SIXTEEN(...) ((const uint8_t[16]){ __VA_ARGS__ }), 16

static void start(struct host *h, const struct uw_disk_io *io, uint8_t speed)
{
	const struct uw_model_options options = { .speed = speed, .disk = io };

	medium.broken = SIZE;
	medium.flush_fails = false;
	medium.flushes = 0;
	for (uint32_t i = 0; i < SIZE; i++)
		medium.data[i] = (uint8_t)(i / 512 + i * 3);
	host_init(h, "disk", &options);
	configure(h, 1);
	assert_int_equal(command(h, SIX(0), 0, NULL, 0), SENSE(6, 0x29, 0));
	assert_int_equal(command(h, SIX(0), 0, NULL, 0), 0);
}

/* ---- the thirteen cases ----------------------------------------------------------------------------------------- */

#define NOTHING 0x00                        /* TEST UNIT READY */
#define READ(n) 0x28, 0, 0, 0, 0, 2, 0, 0, n /* n blocks from block 2 */
#define WRITE(n) 0x2a, 0, 0, 0, 0, 2, 0, 0, n

static const struct {
	uint8_t number;
	uint8_t cdb[16];
	uint8_t flags;
	uint32_t length;           /* what the host expects */
	uint32_t asked;            /* the data transfer it makes, 0 for none */
	uint32_t status, actual;   /* how that ends */
	uint32_t csw, residue;
} cases[] = {
	{ 1, { NOTHING }, 0x00, 0, 0, 0, 0, PASSED, 0 },
	{ 1, { NOTHING }, 0x80, 0, 0, 0, 0, PASSED, 0 },
	{ 1, { 0xff }, 0x00, 0, 0, 0, 0, FAILED, 0 },
	{ 2, { READ(1) }, 0x80, 0, 0, 0, 0, PHASE_ERROR, 0 },
	{ 3, { WRITE(1) }, 0x00, 0, 0, 0, 0, PHASE_ERROR, 0 },
	{ 4, { NOTHING }, 0x80, 512, 512, UW_ST_STALL, 0, PASSED, 512 },
	{ 4, { 0xff }, 0x80, 36, 36, UW_ST_STALL, 0, FAILED, 36 },
	{ 5, { READ(1) }, 0x80, 4096, 4096, UW_ST_STALL, 512, PASSED, 3584 },
	{ 5, { 0x12, 0, 0, 0, 36 }, 0x80, 96, 96, UW_ST_OK, 36, PASSED, 60 },
	{ 6, { READ(2) }, 0x80, 1024, 1024, UW_ST_OK, 1024, PASSED, 0 },
	{ 7, { READ(3) }, 0x80, 1024, 1024, UW_ST_OK, 1024, PHASE_ERROR, 0 },
	{ 8, { WRITE(1) }, 0x80, 512, 512, UW_ST_STALL, 0, PHASE_ERROR, 512 },
	{ 9, { NOTHING }, 0x00, 512, 512, UW_ST_STALL, 0, PASSED, 512 },
	{ 9, { 0xff }, 0x00, 512, 512, UW_ST_STALL, 0, FAILED, 512 },
	{ 10, { READ(1) }, 0x00, 512, 512, UW_ST_STALL, 0, PHASE_ERROR, 512 },
	{ 11, { WRITE(1) }, 0x00, 4096, 4096, UW_ST_STALL, 512, PASSED, 3584 },
	{ 12, { WRITE(2) }, 0x00, 1024, 1024, UW_ST_OK, 1024, PASSED, 0 },
	{ 13, { WRITE(3) }, 0x00, 1024, 1024, UW_ST_STALL, 0, PHASE_ERROR, 1024 },
};

static void check_case(struct host *h, size_t i, uint8_t speed)
{
	static uint8_t data[4096];
	uint32_t actual = cases[i].actual, status = cases[i].status, residue;
	struct xfer x;

	/* One packet of 1024 holds both blocks: what the device does not want of it is dropped with the packet. */
	if (cases[i].number == 11 && speed == UW_SPEED_SUPER)
		actual = 1024;
	/* A short packet ends the transfer before the stall can. */
	if (cases[i].number == 5 && speed == UW_SPEED_SUPER)
		status = UW_ST_OK;
	memset(data, 0x5a, sizeof(data));
	send_cbw(h, cbw_of(cases[i].length, cases[i].flags, cases[i].cdb, 16));
	if (cases[i].asked) {
		bulk(h, &x, cases[i].flags ? IN : OUT, data, cases[i].asked);
		assert_int_equal(x.done, 1);
		assert_int_equal(x.io.status, status);
		assert_int_equal(x.io.actual, actual);
	}
	if (cases[i].number == 5)
		assert_true(halted(h, IN));
	assert_int_equal(read_csw(h, &residue), cases[i].csw);
	assert_int_equal(residue, cases[i].residue);
	if (cases[i].csw == FAILED)
		(void)command(h, SIX(3, 0, 0, 0, 18), 0x80, data, 18);
	assert_int_equal(command(h, SIX(0), 0, NULL, 0), 0);
}

static void test_thirteen_cases(void **state)
{
	struct host h;

	(void)state;
	for (uint8_t speed = UW_SPEED_FULL; speed <= UW_SPEED_SUPER; speed++) {
		start(&h, &storage, speed);
		for (size_t i = 0; i < UW_COUNT_OF(cases); i++)
			check_case(&h, i, speed);
		for (int i = 0; i < 1024; i++)
			assert_int_equal(medium.data[1024 + i], 0x5a);
		assert_int_equal(medium.data[1024 + 1024], (uint8_t)(4 + 2048 * 3));
		host_fini(&h);
	}
}

/* ---- bad wrappers and recovery ---------------------------------------------------------------------------------- */

/* BOT 5.3.4: reset, then clear both halts. Before it, clearing does not help. */
static void recover(struct host *h)
{
	assert_true(halted(h, IN) && halted(h, OUT));
	assert_int_equal(verb(h, UW_VERB_CLEAR_HALT, IN, 0, NULL), UW_ST_OK);
	assert_int_equal(verb(h, UW_VERB_CLEAR_HALT, OUT, 0, NULL), UW_ST_OK);
	assert_true(halted(h, IN) && halted(h, OUT));
	assert_int_equal(control(h, 0x21, 0xff, 0, 0, NULL, 0), 0);
	assert_true(halted(h, IN) && halted(h, OUT));
	assert_int_equal(verb(h, UW_VERB_CLEAR_HALT, IN, 0, NULL), UW_ST_OK);
	assert_int_equal(verb(h, UW_VERB_CLEAR_HALT, OUT, 0, NULL), UW_ST_OK);
	assert_false(halted(h, IN) || halted(h, OUT));
	assert_int_equal(command(h, SIX(0), 0, NULL, 0), 0);
}

static const struct {
	uint8_t at, value; /* the byte that is wrong */
	uint32_t bytes;
} bad_wrappers[] = {
	{ 0, 'u', 31 }, { 3, 'S', 31 }, { 12, 1, 31 }, { 12, 0x81, 31 }, { 13, 0x10, 31 }, { 14, 0, 31 }, { 14, 17, 31 },
	{ 0, 'U', 30 }, { 0, 'U', 32 }, { 0, 'U', 0 }, { 0, 'U', 512 }, { 0, 'U', 2000 },
};

static void test_bad_wrappers(void **state)
{
	struct host h;

	(void)state;
	start(&h, &storage, UW_SPEED_HIGH);
	for (size_t i = 0; i < UW_COUNT_OF(bad_wrappers); i++) {
		struct cbw c = cbw_of(0, 0, SIX(0));
		uint8_t data[2000] = { 0 };
		struct xfer x, in;

		bulk(&h, &in, IN, data, 13);
		assert_int_equal(in.done, 0);
		memcpy(data, c.bytes, 31);
		data[bad_wrappers[i].at] = bad_wrappers[i].value;
		bulk(&h, &x, OUT, data, bad_wrappers[i].bytes);
		assert_int_equal(x.done, 1);
		assert_int_equal(x.io.status, UW_ST_STALL);
		assert_int_equal(in.done, 1);
		assert_int_equal(in.io.status, UW_ST_STALL);
		recover(&h);
	}
	host_fini(&h);
}

static void test_class_requests(void **state)
{
	struct host h;
	uint8_t lun[4];

	(void)state;
	start(&h, &storage, UW_SPEED_HIGH);
	assert_int_equal(control(&h, 0xa1, 0xfe, 0, 0, lun, 1), 1);
	assert_int_equal(lun[0], 0);
	assert_int_equal(control(&h, 0xa1, 0xfe, 0, 1, lun, 1), -UW_ST_STALL);
	assert_int_equal(control(&h, 0x21, 0xff, 1, 0, NULL, 0), -UW_ST_STALL);
	assert_int_equal(control(&h, 0x21, 0xff, 0, 0, lun, 1), -UW_ST_STALL);
	send_cbw(&h, cbw_of(512, 0x80, TEN(READ(1))));
	assert_int_equal(control(&h, 0x21, 0xff, 0, 0, NULL, 0), 0);
	assert_int_equal(command(&h, SIX(0), 0, NULL, 0), 0);
	host_fini(&h);
}

/* Several transfers for one data stage, cut where packets end, and a wrapper in the same transfer as the last data. */
static void test_split_data(void **state)
{
	uint8_t data[1024 + 31], back[1024];
	struct cbw c = cbw_of(0, 0, SIX(0));
	struct xfer x[4];
	uint32_t residue;
	struct host h;

	(void)state;
	start(&h, &storage, UW_SPEED_FULL);
	for (int i = 0; i < 1024; i++)
		data[i] = (uint8_t)(i * 11);
	memcpy(data + 1024, c.bytes, 31);
	send_cbw(&h, cbw_of(1024, 0, TEN(WRITE(2))));
	bulk(&h, &x[0], OUT, data, 64);
	bulk(&h, &x[1], OUT, data + 64, 192);
	bulk(&h, &x[2], OUT, data + 256, 768 + 31);
	assert_int_equal(x[1].done, 1);
	assert_int_equal(x[2].done, 0);
	assert_int_equal(read_csw(&h, &residue), PASSED);
	assert_int_equal(x[2].io.actual, 768 + 31);
	assert_int_equal(read_csw(&h, &residue), PASSED);
	send_cbw(&h, cbw_of(1024, 0x80, TEN(READ(2))));
	for (int i = 0; i < 4; i++)
		bulk(&h, &x[i], IN, back + 256 * i, 256);
	assert_int_equal(x[3].io.actual, 256);
	assert_memory_equal(back, data, 1024);
	assert_int_equal(read_csw(&h, &residue), PASSED);
	host_fini(&h);
}

/* A host that stops sending early, or asks for less than it announced. */
static void test_host_breaks_off(void **state)
{
	uint8_t data[1024] = { 0 };
	uint32_t residue;
	struct xfer x;
	struct host h;

	(void)state;
	start(&h, &storage, UW_SPEED_HIGH);
	send_cbw(&h, cbw_of(1024, 0, TEN(WRITE(2))));
	bulk(&h, &x, OUT, data, 600);
	assert_int_equal(x.io.actual, 600);
	assert_true(halted(&h, OUT));
	assert_int_equal(read_csw(&h, &residue), PHASE_ERROR);
	assert_int_equal(residue, 424);
	send_cbw(&h, cbw_of(1024, 0x80, TEN(READ(2))));
	bulk(&h, &x, IN, data, 100);
	assert_int_equal(x.io.status, UW_ST_BABBLE);
	assert_int_equal(read_csw(&h, &residue), PHASE_ERROR);
	assert_int_equal(residue, 924);
	assert_int_equal(command(&h, SIX(0), 0, NULL, 0), 0);
	host_fini(&h);
}

/* ---- commands --------------------------------------------------------------------------------------------------- */

#define ILLEGAL_OPCODE SENSE(5, 0x20, 0)
#define ILLEGAL_FIELD SENSE(5, 0x24, 0)
#define OUT_OF_RANGE SENSE(5, 0x21, 0)

static const struct {
	uint8_t cdb[16], direction;
	uint32_t length;
	int result;
	uint8_t at, bytes;         /* of the answer, what must be */
	const char *want;
} commands[] = {
	{ { 0x12, 0, 0, 0, 36 }, 0x80, 36, 36, 0, 32, "\x00\x80\x06\x02\x1f\0\0\0UsbWarp Model Disk      " },
	{ { 0x12, 0, 0, 0, 5 }, 0x80, 5, 5, 0, 5, "\x00\x80\x06\x02\x1f" },
	{ { 0x12, 0, 0, 0, 0 }, 0, 0, 0, 0, 0, "" },
	{ { 0x12, 0, 1, 0, 36 }, 0x80, 36, ILLEGAL_FIELD, 0, 0, "" },
	{ { 0x12, 1, 0, 0, 64 }, 0x80, 64, 7, 0, 7, "\0\0\0\3\0\x80\x83" },
	{ { 0x12, 1, 0x80, 0, 64 }, 0x80, 64, 20, 0, 20, "\0\x80\0\x10" "A1B2C3D4E5F60001" },
	{ { 0x12, 1, 0x83, 0, 64 }, 0x80, 64, 32, 0, 32, "\0\x83\0\x1c\2\1\0\x18UsbWarp A1B2C3D4E5F60001" },
	{ { 0x12, 1, 0x99, 0, 64 }, 0x80, 64, ILLEGAL_FIELD, 0, 0, "" },
	{ { 0x25 }, 0x80, 8, 8, 0, 8, "\0\0\0\xff\0\0\2\0" },
	{ { 0x9e, 0x10, [13] = 32 }, 0x80, 32, 32, 0, 12, "\0\0\0\0\0\0\0\xff\0\0\2\0" },
	{ { 0x9e, 0x10, [13] = 12 }, 0x80, 12, 12, 0, 12, "\0\0\0\0\0\0\0\xff\0\0\2\0" },
	{ { 0x9e, 0x11, [13] = 32 }, 0x80, 32, ILLEGAL_FIELD, 0, 0, "" },
	{ { 0x1a, 0, 0x3f, 0, 192 }, 0x80, 192, 24, 0, 7, "\x17\0\x10\0\x08\x12\4" },
	{ { 0x1a, 0, 0x08, 0, 4 }, 0x80, 4, 4, 0, 4, "\x17\0\x10\0" },
	{ { 0x1a, 0, 0x48, 0, 24 }, 0x80, 24, 24, 0, 7, "\x17\0\x10\0\x08\x12\0" },
	{ { 0x1a, 0, 0xc8, 0, 24 }, 0x80, 24, SENSE(5, 0x39, 0), 0, 0, "" },
	{ { 0x1a, 0, 0x1c, 0, 24 }, 0x80, 24, ILLEGAL_FIELD, 0, 0, "" },
	{ { 0x5a, 0, 0x3f, [8] = 192 }, 0x80, 192, 28, 0, 11, "\0\x1a\0\x10\0\0\0\0\x08\x12\4" },
	{ { 0xa0, [9] = 16 }, 0x80, 16, 16, 0, 16, "\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0" },
	{ { 0xa0, 0, 3, [9] = 16 }, 0x80, 16, ILLEGAL_FIELD, 0, 0, "" },
	{ { 0x03, 1, 0, 0, 18 }, 0x80, 18, ILLEGAL_FIELD, 0, 0, "" },
	{ { 0x08, 0, 0, 3, 1 }, 0x80, 512, 512, 0, 2, "\3\6" },
	{ { 0x08, 0, 0, 0, 0 }, 0x80, 131072, 131072, 0, 2, "\0\3" },
	{ { 0x28, [5] = 4, [8] = 2 }, 0x80, 1024, 1024, 0, 2, "\4\7" },
	{ { 0x28, [5] = 255, [8] = 2 }, 0x80, 1024, OUT_OF_RANGE, 0, 0, "" },
	{ { 0x28, 0, 255, 255, 255, 255, 0, 0, 1 }, 0x80, 512, OUT_OF_RANGE, 0, 0, "" },
	{ { 0x28, [5] = 4, [8] = 0 }, 0, 0, 0, 0, 0, "" },
	{ { 0xa8, [5] = 5, [9] = 1 }, 0x80, 512, 512, 0, 2, "\5\x08" },
	{ { 0xa8, [5] = 5, [6] = 255 }, 0x80, 512, OUT_OF_RANGE, 0, 0, "" },
	{ { 0x88, [9] = 6, [13] = 1 }, 0x80, 512, 512, 0, 2, "\6\x09" },
	{ { 0x88, 0, 255, 255, 255, 255, 255, 255, 255, 255, [13] = 1 }, 0x80, 512, OUT_OF_RANGE, 0, 0, "" },
	{ { 0x2f, [5] = 0, [7] = 1 }, 0, 0, 0, 0, 0, "" },
	{ { 0x2f, [5] = 1, [7] = 1 }, 0, 0, OUT_OF_RANGE, 0, 0, "" },
	{ { 0x2f, 2, [8] = 1 }, 0, 0, ILLEGAL_FIELD, 0, 0, "" },
	{ { 0xaf, [9] = 1 }, 0, 0, 0, 0, 0, "" },
	{ { 0x8f, [13] = 1 }, 0, 0, 0, 0, 0, "" },
	{ { 0x35 }, 0, 0, 0, 0, 0, "" },
	{ { 0x91 }, 0, 0, 0, 0, 0, "" },
	{ { 0x35, 0, 1 }, 0, 0, OUT_OF_RANGE, 0, 0, "" },
	{ { 0x1b, 0, 0, 0, 1 }, 0, 0, 0, 0, 0, "" },
	{ { 0x1b, 0, 0, 0, 0x11 }, 0, 0, ILLEGAL_FIELD, 0, 0, "" },
	{ { 0x55 }, 0, 0, ILLEGAL_OPCODE, 0, 0, "" },
	{ { 0x42 }, 0, 0, ILLEGAL_OPCODE, 0, 0, "" },
	{ { 0xff }, 0, 0, ILLEGAL_OPCODE, 0, 0, "" },
};

static void test_commands(void **state)
{
	static uint8_t data[131072];
	struct host h;

	(void)state;
	for (uint8_t speed = UW_SPEED_FULL; speed <= UW_SPEED_SUPER; speed++) {
		start(&h, &storage, speed);
		for (size_t i = 0; i < UW_COUNT_OF(commands); i++) {
			assert_int_equal(command(&h, commands[i].cdb, 16, commands[i].direction, data,
						 commands[i].length), commands[i].result);
			assert_memory_equal(data + commands[i].at, commands[i].want, commands[i].bytes);
		}
		assert_int_equal(medium.flushes, 2);
		host_fini(&h);
	}
}

static void test_writes(void **state)
{
	uint8_t data[1024], back[1024];
	struct host h;

	(void)state;
	start(&h, &storage, UW_SPEED_HIGH);
	for (int i = 0; i < 1024; i++)
		data[i] = (uint8_t)(i * 5 + 1);
	assert_int_equal(command(&h, SIX(0x0a, 0, 0, 7, 2), 0, data, 1024), 1024);
	assert_memory_equal(medium.data + 7 * 512, data, 1024);
	assert_int_equal(command(&h, TEN(0x2a, [5] = 9, [8] = 2), 0, data, 1024), 1024);
	assert_int_equal(command(&h, TWELVE(0xaa, [5] = 11, [9] = 2), 0, data, 1024), 1024);
	assert_int_equal(medium.flushes, 0);
	assert_int_equal(command(&h, SIXTEEN(0x8a, 8, [9] = 13, [13] = 2), 0, data, 1024), 1024);
	assert_int_equal(medium.flushes, 1);
	for (uint8_t block = 7; block < 15; block += 2) {
		assert_int_equal(command(&h, TEN(0x28, [5] = block, [8] = 2), 0x80, back, 1024), 1024);
		assert_memory_equal(back, data, 1024);
	}
	assert_int_equal(command(&h, TEN(0x2a, [5] = 255, [8] = 2), 0, data, 1024), OUT_OF_RANGE);
	host_fini(&h);
}

/* Asking for the sense tells of the reset, once: then it is no longer news. */
static void test_attention_as_sense(void **state)
{
	const struct uw_model_options options = { .disk = &storage };
	uint8_t sense[18];
	struct host h;

	(void)state;
	host_init(&h, "disk", &options);
	configure(&h, 1);
	assert_int_equal(command(&h, SIX(3, 0, 0, 0, 18), 0x80, sense, 18), 18);
	assert_int_equal(sense[2], 6);
	assert_int_equal(sense[12], 0x29);
	assert_int_equal(command(&h, SIX(0), 0, NULL, 0), 0);
	assert_int_equal(command(&h, SIX(3, 0, 0, 0, 18), 0x80, sense, 18), 18);
	assert_int_equal(sense[2], 0);
	host_fini(&h);
}

static void test_lun(void **state)
{
	struct cbw c = cbw_of(36, 0x80, SIX(0x12, 0, 0, 0, 36));
	uint8_t data[36];
	uint32_t residue;
	struct xfer x;
	struct host h;

	(void)state;
	start(&h, &storage, UW_SPEED_HIGH);
	c.bytes[13] = 1;
	send_cbw(&h, c);
	bulk(&h, &x, IN, data, 36);
	assert_int_equal(data[0], 0x7f);
	assert_int_equal(read_csw(&h, &residue), PASSED);
	c = cbw_of(0, 0, SIX(0));
	c.bytes[13] = 15;
	send_cbw(&h, c);
	assert_int_equal(read_csw(&h, &residue), FAILED);
	assert_int_equal(command(&h, SIX(3, 0, 0, 0, 18), 0x80, data, 18), 18);
	assert_int_equal(data[12], 0x25);
	host_fini(&h);
}

/* ---- media ------------------------------------------------------------------------------------------------------ */

static void test_failing_storage(void **state)
{
	static uint8_t data[8192];
	struct host h;

	(void)state;
	start(&h, &storage, UW_SPEED_HIGH);
	medium.broken = 10 * 512;
	assert_int_equal(command(&h, TEN(0x28, [5] = 9, [8] = 1), 0x80, data, 512), 512);
	assert_int_equal(command(&h, TEN(0x28, [5] = 9, [8] = 2), 0x80, data, 1024), SENSE(3, 0x11, 0));
	assert_int_equal(command(&h, TEN(0x2a, [5] = 9, [8] = 1), 0, data, 512), 512);
	assert_int_equal(command(&h, TEN(0x2a, [5] = 9, [8] = 16), 0, data, 8192), SENSE(3, 0x0c, 0));
	medium.broken = SIZE;
	medium.flush_fails = true;
	assert_int_equal(command(&h, SIX(0x1b, 0, 0, 0, 0), 0, NULL, 0), SENSE(3, 0x0c, 0));
	assert_int_equal(command(&h, TEN(0x35, 0), 0, NULL, 0), SENSE(3, 0x0c, 0));
	assert_int_equal(command(&h, TEN(0x2a, 8, [8] = 1), 0, data, 512), SENSE(3, 0x0c, 0));
	assert_int_equal(command(&h, TEN(0x2a, 0, [8] = 1), 0, data, 512), 512);
	host_fini(&h);
}

static void test_write_protection(void **state)
{
	const struct uw_disk_io io = { medium_read, NULL, NULL, SIZE, 0, &medium };
	uint8_t data[512];
	struct host h;

	(void)state;
	start(&h, &io, UW_SPEED_HIGH);
	assert_int_equal(command(&h, TEN(0x2a, [8] = 1), 0, data, 512), SENSE(7, 0x27, 0));
	assert_int_equal(command(&h, SIX(0x1a, 0, 0x3f, 0, 24), 0x80, data, 24), 24);
	assert_int_equal(data[2], 0x90);
	assert_int_equal(data[6], 0);
	assert_int_equal(command(&h, TEN(0x35, 0), 0, NULL, 0), 0);
	host_fini(&h);
}

static void test_eject(void **state)
{
	uint8_t data[512];
	struct host h;

	(void)state;
	start(&h, &storage, UW_SPEED_HIGH);
	assert_int_equal(command(&h, SIX(0x1e, 0, 0, 0, 1), 0, NULL, 0), 0);
	assert_int_equal(command(&h, SIX(0x1b, 0, 0, 0, 2), 0, NULL, 0), SENSE(5, 0x53, 2));
	assert_int_equal(command(&h, SIX(0x1e, 0, 0, 0, 0), 0, NULL, 0), 0);
	assert_int_equal(command(&h, SIX(0x1b, 0, 0, 0, 2), 0, NULL, 0), 0);
	assert_int_equal(command(&h, SIX(0), 0, NULL, 0), SENSE(2, 0x3a, 0));
	assert_int_equal(command(&h, TEN(0x28, [8] = 1), 0x80, data, 512), SENSE(2, 0x3a, 0));
	assert_int_equal(command(&h, SIX(0x1b, 0, 0, 0, 3), 0, NULL, 0), 0);
	assert_int_equal(command(&h, TEN(0x28, [8] = 1), 0x80, data, 512), 512);
	host_fini(&h);
}

static int huge_read(void *ctx, uint64_t offset, void *to, uint32_t bytes)
{
	*(uint64_t *)ctx = offset;
	memset(to, 0x11, bytes);
	return 0;
}

static void test_huge_disk(void **state)
{
	uint64_t offset = 0;
	const struct uw_disk_io io = { huge_read, NULL, NULL, 40ull << 40, 4096, &offset };
	uint8_t data[8192];
	struct host h;

	(void)state;
	start(&h, &io, UW_SPEED_SUPER);
	assert_int_equal(command(&h, TEN(0x25), 0x80, data, 8), 8);
	assert_memory_equal(data, "\xff\xff\xff\xff\0\0\x10\0", 8);
	assert_int_equal(command(&h, SIXTEEN(0x9e, 0x10, [13] = 32), 0x80, data, 32), 32);
	assert_memory_equal(data, "\0\0\0\2\x7f\xff\xff\xff\0\0\x10\0", 12);
	assert_int_equal(command(&h, SIXTEEN(0x88, [5] = 2, [6] = 0x7f, 255, 255, 254, [13] = 2), 0x80, data, 8192), 8192);
	assert_true(offset == (40ull << 40) - 8192);
	assert_int_equal(command(&h, SIXTEEN(0x88, [10] = 0xff, 255, 255, 255), 0x80, data, 4096), ILLEGAL_FIELD);
	host_fini(&h);
}

static void test_refused_storage(void **state)
{
	const struct uw_model_kind *kind = uw_model_find("disk");
	struct uw_disk_io io = storage;
	const struct uw_model_options options = { .disk = &io }, none = { 0 };
	void *memory = malloc(kind->size);

	(void)state;
	assert_null(kind->init(memory, &none));
	io.block = 1000;
	assert_null(kind->init(memory, &options));
	io.block = 8192;
	assert_null(kind->init(memory, &options));
	io.block = 0;
	io.size = 511;
	assert_null(kind->init(memory, &options));
	io.size = 512;
	assert_non_null(kind->init(memory, &options));
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thirteen_cases),
		cmocka_unit_test(test_bad_wrappers),
		cmocka_unit_test(test_class_requests),
		cmocka_unit_test(test_split_data),
		cmocka_unit_test(test_host_breaks_off),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_writes),
		cmocka_unit_test(test_attention_as_sense),
		cmocka_unit_test(test_lun),
		cmocka_unit_test(test_failing_storage),
		cmocka_unit_test(test_write_protection),
		cmocka_unit_test(test_eject),
		cmocka_unit_test(test_huge_disk),
		cmocka_unit_test(test_refused_storage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
