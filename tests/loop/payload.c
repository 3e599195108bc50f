/* SPDX-License-Identifier: GPL-2.0-only */
/* Payload whose every byte says whose it is: the URB, who wrote it, in which epoch, and where in the URB it belongs. */
#include "loop.h"

static uint64_t key_of(uint32_t serial, enum payload kind, uint32_t epoch)
{
	return (serial * 4ull + kind) * 0x9e3779b97f4a7c15ull + epoch * 0xd1b54a32d192ed03ull;
}

/* Eight bytes of the pattern, from offset 8 * at. Odd multipliers keep neighbours and offsets apart. */
static uint64_t word(uint64_t key, uint32_t at)
{
	uint64_t v = (key ^ at) * 0xbf58476d1ce4e5b9ull;

	return v ^ v >> 29;
}

static uint8_t byte(uint64_t key, uint32_t offset)
{
	return (uint8_t)(word(key, offset / 8) >> (offset % 8 * 8));
}

void payload_write(uint8_t *at, uint32_t serial, enum payload kind, uint32_t epoch, uint32_t offset, uint32_t length)
{
	uint64_t key = key_of(serial, kind, epoch), v;
	uint32_t i = 0;

	for (; i < length && (offset + i) % 8; i++)
		at[i] = byte(key, offset + i);
	for (; i + 8 <= length; i += 8) {
		v = word(key, (offset + i) / 8);
		memcpy(at + i, &v, 8);
	}
	for (; i < length; i++)
		at[i] = byte(key, offset + i);
}

bool payload_holds(const uint8_t *at, uint32_t serial, enum payload kind, uint32_t epoch, uint32_t offset,
		   uint32_t length)
{
	uint64_t key = key_of(serial, kind, epoch), v, differs = 0;
	uint32_t i = 0;

	for (; i < length && (offset + i) % 8; i++)
		differs |= at[i] ^ byte(key, offset + i);
	for (; i + 8 <= length; i += 8) {
		memcpy(&v, at + i, 8);
		differs |= v ^ word(key, (offset + i) / 8);
	}
	for (; i < length; i++)
		differs |= at[i] ^ byte(key, offset + i);
	return !differs;
}

uint32_t packet_actual(uint32_t serial, uint32_t n, uint32_t length)
{
	return packet_status(serial, n) == UW_ST_OK ? (serial * 31 + n * 17) % (length + 1) : 0;
}

uint32_t packet_status(uint32_t serial, uint32_t n)
{
	static const uint8_t status[8] = { UW_ST_OK, UW_ST_OK, UW_ST_OK, UW_ST_OK, UW_ST_OK, UW_ST_OK, UW_ST_PROTOCOL,
					   UW_ST_LATE };

	return status[(serial * 7 + n * 5) % 8];
}
