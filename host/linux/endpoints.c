/* SPDX-License-Identifier: GPL-2.0-only */
/* The libusb backend: what libusb says in our words, and which endpoints a device has at its present settings. */
#include "usbdev.h"

/*
 * The result of a call. other: what a failure without a name of its own means there. For requests to the device that
 * is nearly always a STALL, an answer, which must not count as a fault.
 */
uint32_t uw_usb_status_of_call(int result, uint32_t other)
{
	switch (result) {
	case LIBUSB_SUCCESS:
		return UW_ST_OK;
	case LIBUSB_ERROR_NO_DEVICE:
		return UW_ST_NO_DEVICE;
	case LIBUSB_ERROR_NOT_FOUND:
		return UW_ST_NO_ENDPOINT;
	case LIBUSB_ERROR_INVALID_PARAM: /* a control transfer above libusb's 4096 bytes */
	case LIBUSB_ERROR_NOT_SUPPORTED:
		return UW_ST_UNSUPPORTED;
	case LIBUSB_ERROR_PIPE:
		return UW_ST_STALL;
	case LIBUSB_ERROR_OTHER:
		return other;
	default:
		return UW_ST_HOST;
	}
}

/* ---- configuration and endpoints, from descriptors that libusb holds ---- */

struct libusb_config_descriptor *uw_usb_descriptor(struct uw_usb *u, uint8_t value)
{
	struct libusb_config_descriptor *config = NULL;

	if (!value || libusb_get_config_descriptor_by_value(libusb_get_device(u->handle), value, &config))
		return NULL;
	return config;
}

static void note_alternate(struct uw_usb *u, const struct libusb_interface_descriptor *d, bool present)
{
	uint32_t i;

	for (i = 0; i < d->bNumEndpoints; i++)
		u->endpoint[uw_usb_index(d->endpoint[i].bEndpointAddress)] =
			present ? d->endpoint[i].bmAttributes & 3 : UW_NOT_AN_ENDPOINT;
}

/* Endpoints of one interface at the setting it has now. */
static void note_interface(struct uw_usb *u, const struct libusb_interface *itf)
{
	const struct libusb_interface_descriptor *d;
	int i;

	for (i = 0; i < itf->num_altsetting; i++)
		note_alternate(u, &itf->altsetting[i], false);
	for (i = 0; i < itf->num_altsetting; i++) {
		d = &itf->altsetting[i];
		if (d->bInterfaceNumber < UW_USB_INTERFACES && d->bAlternateSetting == u->alternate[d->bInterfaceNumber])
			note_alternate(u, d, true);
	}
}

void uw_usb_note_endpoints(struct uw_usb *u)
{
	struct libusb_config_descriptor *config = uw_usb_descriptor(u, u->configuration);
	uint32_t i;

	memset(u->endpoint, UW_NOT_AN_ENDPOINT, sizeof(u->endpoint));
	for (i = 0; config && i < config->bNumInterfaces; i++)
		note_interface(u, &config->interface[i]);
	if (config)
		libusb_free_config_descriptor(config);
}

bool uw_usb_has_endpoint(const struct uw_usb *u, const struct uw_transfer_io *io)
{
	uint8_t type = u->endpoint[uw_usb_index(io->endpoint)];

	return io->type == UW_CONTROL ? !(io->endpoint & 0x0f) : (io->endpoint & 0x0f) && type == io->type;
}
