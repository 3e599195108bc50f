/* SPDX-License-Identifier: GPL-2.0-only */
/* Rows of vectors.c: a well-formed message, up to three fields with other values, and what the host must answer. */
#ifndef UW_ROWS_H
#define UW_ROWS_H

#include "vectors.h"

#define AT(member) ((uint8_t)offsetof(struct uw_slot, member))
#define BODY AT(u)
#define ALL 0xffffffffu

/* The messages that the tables start from. */
enum base { HELLO, CONTROL, ISOCH, BULK, INTERRUPT, PORT, ALLOC, FREE, ACK, STATS, CANCEL, BYE, BASES };

static const char *const base_name[BASES] = { "hello", "control", "isoch", "bulk", "interrupt", "port", "alloc", "free",
					      "ack", "stats", "cancel", "bye" };

enum of { NUMBER, TRANSFERS, TRANSFER_MAX, DATA_SIZE, PORTS, PACKETS_MAX, USB3 };

struct value {
	uint8_t at, bytes, of;
	uint32_t add;
};

/* A base message with up to three fields set. A good one moves what its endpoint moves. */
struct row {
	uint8_t base, status, why;
	struct value value[3];
};

#define LENGTH(of, add) { AT(u.submit.length), 4, of, add }
#define DATA(of, add) { AT(u.submit.data), 4, of, add }
#define TABLE(of, add) { AT(u.submit.table), 4, of, add }
#define PACKETS(of, add) { AT(u.submit.packets), 2, of, add }
#define STREAM(v) { AT(u.submit.stream), 2, NUMBER, v }
#define INTERVAL(v) { AT(u.submit.interval), 2, NUMBER, v }
#define TRANSFER(v) { AT(u.submit.transfer), 1, NUMBER, v }
#define ENDPOINT(v) { AT(u.submit.endpoint), 1, NUMBER, v }
#define SETUP(i, bytes, v) { AT(u.submit.setup) + (i), bytes, NUMBER, v }
#define FLAGS(v) { AT(flags), 1, NUMBER, v }
#define WHY(why) UW_ST_INVALID, UW_WHY_##why
#define OK UW_ST_OK, 0

static const struct row rows[] = {
	{ BULK, OK, { LENGTH(NUMBER, 0) } },
	{ BULK, OK, { LENGTH(NUMBER, 1) } },
	{ BULK, OK, { LENGTH(NUMBER, 65535) } },
	{ BULK, OK, { LENGTH(TRANSFER_MAX, 0) } },
	{ BULK, WHY(LENGTH), { LENGTH(TRANSFER_MAX, 1) } },
	{ BULK, WHY(LENGTH), { LENGTH(DATA_SIZE, 0) } },
	{ BULK, WHY(LENGTH), { LENGTH(DATA_SIZE, 1) } },
	{ BULK, WHY(LENGTH), { LENGTH(NUMBER, 0x7fffffff) } },
	{ BULK, WHY(LENGTH), { LENGTH(NUMBER, 0x80000000) } },
	{ BULK, WHY(LENGTH), { LENGTH(NUMBER, ALL - 63) } },
	{ BULK, WHY(LENGTH), { LENGTH(NUMBER, ALL) } },
	{ BULK, WHY(LENGTH), { LENGTH(NUMBER, 0u - VEC_DATA) } },
	{ BULK, WHY(LENGTH), { LENGTH(NUMBER, 0u - VEC_DATA + 1) } },
	{ BULK, OK, { DATA(NUMBER, 0) } },
	{ BULK, OK, { DATA(NUMBER, 1) } },
	{ BULK, OK, { DATA(DATA_SIZE, 0u - VEC_LENGTH) } },
	{ BULK, WHY(RANGE), { DATA(DATA_SIZE, 1u - VEC_LENGTH) } },
	{ BULK, WHY(RANGE), { DATA(DATA_SIZE, 0u - 1) } },
	{ BULK, WHY(RANGE), { DATA(DATA_SIZE, 0) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, 0x80000000) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, ALL) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, 0u - VEC_LENGTH) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, 0u - VEC_LENGTH + 1) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, 0u - VEC_LENGTH - 1) } },
	{ BULK, OK, { DATA(DATA_SIZE, 0), LENGTH(NUMBER, 0) } },
	{ BULK, OK, { DATA(DATA_SIZE, 0u - 1), LENGTH(NUMBER, 1) } },
	{ BULK, WHY(RANGE), { DATA(DATA_SIZE, 1), LENGTH(NUMBER, 0) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, ALL), LENGTH(NUMBER, 0) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, ALL), LENGTH(NUMBER, 1) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, ALL), LENGTH(NUMBER, 2) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, 0x80000000), LENGTH(NUMBER, 0) } },
	{ BULK, WHY(RANGE), { DATA(NUMBER, 0u - 65536), LENGTH(NUMBER, 65536) } },
	{ BULK, WHY(LENGTH), { DATA(NUMBER, 0x80000000), LENGTH(NUMBER, 0x80000000) } },
	{ BULK, WHY(LENGTH), { DATA(NUMBER, ALL), LENGTH(NUMBER, ALL) } },
	{ BULK, OK, { DATA(DATA_SIZE, 0u - 65536), LENGTH(NUMBER, 65536) } },
	{ BULK, WHY(RANGE), { DATA(DATA_SIZE, 0u - 65535), LENGTH(NUMBER, 65536) } },
	{ BULK, WHY(RANGE), { DATA(DATA_SIZE, 0u - 65536), LENGTH(TRANSFER_MAX, 0) } },

	{ BULK, WHY(RESERVED), { TABLE(NUMBER, 16) } },
	{ BULK, WHY(RESERVED), { TABLE(NUMBER, ALL) } },
	{ BULK, WHY(RESERVED), { PACKETS(NUMBER, 1) } },
	{ INTERRUPT, WHY(RESERVED), { TABLE(NUMBER, 16) } },
	{ INTERRUPT, WHY(RESERVED), { PACKETS(NUMBER, 1) } },
	{ INTERRUPT, WHY(RESERVED), { STREAM(1) } },
	{ CONTROL, WHY(RESERVED), { TABLE(NUMBER, 16) } },
	{ CONTROL, WHY(RESERVED), { PACKETS(NUMBER, 0xffff) } },
	{ CONTROL, WHY(RESERVED), { STREAM(1) } },
	{ ISOCH, WHY(RESERVED), { STREAM(1) } },
	{ ISOCH, WHY(RESERVED), { STREAM(0xffff) } },
	{ BULK, WHY(RESERVED), { SETUP(0, 1, 1) } },
	{ BULK, WHY(RESERVED), { SETUP(7, 1, 0x80) } },
	{ ISOCH, WHY(RESERVED), { SETUP(3, 1, 1) } },
	{ INTERRUPT, WHY(RESERVED), { SETUP(0, 4, ALL) } },

	{ BULK, OK, { STREAM(1) } },
	{ BULK, OK, { STREAM(65533) } },
	{ BULK, WHY(STREAM), { STREAM(65534) } },
	{ BULK, WHY(STREAM), { STREAM(65535) } },
	{ BULK, WHY(INTERVAL), { INTERVAL(1) } },
	{ BULK, WHY(INTERVAL), { INTERVAL(0xffff) } },
	{ CONTROL, WHY(INTERVAL), { INTERVAL(1) } },
	{ INTERRUPT, WHY(INTERVAL), { INTERVAL(0) } },
	{ INTERRUPT, OK, { INTERVAL(0xffff) } },
	{ INTERRUPT, OK, { INTERVAL(0x8000) } },
	{ ISOCH, WHY(INTERVAL), { INTERVAL(0) } },
	{ ISOCH, OK, { INTERVAL(0xffff) } },

	{ BULK, WHY(ENDPOINT), { ENDPOINT(0x80) } },
	{ BULK, WHY(ENDPOINT), { ENDPOINT(0) } },
	{ INTERRUPT, WHY(ENDPOINT), { ENDPOINT(0x80) } },
	{ ISOCH, WHY(ENDPOINT), { ENDPOINT(0) } },
	{ BULK, UW_ST_STALL, 0, { ENDPOINT(0x83) } },
	{ BULK, UW_ST_STALL, 0, { ENDPOINT(3) } },
	{ BULK, UW_ST_NO_ENDPOINT, 0, { ENDPOINT(0x8f) } },
	{ INTERRUPT, UW_ST_NO_ENDPOINT, 0, { ENDPOINT(0x0f) } },
	{ BULK, OK, { ENDPOINT(1), FLAGS(UW_SUBMIT_ZERO_PACKET) } },
	{ BULK, OK, { FLAGS(UW_SUBMIT_SHORT_NOT_OK) } },
	{ BULK, WHY(ENDPOINT), { FLAGS(UW_SUBMIT_ZERO_PACKET) } },
	{ BULK, WHY(ENDPOINT), { FLAGS(UW_SUBMIT_FLAGS) } },
	{ BULK, WHY(ENDPOINT), { ENDPOINT(1), FLAGS(UW_SUBMIT_SHORT_NOT_OK) } },
	{ BULK, WHY(ENDPOINT), { ENDPOINT(1), FLAGS(UW_SUBMIT_FLAGS) } },
	{ INTERRUPT, WHY(ENDPOINT), { ENDPOINT(1), FLAGS(UW_SUBMIT_ZERO_PACKET) } },
	{ ISOCH, WHY(ENDPOINT), { ENDPOINT(1), FLAGS(UW_SUBMIT_ZERO_PACKET) } },
	{ CONTROL, WHY(ENDPOINT), { FLAGS(UW_SUBMIT_ZERO_PACKET) } },
	{ CONTROL, OK, { FLAGS(UW_SUBMIT_SHORT_NOT_OK) } },

	{ BULK, WHY(TRANSFER), { TRANSFER(4) } },
	{ BULK, WHY(TRANSFER), { TRANSFER(0x7f) } },
	{ BULK, WHY(TRANSFER), { TRANSFER(0x80) } },
	{ BULK, WHY(TRANSFER), { TRANSFER(0xff) } },
	{ BULK, WHY(TRANSFER), { TRANSFER(6), TABLE(NUMBER, 7) } },
	{ BULK, WHY(ENDPOINT), { TRANSFER(4), ENDPOINT(0) } },
	{ BULK, WHY(SETUP), { TRANSFER(UW_CONTROL) } },
	{ BULK, WHY(PACKETS), { TRANSFER(UW_ISOCH) } },

	{ CONTROL, WHY(SETUP), { LENGTH(NUMBER, VEC_LENGTH - 1) } },
	{ CONTROL, WHY(SETUP), { LENGTH(NUMBER, VEC_LENGTH + 1) } },
	{ CONTROL, WHY(SETUP), { LENGTH(NUMBER, VEC_LENGTH + 65536) } },
	{ CONTROL, WHY(SETUP), { LENGTH(NUMBER, 0x80000000u + VEC_LENGTH) } },
	{ CONTROL, WHY(SETUP), { LENGTH(NUMBER, ALL) } },
	{ CONTROL, WHY(SETUP), { SETUP(6, 2, 0) } },
	{ CONTROL, WHY(SETUP), { SETUP(6, 2, 0xffff) } },
	{ CONTROL, OK, { SETUP(6, 2, 0xffff), LENGTH(NUMBER, 0xffff) } },
	{ CONTROL, OK, { SETUP(6, 2, 0), LENGTH(NUMBER, 0) } },
	{ CONTROL, WHY(SETUP), { ENDPOINT(0) } },
	{ CONTROL, WHY(SETUP), { SETUP(0, 1, 0) } },
	{ CONTROL, OK, { SETUP(0, 1, 0), ENDPOINT(0) } },
	{ CONTROL, WHY(SETUP), { SETUP(0, 2, 0x0500), SETUP(6, 2, 0), LENGTH(NUMBER, 0) } },
	{ CONTROL, WHY(SETUP), { SETUP(0, 2, 0x0500), ENDPOINT(0) } },
	{ CONTROL, OK, { SETUP(0, 4, 0x00010900), SETUP(6, 2, 0), LENGTH(NUMBER, 0) } },
	{ CONTROL, OK, { SETUP(0, 4, 0xffff0900), SETUP(6, 2, 0), LENGTH(NUMBER, 0) } },
	{ CONTROL, OK, { SETUP(0, 4, 0xffff0b01), SETUP(6, 2, 0), LENGTH(NUMBER, 0) } },
	{ CONTROL, OK, { SETUP(0, 4, 0x00000102), SETUP(4, 4, 0x0000ffff), LENGTH(NUMBER, 0) } },
	{ CONTROL, OK, { SETUP(0, 4, 0x00000102), SETUP(4, 4, 0), LENGTH(NUMBER, 0) } },
	{ CONTROL, WHY(RANGE), { DATA(NUMBER, ALL) } },
	{ CONTROL, WHY(RANGE), { DATA(DATA_SIZE, 1u - VEC_LENGTH) } },
	{ CONTROL, UW_ST_STALL, 0, { ENDPOINT(0x83) } },
	{ INTERRUPT, WHY(LENGTH), { LENGTH(TRANSFER_MAX, 1) } },
	{ INTERRUPT, WHY(RANGE), { DATA(NUMBER, 0u - 1) } },
	{ ISOCH, WHY(LENGTH), { LENGTH(NUMBER, ALL) } },
	{ ISOCH, WHY(RANGE), { DATA(DATA_SIZE, 0) } },

	{ ISOCH, WHY(PACKETS), { PACKETS(NUMBER, 0) } },
	{ ISOCH, OK, { PACKETS(NUMBER, 1) } },
	{ ISOCH, OK, { PACKETS(PACKETS_MAX, 0) } },
	{ ISOCH, WHY(PACKETS), { PACKETS(PACKETS_MAX, 1) } },
	{ ISOCH, WHY(PACKETS), { PACKETS(NUMBER, 0x8000) } },
	{ ISOCH, WHY(PACKETS), { PACKETS(NUMBER, 0xffff) } },
	{ ISOCH, OK, { TABLE(NUMBER, 0) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_TABLE + 1) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_TABLE + 2) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_TABLE + 4) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_TABLE + 8) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_TABLE + 15) } },
	{ ISOCH, OK, { TABLE(NUMBER, VEC_TABLE + 16) } },
	{ ISOCH, OK, { TABLE(DATA_SIZE, 0u - 64) } },
	{ ISOCH, WHY(TABLE), { TABLE(DATA_SIZE, 0u - 48) } },
	{ ISOCH, WHY(TABLE), { TABLE(DATA_SIZE, 0) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, 0x80000000) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, 0u - 16) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, 0u - 64) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, ALL) } },
	{ ISOCH, WHY(TABLE), { TABLE(DATA_SIZE, 0u - 64), PACKETS(PACKETS_MAX, 0) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_DATA) } },
	{ ISOCH, OK, { TABLE(NUMBER, VEC_DATA - 64) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_DATA - 48) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_DATA + VEC_LENGTH - 16) } },
	{ ISOCH, OK, { TABLE(NUMBER, VEC_DATA + VEC_LENGTH) } },
	{ ISOCH, OK, { TABLE(NUMBER, VEC_DATA), LENGTH(NUMBER, 0) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, VEC_DATA), LENGTH(NUMBER, 1) } },
	{ ISOCH, WHY(TABLE), { TABLE(NUMBER, 0), DATA(NUMBER, 0), LENGTH(TRANSFER_MAX, 0) } },
	{ ISOCH, WHY(TABLE), { DATA(NUMBER, VEC_TABLE + 32) } },
	{ ISOCH, WHY(TABLE), { DATA(NUMBER, VEC_TABLE + 63) } },
	{ ISOCH, OK, { DATA(NUMBER, VEC_TABLE + 64) } },

	{ PORT, UW_ST_NO_DEVICE, 0, { { BODY, 1, NUMBER, 2 }, { BODY + 1, 1, NUMBER, UW_PORT_RESET } } },
	{ PORT, UW_ST_NO_DEVICE, 0, { { BODY, 1, NUMBER, 2 }, { BODY + 1, 1, NUMBER, UW_PORT_SUSPEND } } },
	{ PORT, UW_ST_NO_DEVICE, 0, { { BODY, 1, PORTS, 0 }, { BODY + 1, 1, NUMBER, UW_PORT_RESUME } } },
	{ PORT, OK, { { BODY, 1, PORTS, 0 }, { BODY + 1, 1, NUMBER, UW_PORT_POWER_ON } } },
	{ PORT, OK, { { BODY, 1, PORTS, 0 }, { BODY + 1, 1, NUMBER, UW_PORT_POWER_OFF } } },
	{ PORT, OK, { { BODY + 1, 1, NUMBER, UW_PORT_RESET } } },
	{ PORT, OK, { { BODY + 1, 1, NUMBER, UW_PORT_SUSPEND } } },
	{ PORT, OK, { { BODY + 1, 1, NUMBER, UW_PORT_RESUME } } },
	{ PORT, OK, { { BODY + 1, 1, NUMBER, UW_PORT_POWER_OFF } } },
	{ BULK, UW_ST_NO_DEVICE, 0, { { AT(u.submit.port), 1, NUMBER, 2 } } },
	{ BULK, UW_ST_NO_DEVICE, 0, { { AT(u.submit.port), 1, PORTS, 0 } } },
	{ ISOCH, UW_ST_NO_DEVICE, 0, { { AT(u.submit.port), 1, NUMBER, 3 } } },
	{ BULK, OK, { { AT(u.submit.port), 1, USB3, 0 } } },

	{ ALLOC, UW_ST_NO_DEVICE, 0, { { BODY, 1, NUMBER, 1 } } },
	{ ALLOC, UW_ST_NO_DEVICE, 0, { { BODY, 1, PORTS, 0 } } },
	{ FREE, UW_ST_NO_DEVICE, 0, { { BODY, 1, NUMBER, 1 } } },
	{ ALLOC, WHY(STREAM), { { BODY + 2, 2, NUMBER, 0 } } },
	{ ALLOC, WHY(STREAM), { { BODY + 2, 2, NUMBER, 65534 } } },
	{ ALLOC, WHY(STREAM), { { BODY + 2, 2, NUMBER, 65535 } } },
	{ FREE, WHY(STREAM), { { BODY + 2, 2, NUMBER, 1 } } },
	{ FREE, WHY(STREAM), { { BODY + 2, 2, NUMBER, 65535 } } },
	{ ALLOC, WHY(RESERVED), { { BODY + 1, 1, NUMBER, 0 } } },
	{ ALLOC, WHY(ENDPOINT), { { BODY + 1, 2, NUMBER, 0 }, { BODY + 4, 1, NUMBER, 0 } } },
	{ ALLOC, WHY(ENDPOINT), { { BODY + 1, 1, NUMBER, 2 } } },
	{ ALLOC, WHY(ENDPOINT), { { BODY + 1, 1, NUMBER, 30 } } },
	{ STATS, OK, { { BODY, 2, NUMBER, 0 } } },
	{ STATS, OK, { { BODY, 2, NUMBER, 1 } } },
	{ STATS, OK, { { BODY, 2, NUMBER, 27 } } },
	{ STATS, OK, { { BODY, 2, NUMBER, 28 } } },
	{ STATS, OK, { { BODY, 2, NUMBER, 0x7fff } } },
	{ STATS, OK, { { BODY, 2, NUMBER, 0xffff } } },
};

#endif
