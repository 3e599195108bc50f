/* SPDX-License-Identifier: GPL-2.0-only */
/* What libusb says, in our words; and which endpoints a device has, by the descriptors that libusb holds. */
#include "usbdev.h"

uint32_t uw_usb_transfer_status(enum libusb_transfer_status status)
{
	static const uint8_t table[] = {
		[LIBUSB_TRANSFER_COMPLETED] = UW_ST_OK,
		[LIBUSB_TRANSFER_ERROR] = UW_ST_PROTOCOL,
		[LIBUSB_TRANSFER_TIMED_OUT] = UW_ST_HOST, /* never asked for */
		[LIBUSB_TRANSFER_CANCELLED] = UW_ST_CANCELLED,
		[LIBUSB_TRANSFER_STALL] = UW_ST_STALL,
		[LIBUSB_TRANSFER_NO_DEVICE] = UW_ST_NO_DEVICE,
		[LIBUSB_TRANSFER_OVERFLOW] = UW_ST_BABBLE,
	};

	return (uint32_t)status < UW_COUNT_OF(table) ? table[status] : UW_ST_HOST;
}

uint32_t uw_usb_call_status(int result, uint32_t other)
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

/* ---- configuration and endpoints ---- */

struct libusb_config_descriptor *uw_usb_config(struct uw_usb *u, uint8_t value)
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
			present ? d->endpoint[i].bmAttributes & 3 : UW_USB_NO_ENDPOINT;
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
	struct libusb_config_descriptor *config = uw_usb_config(u, u->configuration);
	uint32_t i;

	memset(u->endpoint, UW_USB_NO_ENDPOINT, sizeof(u->endpoint));
	for (i = 0; config && i < config->bNumInterfaces; i++)
		note_interface(u, &config->interface[i]);
	if (config)
		libusb_free_config_descriptor(config);
}

bool uw_usb_has_endpoint(const struct uw_usb *u, const struct uw_transfer_io *io)
{
	uint8_t type = u->endpoint[uw_usb_index(io->endpoint)];
	uint16_t streams = u->streams[uw_usb_index(io->endpoint)];

	if (streams ? !io->stream || io->stream > streams : io->stream)
		return false;
	return io->type == UW_CONTROL ? !(io->endpoint & 0x0f) : (io->endpoint & 0x0f) && type == io->type;
}

uint32_t uw_usb_interfaces(struct uw_usb *u, uint8_t configuration)
{
	struct libusb_config_descriptor *config = uw_usb_config(u, configuration);
	uint32_t i, bits = 0, number;

	for (i = 0; config && i < config->bNumInterfaces; i++) {
		number = config->interface[i].num_altsetting ? config->interface[i].altsetting[0].bInterfaceNumber : 0;
		if (number < UW_USB_INTERFACES)
			bits |= 1u << number;
	}
	if (config)
		libusb_free_config_descriptor(config);
	return bits;
}
