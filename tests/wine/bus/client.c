/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A driver with a USBD handle (../usbd/contract.h): what it sends is judged by whoever made the URBs, and only what it has
 * asked for before may be used. A driver without one sends URBs of its own making, and never both.
 */
#include "bus.h"

static void close(void *bus)
{
	struct uw_vdev *dev = bus;
	uint32_t left;
	KIRQL irql = uw_lock();

	left = dev->outstanding;
	dev->client = NULL;
	dev->may_stream = 0;
	dev->may_chain = false;
	uw_unlock(irql);
	if (left)
		uw_refused("a USBD handle closed while %u requests are under way", (unsigned int)left);
}

static NTSTATUS ask_streams(void *bus, uint16_t *most)
{
	struct uw_vdev *dev = bus;
	KIRQL irql = uw_lock();

	*most = (uint16_t)uw_bus.streams;
	dev->may_stream = uw_bus.streams;
	uw_unlock(irql);
	return *most ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
}

static NTSTATUS ask_chains(void *bus)
{
	struct uw_vdev *dev = bus;
	bool chains;
	KIRQL irql = uw_lock();

	chains = dev->may_chain = uw_bus.chains;
	uw_unlock(irql);
	return chains ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
}

NTSTATUS uw_client_open(struct uw_vdev *dev, struct uwb_usbd *client)
{
	bool second, mixed;
	KIRQL irql;

	client->ask_streams = ask_streams;
	client->ask_chains = ask_chains;
	client->close = close;
	client->bus = dev;
	irql = uw_lock();
	second = dev->client != NULL;
	mixed = dev->mixed;
	if (!second && !mixed)
		dev->client = client;
	uw_unlock(irql);
	if (second)
		uw_refused("a second USBD handle for one device");
	else if (mixed)
		uw_refused("a USBD handle after the first request");
	return second || mixed ? STATUS_INVALID_DEVICE_STATE : STATUS_SUCCESS;
}

void uw_client_gone(struct uw_vdev *dev)
{
	bool open;
	KIRQL irql = uw_lock();

	open = dev->client != NULL;
	dev->client = NULL;
	dev->may_stream = 0;
	dev->may_chain = false;
	dev->mixed = false;
	uw_unlock(irql);
	if (open)
		uw_refused("REMOVE_DEVICE before the USBD handle was closed");
}

bool uw_client_begin(struct uw_vdev *dev, IRP *irp, URB *urb)
{
	struct uwb_usbd *client;
	const char *why;
	KIRQL irql = uw_lock();

	client = dev->client;
	dev->mixed |= !client;
	uw_unlock(irql);
	why = client ? client->begin(client, urb, irp) : NULL;
	if (why)
		uw_refused("%s", why);
	return !why;
}

void uw_client_end(struct uw_vdev *dev, URB *urb)
{
	struct uwb_usbd *client = dev->client;

	if (client)
		client->end(client, urb);
}
