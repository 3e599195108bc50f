/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this driver must know of a device's descriptors, judged once when they are read: a device may send anything.
 * Everything later uses the result.
 */
#ifndef UW_FILTER_DESC_H
#define UW_FILTER_DESC_H

#include "base.h"

#define UW_ENDPOINTS 32u               /* 0..15 OUT, 16..31 IN */
#define UW_INTERFACES 32u              /* of one configuration */
#define UW_CONFIG_MIN 9u               /* USB 2.0 table 9-10 */
#define UW_DEVICE_BYTES 18u            /* USB 2.0 table 9-8 */

enum { UW_DESC_DEVICE = 1, UW_DESC_CONFIG = 2, UW_DESC_STRING = 3 };

struct uw_endpoint {
	uint8_t address;               /* bEndpointAddress */
	uint8_t type;                  /* enum uw_transfer */
	uint8_t interval;              /* bInterval */
	uint8_t itf;             /* bInterfaceNumber */
	uint16_t packet;               /* bytes of a packet */
	uint32_t streams;              /* that a bulk endpoint can have, 0: none */
	uint32_t service;              /* bytes of a service interval: packets with their repeats, or the companion's */
};

/* One alternate setting of one interface. */
struct uw_setting {
	uint8_t itf;
	uint8_t alternate;
	uint8_t endpoints;
	struct uw_endpoint endpoint[UW_ENDPOINTS];
	const uint8_t *descriptor;     /* its interface descriptor, in the configuration's bytes */
	void *info;                    /* USBD_INTERFACE_INFORMATION of it, in an URB that selects it */
};

static inline uint32_t uw_endpoint_index(uint8_t address)
{
	return (address & 0x0fu) | (address & 0x80u ? 16u : 0u);
}

/* Is it a configuration descriptor whose parts add up to its bytes? Nothing below may be given one that is not. */
UW_MUST_CHECK bool uw_desc_config_valid(const uint8_t *config, uint32_t bytes);

/* The interfaces of a valid configuration, in order and each once; returns how many. first: the lowest setting. */
uint32_t uw_desc_interfaces(const uint8_t *config, uint32_t bytes, uint8_t number[UW_INTERFACES],
			    uint8_t first[UW_INTERFACES]);
/* One setting of a valid configuration; false when there is none such. */
UW_MUST_CHECK bool uw_desc_setting(const uint8_t *config, uint32_t bytes, uint8_t itf, uint8_t alternate,
				   struct uw_setting *out);
/* Has any setting an endpoint that only a full-speed (bulk, isochronous, or more than 8 bytes) device may have? */
bool uw_desc_beyond_low_speed(const uint8_t *config, uint32_t bytes);

/* Has it a bulk endpoint of 512 bytes, which is high speed's alone? */
bool uw_desc_high_speed(const uint8_t *config, uint32_t bytes);

/* enum uw_speed of a device; high: the bus says that it runs at high speed. config may be NULL. */
uint8_t uw_desc_speed(const uint8_t device[UW_DEVICE_BYTES], bool high, const uint8_t *config, uint32_t bytes);

/* A string descriptor's text appended to out as UTF-8, zero-terminated; unprintable characters become '?'. */
void uw_desc_text(const uint8_t *string, uint32_t bytes, char *out, uint32_t room);

#endif
