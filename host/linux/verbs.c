/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls on real devices that block, on the device's thread. None of them handles events. */
#include "usbdev.h"

int uw_usb_claim(struct uw_usb *u)
{
	uint32_t wanted = uw_usb_interfaces(u, u->configuration) & ~u->claimed;
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

void uw_usb_release(struct uw_usb *u)
{
	int i;

	for (i = 0; i < (int)UW_USB_INTERFACES; i++)
		if (u->claimed & 1u << i)
			libusb_release_interface(u->handle, i);
	u->claimed = 0;
}

/* ---- streams ---- */

static int free_streams_of(struct uw_usb *u, uint8_t address)
{
	int result = 0;

	if (u->streams[uw_usb_index(address)])
		result = libusb_free_streams(u->handle, &address, 1);
	u->streams[uw_usb_index(address)] = 0;
	return result;
}

/*
 * A new configuration or setting, and a reset, end streams. Not every way through the kernel makes it forget them, and
 * then it would refuse to give them anew, so they are given back before.
 */
static void free_all_streams(struct uw_usb *u)
{
	uint32_t i;

	for (i = 0; i < UW_USB_ENDPOINTS; i++)
		free_streams_of(u, (uint8_t)((i & 0x0f) | (i & 0x10) << 3));
}

static uint32_t free_streams(struct uw_usb *u, const struct uw_transfer_io *io)
{
	int i, one, result = 0;

	for (i = 0; i < io->arg[1]; i++) {
		one = free_streams_of(u, io->endpoints[i]);
		result = one ? one : result;
	}
	return uw_usb_call_status(result, UW_ST_HOST);
}

/* usbfs takes no request for a single stream, so that is asked for as two. */
static uint32_t alloc_streams(struct uw_usb *u, struct uw_transfer_io *io)
{
	unsigned char endpoints[UW_STREAM_ENDPOINTS];
	uint32_t i, count = uw_min(io->arg[1], UW_STREAM_ENDPOINTS);
	int result;

	uw_copy(endpoints, io->endpoints, count);
	result = libusb_alloc_streams(u->handle, io->arg[0] < 2 ? 2 : io->arg[0], endpoints, (int)count);
	if (result <= 0)
		return result ? uw_usb_call_status(result, UW_ST_UNSUPPORTED) : UW_ST_UNSUPPORTED;
	io->actual = uw_min((uint32_t)result, io->arg[0]);
	for (i = 0; i < count; i++)
		u->streams[uw_usb_index(endpoints[i])] = (uint16_t)io->actual;
	return UW_ST_OK;
}

/* ---- configuration ---- */

/* Of one interface, whatever its alternate setting: another's go on. */
static void free_streams_at(struct uw_usb *u, uint16_t number)
{
	struct libusb_config_descriptor *config = uw_usb_config(u, u->configuration);
	const struct libusb_interface *interface;
	int i, a, e;

	for (i = 0; config && i < config->bNumInterfaces; i++) {
		interface = &config->interface[i];
		for (a = 0; a < interface->num_altsetting && interface->altsetting->bInterfaceNumber == number; a++)
			for (e = 0; e < interface->altsetting[a].bNumEndpoints; e++)
				(void)free_streams_of(u, interface->altsetting[a].endpoint[e].bEndpointAddress);
	}
	if (config)
		libusb_free_config_descriptor(config);
}

static int set_interface(struct uw_usb *u, uint16_t number, uint16_t alternate)
{
	int result;

	if (number >= UW_USB_INTERFACES || !(u->claimed & 1u << number))
		return LIBUSB_ERROR_NOT_FOUND;
	free_streams_at(u, number);
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

	free_all_streams(u);
	libusb_set_auto_detach_kernel_driver(u->handle, 0); /* or releasing would call the kernel's drivers back */
	uw_usb_release(u);
	result = libusb_set_configuration(u->handle, value ? value : -1);
	libusb_set_auto_detach_kernel_driver(u->handle, 1);
	if (!result) {
		u->configuration = value;
		memset(u->alternate, 0, sizeof(u->alternate));
	}
	claimed = uw_usb_claim(u);
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
	int result;

	free_all_streams(u);
	result = libusb_reset_device(u->handle);
	u->fresh = !result;
	/* Not found: it came back as another device, as after a change of firmware. */
	return result == LIBUSB_ERROR_NOT_FOUND ? UW_ST_NO_DEVICE : uw_usb_call_status(result, UW_ST_PROTOCOL);
}

static void run_verb(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, job);
	struct uw_transfer_io *io = uw_usb_io_at(u->verbs.next);

	switch (io->verb) {
	case UW_VERB_SUSPEND:
		io->status = uw_usb_suspend(u);
		break;
	case UW_VERB_RESUME:
		io->status = uw_usb_resume(u);
		break;
	case UW_VERB_RESET:
		io->status = reset(u);
		break;
	case UW_VERB_SET_CONFIGURATION:
		io->status = uw_usb_call_status(set_configuration(u, (uint8_t)io->arg[0]), UW_ST_STALL);
		u->fresh = false;
		break;
	case UW_VERB_SET_INTERFACE:
		io->status = uw_usb_call_status(set_interface(u, io->arg[0], io->arg[1]), UW_ST_STALL);
		u->fresh = false;
		break;
	case UW_VERB_ALLOC_STREAMS:
		io->status = alloc_streams(u, io);
		u->fresh = false;
		break;
	case UW_VERB_FREE_STREAMS:
		io->status = free_streams(u, io);
		break;
	default:
		io->status = uw_usb_call_status(libusb_clear_halt(u->handle, (unsigned char)io->arg[0]), UW_ST_STALL);
		u->fresh = false;
		break;
	}
}

static void on_verb(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, job);
	struct uw_transfer_io *io = uw_usb_io_at(u->verbs.next);

	if (io->verb == UW_VERB_SUSPEND && io->status == UW_ST_OK)
		uw_usb_watch(u);
	else if (io->verb != UW_VERB_CLEAR_HALT)
		uw_usb_note_endpoints(u);
	if (io->status == UW_ST_NO_DEVICE)
		uw_usb_lose(u);
	uw_list_del(&io->node);
	if (!uw_list_empty(&u->verbs))
		uw_thread_post(u->thread, &u->job);
	else
		uw_usb_take_back(u);
	uw_usb_answer(u, io, io->status);
	uw_usb_shut_on(u);
}

void uw_usb_verb(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_usb *u = uw_usb_of(device);
	bool first = uw_list_empty(&u->verbs);

	uw_list_init(&io->node);
	if (u->lost || u->closed) {
		uw_usb_answer(u, io, UW_ST_NO_DEVICE);
		return;
	}
	if (io->verb == UW_VERB_SUSPEND && !uw_usb_can_watch(u)) {
		uw_usb_answer(u, io, UW_ST_UNSUPPORTED);
		return;
	}
	u->asleep = false; /* whatever wakes it from here on, the guest has asked for */
	uw_list_add(&u->verbs, &io->node);
	if (!first)
		return;
	uw_usb_lend(u);
	uw_thread_post(u->thread, &u->job);
}

void uw_usb_verbs_init(struct uw_usb *u)
{
	u->job.run = run_verb;
	u->job.done = on_verb;
	uw_list_init(&u->verbs);
}
