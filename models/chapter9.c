/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The standard requests that reach a device as control transfers: USB 2.0 9.4, USB 3.2 9.4.
 *
 * SET_CONFIGURATION, SET_INTERFACE and CLEAR_FEATURE(ENDPOINT_HALT) arrive as verbs, SET_ADDRESS never; so they are
 * refused here, as are the optional SET_DESCRIPTOR and SYNCH_FRAME, and test modes.
 */
#include "model.h"

/* bmRequestType << 8 | bRequest */
enum {
	GET_DEVICE_STATUS = 0x8000, GET_INTERFACE_STATUS = 0x8100, GET_ENDPOINT_STATUS = 0x8200,
	CLEAR_DEVICE_FEATURE = 0x0001, CLEAR_INTERFACE_FEATURE = 0x0101,
	SET_DEVICE_FEATURE = 0x0003, SET_INTERFACE_FEATURE = 0x0103, SET_ENDPOINT_FEATURE = 0x0203,
	GET_DESCRIPTOR = 0x8006, GET_CONFIGURATION = 0x8008, GET_INTERFACE = 0x810a,
	SET_SEL = 0x0030, SET_ISOCH_DELAY = 0x0031,
};

/* Feature selectors: USB 3.2 table 9-7. */
enum {
	ENDPOINT_HALT = 0, FUNCTION_SUSPEND = 0, DEVICE_REMOTE_WAKEUP = 1, U1_ENABLE = 48, U2_ENABLE = 49,
};

#define FUNCTION_WAKE 2u /* of wIndex's high byte and of the interface status: USB 3.2 9.4.9, figure 9-5 */

static bool super(const struct uw_model *m) { return m->dev.speed == UW_SPEED_SUPER; }

static bool can_wake(const struct uw_model *m) { return m->config && m->config->attributes & UW_CONFIG_WAKEUP; }

/* At most what was asked for. */
static int32_t reply(const struct uw_setup *s, uint8_t *data, const uint8_t *from, uint32_t bytes)
{
	uint32_t n = uw_min(bytes, s->length);

	if (n)
		uw_copy(data, from, n);
	return (int32_t)n;
}

static int32_t reply16(const struct uw_setup *s, uint8_t *data, uint32_t v)
{
	uint8_t both[2] = { (uint8_t)v, (uint8_t)(v >> 8) };

	return reply(s, data, both, sizeof(both));
}

static int32_t get_descriptor(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	uint32_t n = uw_model_descriptor(m, (uint8_t)(s->value >> 8), (uint8_t)s->value, s->index);

	return n ? reply(s, data, m->scratch, n) : UW_MODEL_STALL;
}

/* USB 2.0 figure 9-4, USB 3.2 figure 9-4. Bit 1 is remote wake-up below super speed only. */
static int32_t get_device_status(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	uint32_t v = m->config && m->config->attributes & UW_CONFIG_SELF ? 1 : 0;

	if (super(m))
		v |= (m->u1 ? 4u : 0) | (m->u2 ? 8u : 0);
	else
		v |= m->wakeup ? 2u : 0;
	return reply16(s, data, v);
}

/* Zero below super speed: USB 2.0 figure 9-5. The first interface of a function tells about wake: USB 3.2 9.4.5. */
static int32_t get_interface_status(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	uint32_t v = 0;

	if (!uw_model_find_interface(m, s->index, 0))
		return UW_MODEL_STALL;
	if (super(m) && !s->index && can_wake(m))
		v = 1u | (m->wakeup ? FUNCTION_WAKE : 0);
	return reply16(s, data, v);
}

/* The endpoint wIndex names, or NULL. Endpoint 0 is there even before a configuration is, and never halted. */
static struct uw_model_ep *named_ep(struct uw_model *m, uint16_t index)
{
	struct uw_model_ep *ep = &m->ep[uw_model_index((uint8_t)index)];

	if (index & ~0x8fu)
		return NULL;
	return ep->desc || !(index & 15u) ? ep : NULL;
}

static int32_t get_endpoint_status(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	const struct uw_model_ep *ep = named_ep(m, s->index);

	return ep ? reply16(s, data, ep->halted) : UW_MODEL_STALL;
}

static int32_t get_interface(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	if (!uw_model_find_interface(m, s->index, 0))
		return UW_MODEL_STALL;
	return reply(s, data, &m->alternate[s->index], 1);
}

/* Link states belong to super speed and to the configured state, remote wake-up of a whole device to what is below:
 * USB 3.2 9.4.9. */
static int32_t device_feature(struct uw_model *m, const struct uw_setup *s, bool on)
{
	if (s->value == DEVICE_REMOTE_WAKEUP && !super(m) && can_wake(m))
		m->wakeup = on;
	else if (s->value == U1_ENABLE && super(m) && m->config)
		m->u1 = on;
	else if (s->value == U2_ENABLE && super(m) && m->config)
		m->u2 = on;
	else
		return UW_MODEL_STALL;
	return 0;
}

/* Function suspend itself changes nothing here; the permission to wake does. */
static int32_t interface_feature(struct uw_model *m, const struct uw_setup *s, bool on)
{
	bool wake = on && s->index >> 8 & FUNCTION_WAKE;

	if (s->value != FUNCTION_SUSPEND || !super(m) || !uw_model_find_interface(m, s->index & 0xff, 0))
		return UW_MODEL_STALL;
	if (wake && !can_wake(m))
		return UW_MODEL_STALL;
	m->wakeup = wake;
	return 0;
}

/* USB 2.0 9.4.5: isochronous endpoints have no halt. Halting endpoint 0 would serve nobody. */
static int32_t set_endpoint_feature(struct uw_model *m, const struct uw_setup *s)
{
	struct uw_model_ep *ep = named_ep(m, s->index);

	if (s->value != ENDPOINT_HALT || !ep || !ep->desc || ep->type == UW_ISOCH)
		return UW_MODEL_STALL;
	uw_model_halt(m, ep->address);
	return 0;
}

/* USB 3.2 9.4.12 and 9.4.10: hints of which a model has no use. */
static int32_t latencies(struct uw_model *m, const struct uw_setup *s, uint32_t bytes)
{
	return super(m) && s->length == bytes ? (int32_t)bytes : UW_MODEL_STALL;
}

int32_t uw_model_standard(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	uint8_t value = m->config ? m->config->value : 0;

	switch (s->type << 8 | s->request) {
	case GET_DESCRIPTOR:
		return get_descriptor(m, s, data);
	case GET_CONFIGURATION:
		return reply(s, data, &value, 1);
	case GET_INTERFACE:
		return get_interface(m, s, data);
	case GET_DEVICE_STATUS:
		return s->index ? UW_MODEL_STALL : get_device_status(m, s, data);
	case GET_INTERFACE_STATUS:
		return get_interface_status(m, s, data);
	case GET_ENDPOINT_STATUS:
		return get_endpoint_status(m, s, data);
	case CLEAR_DEVICE_FEATURE:
	case SET_DEVICE_FEATURE:
		return device_feature(m, s, s->request == 3);
	case CLEAR_INTERFACE_FEATURE:
	case SET_INTERFACE_FEATURE:
		return interface_feature(m, s, s->request == 3);
	case SET_ENDPOINT_FEATURE:
		return set_endpoint_feature(m, s);
	case SET_SEL:
		return latencies(m, s, 6);
	case SET_ISOCH_DELAY:
		return latencies(m, s, 0);
	default:
		return UW_MODEL_STALL;
	}
}
