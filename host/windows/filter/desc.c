/* SPDX-License-Identifier: GPL-2.0-only */
/* Descriptors that a device sent: lengths are checked in one walker, which everything else goes through. */
#include "desc.h"

enum { TYPE_INTERFACE = 4, TYPE_ENDPOINT = 5, TYPE_COMPANION = 48 };

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)(p[0] | p[1] << 8);
}

/* The descriptor after at, or NULL at the end. Each has 2 bytes at least and lies inside. */
static const uint8_t *next_of(const uint8_t *config, uint32_t bytes, const uint8_t *at)
{
	uint32_t offset = (uint32_t)(at - config) + at[0];

	if (bytes - offset < 2 || config[offset] < 2 || config[offset] > bytes - offset)
		return NULL;
	return config + offset;
}

static bool is_setting(const uint8_t *at)
{
	return at[1] == TYPE_INTERFACE && at[0] >= 9;
}

static bool is_endpoint(const uint8_t *at)
{
	return at[1] == TYPE_ENDPOINT && at[0] >= 7 && (at[2] & 0x0f) && !(at[2] & 0x70);
}

bool uw_desc_config_valid(const uint8_t *config, uint32_t bytes)
{
	uint32_t offset;

	if (bytes < UW_CONFIG_MIN || config[0] < UW_CONFIG_MIN || config[1] != UW_DESC_CONFIG ||
	    word(config + 2) != bytes)
		return false;
	for (offset = 0; offset < bytes; offset += config[offset])
		if (bytes - offset < 2 || config[offset] < 2 || config[offset] > bytes - offset)
			return false;
	return config[5] != 0;
}

uint32_t uw_desc_interfaces(const uint8_t *config, uint32_t bytes, uint8_t number[UW_INTERFACES],
			    uint8_t first[UW_INTERFACES])
{
	const uint8_t *at;
	uint32_t i, count = 0;

	for (at = config; at; at = next_of(config, bytes, at)) {
		if (!is_setting(at))
			continue;
		for (i = 0; i < count && number[i] != at[2]; i++)
			;
		if (i < count && at[3] < first[i])
			first[i] = at[3];
		if (i < count || count == UW_INTERFACES)
			continue;
		number[count] = at[2];
		first[count++] = at[3];
	}
	return count;
}

/* USB 3.2 9.6.7: wBytesPerInterval of periodic endpoints; of bulk ones, streams as an exponent of 16 at most. */
static void note_companion(struct uw_endpoint *e, const uint8_t *at)
{
	uint32_t exponent = at[3] & 0x1f;

	if (e->type == UW_ISOCH || e->type == UW_INTERRUPT)
		e->service = word(at + 4);
	else if (e->type == UW_BULK && exponent)
		e->streams = 1u << uw_min(exponent, 16);
}

/* USB 2.0 9.6.6: bits 12..11 are additional transactions. */
static void note_endpoint(struct uw_endpoint *e, const uint8_t *at, const uint8_t *after, uint8_t itf)
{
	e->address = at[2];
	e->type = at[3] & 3;
	e->interval = at[6];
	e->itf = itf;
	e->packet = word(at + 4) & 0x7ff;
	e->service = e->packet * (1 + (word(at + 4) >> 11 & 3));
	e->streams = 0;
	if (after && after[1] == TYPE_COMPANION && after[0] >= 6)
		note_companion(e, after);
}

bool uw_desc_setting(const uint8_t *config, uint32_t bytes, uint8_t itf, uint8_t alternate, struct uw_setting *out)
{
	const uint8_t *at = config;
	uint32_t wanted;

	while (at && !(is_setting(at) && at[2] == itf && at[3] == alternate))
		at = next_of(config, bytes, at);
	if (!at)
		return false;
	out->descriptor = at;
	out->info = NULL;
	out->itf = itf;
	out->alternate = alternate;
	out->endpoints = 0;
	wanted = uw_min(at[4], UW_ENDPOINTS - 2);
	while ((at = next_of(config, bytes, at)) && !is_setting(at) && out->endpoints < wanted)
		if (is_endpoint(at))
			note_endpoint(&out->endpoint[out->endpoints++], at, next_of(config, bytes, at), itf);
	return true;
}

bool uw_desc_beyond_low_speed(const uint8_t *config, uint32_t bytes)
{
	const uint8_t *at;

	for (at = config; at; at = next_of(config, bytes, at))
		if (is_endpoint(at) &&
		    ((at[3] & 3) == UW_BULK || (at[3] & 3) == UW_ISOCH || (word(at + 4) & 0x7ff) > 8))
			return true;
	return false;
}

bool uw_desc_high_speed(const uint8_t *config, uint32_t bytes)
{
	const uint8_t *at;

	for (at = config; at; at = next_of(config, bytes, at))
		if (is_endpoint(at) && (at[3] & 3) == UW_BULK && (word(at + 4) & 0x7ff) == 512)
			return true;
	return false;
}

/*
 * A device says bcdUSB 3.0 and an endpoint 0 of 2^9 bytes at super speed only (USB 3.2 9.6.1). Nothing tells low speed
 * from full in a descriptor for certain; one that could be either is taken for low, which asks for nothing it cannot.
 */
uint8_t uw_desc_speed(const uint8_t device[UW_DEVICE_BYTES], bool high, const uint8_t *config, uint32_t bytes)
{
	if (device[7] == 9 && word(device + 2) >= 0x0300)
		return UW_SPEED_SUPER;
	if (high)
		return UW_SPEED_HIGH;
	return device[7] == 8 && config && !uw_desc_beyond_low_speed(config, bytes) ? UW_SPEED_LOW : UW_SPEED_FULL;
}

/* Surrogates and control characters, which a terminal might obey, are not worth a decoder here. */
static uint32_t encode(uint32_t c, char out[3])
{
	if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0) || (c >= 0xd800 && c < 0xe000))
		c = '?';
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | c >> 12);
	out[1] = (char)(0x80 | (c >> 6 & 0x3f));
	out[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

void uw_desc_text(const uint8_t *string, uint32_t bytes, char *out, uint32_t room)
{
	uint32_t used = 0, at, n;
	char c[3];

	while (used < room && out[used])
		used++;
	if (bytes < 2 || string[1] != UW_DESC_STRING)
		return;
	for (at = 2; at + 2 <= uw_min(bytes, string[0]); at += 2) {
		n = encode(word(string + at), c);
		if (used + n >= room)
			break;
		uw_copy(out + used, c, n);
		used += n;
	}
	if (used < room)
		out[used] = 0;
}
