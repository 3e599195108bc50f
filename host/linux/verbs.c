/* SPDX-License-Identifier: GPL-2.0-only */
/* The libusb backend: verbs, whose calls block and run on the device's thread. None of them handles events. */
#include "usbdev.h"

/* The interfaces of a configuration, one bit each. */
static uint32_t interfaces_of(struct uw_usb *u, uint8_t configuration)
{
	struct libusb_config_descriptor *config = uw_usb_descriptor(u, configuration);
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

/* Takes every interface, from kernel drivers too. */
int uw_verb_claim(struct uw_usb *u)
{
	uint32_t wanted = interfaces_of(u, u->configuration) & ~u->claimed;
	int i, result;

	for (i = 0; i < (int)UW_USB_INTERFACES; i++) {
		if (!(wanted & 1u << i))
			continue;
		result = libusb_claim_interface(u->handle, i);
		if (result)
			return result;
		u->claimed |= 1u << i;
	}
	return 0;
}

void uw_verb_release(struct uw_usb *u)
{
	int i;

	for (i = 0; i < (int)UW_USB_INTERFACES; i++)
		if (u->claimed & 1u << i)
			libusb_release_interface(u->handle, i);
	u->claimed = 0;
}

static int set_interface(struct uw_usb *u, uint16_t number, uint16_t alternate)
{
	int result;

	if (number >= UW_USB_INTERFACES || !(u->claimed & 1u << number))
		return LIBUSB_ERROR_NOT_FOUND;
	result = libusb_set_interface_alt_setting(u->handle, number, alternate);
	if (!result)
		u->alternate[number] = (uint8_t)alternate;
	return result;
}

/*
 * The kernel wants all interfaces free for this. It takes the value that is set already for a request to begin anew:
 * it sends it on, and both sides' data toggles and alternate settings start from 0.
 */
static int change_configuration(struct uw_usb *u, uint8_t value)
{
	int result, claimed;

	libusb_set_auto_detach_kernel_driver(u->handle, 0); /* or releasing would call the kernel's drivers back */
	uw_verb_release(u);
	result = libusb_set_configuration(u->handle, value ? value : -1);
	libusb_set_auto_detach_kernel_driver(u->handle, 1);
	if (!result) {
		u->configuration = value;
		memset(u->alternate, 0, sizeof(u->alternate));
	}
	claimed = uw_verb_claim(u);
	return result ? result : claimed;
}

/*
 * After a port reset the kernel has set the former configuration by itself. Then a guest that sets the same gets what
 * it asks for without a second request, which some devices take badly: toggles are at 0 since the reset, and of the
 * alternate settings, which the kernel restored as well, those that are not 0 are set.
 */
static int set_configuration(struct uw_usb *u, uint8_t value)
{
	uint16_t i;
	int result = 0;

	if (!value || !u->fresh || value != u->configuration)
		return change_configuration(u, value);
	for (i = 0; i < UW_USB_INTERFACES && !result; i++)
		if (u->alternate[i])
			result = set_interface(u, i, 0);
	return result;
}

static uint32_t reset(struct uw_usb *u)
{
	int result = libusb_reset_device(u->handle);

	u->fresh = !result;
	/* Not found: it came back as another device, as after a change of firmware. */
	return result == LIBUSB_ERROR_NOT_FOUND ? UW_ST_NO_DEVICE : uw_usb_status_of_call(result, UW_ST_PROTOCOL);
}

/* USB 3.2 8.12.1.4. libusb takes the addresses as not constant, and leaves them as they are. */
static void alloc_streams(struct uw_usb *u, struct uw_transfer_io *io)
{
	int granted = libusb_alloc_streams(u->handle, io->arg[0], (unsigned char *)(uintptr_t)io->endpoints, io->arg[1]);

	io->actual = granted > 0 ? (uint32_t)granted : 0;
	io->status = granted > 0 ? UW_ST_OK : uw_usb_status_of_call(granted, UW_ST_UNSUPPORTED);
}

static void free_streams(struct uw_usb *u, struct uw_transfer_io *io)
{
	int result = libusb_free_streams(u->handle, (unsigned char *)(uintptr_t)io->endpoints, io->arg[1]);

	io->status = uw_usb_status_of_call(result, UW_ST_HOST);
}

void uw_verb_run(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, job);
	struct uw_transfer_io *io = uw_usb_io_at(u->verbs.next);

	switch (io->verb) {
	case UW_VERB_RESET:
		io->status = reset(u);
		break;
	case UW_VERB_SET_CONFIGURATION:
		io->status = uw_usb_status_of_call(set_configuration(u, (uint8_t)io->arg[0]), UW_ST_STALL);
		u->fresh = false;
		break;
	case UW_VERB_SET_INTERFACE:
		io->status = uw_usb_status_of_call(set_interface(u, io->arg[0], io->arg[1]), UW_ST_STALL);
		u->fresh = false;
		break;
	case UW_VERB_ALLOC_STREAMS:
		alloc_streams(u, io);
		break;
	case UW_VERB_FREE_STREAMS:
		free_streams(u, io);
		break;
	default:
		io->status = uw_usb_status_of_call(libusb_clear_halt(u->handle, (unsigned char)io->arg[0]), UW_ST_STALL);
		u->fresh = false;
		break;
	}
}

void uw_verb_done(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, job);
	struct uw_transfer_io *io = uw_usb_io_at(u->verbs.next);

	if (io->verb == UW_VERB_RESET || io->verb == UW_VERB_SET_CONFIGURATION || io->verb == UW_VERB_SET_INTERFACE)
		uw_usb_note_endpoints(u);
	if (io->status == UW_ST_NO_DEVICE)
		uw_usb_lose(u);
	uw_list_del(&io->node);
	if (!uw_list_empty(&u->verbs))
		uw_thread_post(u->thread, &u->job);
	uw_usb_answer(u, io, io->status);
	uw_usb_shut_on(u);
}

void uw_verb_submit(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_usb *u = uw_usb_of(device);
	bool first = uw_list_empty(&u->verbs);

	uw_list_init(&io->node);
	if (u->lost || u->closed) {
		uw_usb_answer(u, io, UW_ST_NO_DEVICE);
		return;
	}
	uw_list_add(&u->verbs, &io->node);
	if (first)
		uw_thread_post(u->thread, &u->job);
}
