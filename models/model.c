/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs of the backend interface, and which endpoints a setting has: the same for every model. */
#include "engine.h"

#define MICROFRAME 125000u /* nanoseconds: USB 2.0 5.3.5 */

static struct uw_model *model_of(struct uw_device *dev) { return UW_CONTAINER(dev, struct uw_model, dev); }

/* ---- settings --------------------------------------------------------------------------------------------------- */

/* Nanoseconds between services: USB 2.0 9.6.6. bInterval counts frames for a full speed interrupt endpoint, and is an
 * exponent of two everywhere else, of frames at full speed and of microframes above. */
static uint64_t period_of(const struct uw_desc_ep *desc, uint8_t speed)
{
	uint64_t interval = desc->interval[uw_model_speed(speed)];
	uint64_t frame = speed == UW_SPEED_FULL ? UW_MS : MICROFRAME;

	if (speed == UW_SPEED_FULL && (desc->type & UW_DESC_TRANSFER) == UW_INTERRUPT)
		return interval * frame;
	return frame << (interval - 1);
}

/* Takes an endpoint into the present setting; its queue is empty. */
static void ep_enable(struct uw_model *m, const struct uw_desc_ep *desc, uint8_t interface)
{
	struct uw_model_ep *ep = &m->ep[uw_model_index(desc->address)];
	uint32_t word = desc->packet[uw_model_speed(m->dev.speed)];

	ep->desc = desc;
	ep->type = desc->type & UW_DESC_TRANSFER;
	ep->interface = interface;
	ep->halted = false;
	ep->streams = 0;
	ep->packet = (uint16_t)(word & 0x7ff);
	ep->service = ep->packet * (1 + (word >> 11 & 3)); /* high bandwidth: USB 2.0 table 9-13 */
	if (m->dev.speed == UW_SPEED_SUPER)
		ep->service *= 1u + desc->burst;
	ep->period = 0;
	if (m->paced && (ep->type == UW_ISOCH || ep->type == UW_INTERRUPT))
		ep->period = period_of(desc, m->dev.speed);
	ep->next = 0;
}

/* Removes the endpoints of one interface, or of all; their transfers end. */
static void ep_disable(struct uw_model *m, int interface)
{
	for (uint32_t i = 0; i < UW_MODEL_ADDRESSES; i++) {
		struct uw_model_ep *ep = &m->ep[i];

		if (!ep->desc || (interface >= 0 && ep->interface != interface))
			continue;
		uw_model_end_queue(m, ep, UW_ST_CANCELLED);
		ep->desc = NULL;
	}
}

static void choose_interface(struct uw_model *m, const struct uw_desc_if *itf)
{
	m->alternate[itf->number] = itf->alternate;
	for (uint32_t i = 0; i < itf->eps; i++)
		ep_enable(m, &itf->ep[i], itf->number);
}

static void choose_config(struct uw_model *m, const struct uw_desc_config *config)
{
	ep_disable(m, -1);
	m->config = config;
	m->wakeup = m->u1 = m->u2 = false;
	uw_zero(m->alternate, sizeof(m->alternate));
	for (uint32_t i = 0; config && i < config->ifs; i++)
		if (!config->itf[i].alternate)
			choose_interface(m, &config->itf[i]);
	m->class->configured(m);
}

static void power_on(struct uw_model *m)
{
	m->suspended = false;
	m->alarm = UW_NEVER;
	m->class->reset(m);
	choose_config(m, NULL);
}

/* The end of a verb. */
static void answer(struct uw_model *m, struct uw_transfer_io *io, uint32_t status)
{
	io->actual = 0;
	uw_model_finish(m, io, status);
	uw_model_run(m);
}

/* ---- verbs ------------------------------------------------------------------------------------------------------ */

static int model_open(struct uw_device *dev)
{
	struct uw_model *m = model_of(dev);

	if (m->open)
		return UW_ST_BUSY;
	m->open = true;
	m->gone = false;
	m->armed = UW_NEVER;
	power_on(m);
	return UW_ST_OK;
}

static void model_close(struct uw_device *dev)
{
	struct uw_model *m = model_of(dev);

	if (!m->open)
		return;
	m->open = false;
	uw_model_end_all(m, UW_ST_CANCELLED);
	while (uw_model_deliver(m))
		;
	if (m->armed != UW_NEVER)
		m->dev.host->arm(dev, UW_NEVER);
	m->armed = UW_NEVER;
}

void uw_model_unplug(struct uw_model *m)
{
	if (!m->open || m->gone)
		return;
	m->gone = true;
	m->alarm = UW_NEVER;
	uw_model_end_all(m, UW_ST_NO_DEVICE);
	uw_model_run(m);
	m->dev.host->gone(&m->dev);
}

/* May this transfer be queued now, and if not, what is the answer? */
static uint32_t admit(struct uw_model *m, const struct uw_transfer_io *io)
{
	const struct uw_model_ep *ep = &m->ep[uw_model_index(io->endpoint)];

	if (!m->open || m->gone)
		return UW_ST_NO_DEVICE;
	if (io->type == UW_CONTROL)
		return io->endpoint & 15u ? UW_ST_NO_ENDPOINT : UW_ST_OK;
	if (!ep->desc || ep->type != io->type)
		return UW_ST_NO_ENDPOINT;
	if (ep->streams ? !io->stream || io->stream > ep->streams : io->stream)
		return UW_ST_NO_ENDPOINT;
	return UW_ST_OK;
}

static void model_submit(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);
	/* Endpoint 0 has one queue for both directions. */
	struct uw_model_ep *ep = &m->ep[io->endpoint & 15u ? uw_model_index(io->endpoint) : 0];
	uint32_t status = admit(m, io);

	io->actual = 0;
	if (status != UW_ST_OK) {
		uw_model_finish(m, io, status);
	} else {
		io->own = ep;
		uw_list_add(&ep->queue, &io->node);
		uw_model_kick(m, ep->address);
	}
	uw_model_run(m);
}

static void model_cancel(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);

	struct uw_model_ep *ep = io->own;

	if (ep) {
		uw_model_finish_queued(m, io, UW_ST_CANCELLED);
		uw_model_look(m, ep);
	}
	uw_model_run(m);
}

/* A device that is not there, or sleeps, answers no verb. */
static uint32_t reachable(const struct uw_model *m)
{
	if (!m->open || m->gone)
		return UW_ST_NO_DEVICE;
	return m->suspended ? UW_ST_PROTOCOL : UW_ST_OK;
}

static void model_reset(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);

	if (m->open && !m->gone) {
		uw_model_end_all(m, UW_ST_CANCELLED);
		power_on(m);
	}
	answer(m, io, m->open && !m->gone ? UW_ST_OK : UW_ST_NO_DEVICE);
}

/* USB 2.0 9.4.7 */
static void model_set_configuration(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);
	const struct uw_desc_config *config = uw_model_find_config(m, io->arg[0]);
	uint32_t status = reachable(m);

	if (status == UW_ST_OK && io->arg[0] && !config)
		status = UW_ST_STALL;
	if (status == UW_ST_OK)
		choose_config(m, config);
	answer(m, io, status);
}

/* USB 2.0 9.4.10 */
static void model_set_interface(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);
	const struct uw_desc_if *itf = uw_model_find_interface(m, io->arg[0], io->arg[1]);
	uint32_t status = reachable(m);

	if (status == UW_ST_OK && !itf)
		status = UW_ST_STALL;
	if (status == UW_ST_OK) {
		ep_disable(m, itf->number);
		choose_interface(m, itf);
		m->class->configured(m);
	}
	answer(m, io, status);
}

static void restart(struct uw_model *m, struct uw_model_ep *ep)
{
	uw_model_end_queue(m, ep, UW_ST_CANCELLED);
	ep->halted = false;
	if (m->class->cleared)
		m->class->cleared(m, ep);
}

/* USB 2.0 9.4.5 and 9.4.1. Endpoint 0 is never halted for longer than one request. */
static void model_clear_halt(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);
	struct uw_model_ep *ep = &m->ep[uw_model_index((uint8_t)io->arg[0])];
	uint32_t status = reachable(m);

	if (status == UW_ST_OK && io->arg[0] & 15u) {
		if (!ep->desc || ep->type == UW_ISOCH)
			status = UW_ST_STALL;
		else
			restart(m, ep);
	}
	answer(m, io, status);
}

static bool can_stream(const struct uw_model *m, uint8_t address)
{
	const struct uw_model_ep *ep = &m->ep[uw_model_index(address)];

	return ep->desc && ep->type == UW_BULK && m->streams && m->dev.speed == UW_SPEED_SUPER;
}

/* Grants every endpoint named count streams (0 takes them back), if all can have them: USB 3.2 8.12.1.4. */
static void set_streams(struct uw_model *m, struct uw_transfer_io *io, uint32_t count)
{
	uint32_t status = reachable(m);

	for (uint32_t i = 0; status == UW_ST_OK && i < io->arg[1]; i++)
		if (!can_stream(m, io->endpoints[i]))
			status = UW_ST_UNSUPPORTED;
	for (uint32_t i = 0; status == UW_ST_OK && i < io->arg[1]; i++) {
		struct uw_model_ep *ep = &m->ep[uw_model_index(io->endpoints[i])];

		uw_model_end_queue(m, ep, UW_ST_CANCELLED);
		ep->streams = count;
	}
	io->actual = status == UW_ST_OK ? count : 0;
	uw_model_finish(m, io, status);
	uw_model_run(m);
}

static void model_alloc_streams(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);

	set_streams(m, io, uw_min(io->arg[0], m->streams));
}

static void model_free_streams(struct uw_device *dev, struct uw_transfer_io *io)
{
	set_streams(model_of(dev), io, 0);
}

/* Transfers stay queued while the device sleeps: the port below them carries nothing. */
static void model_suspend(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);
	uint32_t status = m->open && !m->gone ? UW_ST_OK : UW_ST_NO_DEVICE;

	if (status == UW_ST_OK && !m->suspended) {
		m->suspended = true;
		if (m->class->suspended)
			m->class->suspended(m);
	}
	answer(m, io, status);
}

static void model_resume(struct uw_device *dev, struct uw_transfer_io *io)
{
	struct uw_model *m = model_of(dev);
	uint32_t status = m->open && !m->gone ? UW_ST_OK : UW_ST_NO_DEVICE;

	m->suspended = false;
	m->alarm = UW_NEVER;
	m->ready |= m->waiting;
	m->waiting = 0;
	answer(m, io, status);
}

static void model_timer(struct uw_device *dev)
{
	struct uw_model *m = model_of(dev);

	if (m->open)
		uw_model_tick(m);
}

const struct uw_backend uw_model_backend = {
	.name = "model",
	.open = model_open,
	.close = model_close,
	.submit = model_submit,
	.cancel = model_cancel,
	.reset = model_reset,
	.set_configuration = model_set_configuration,
	.set_interface = model_set_interface,
	.clear_halt = model_clear_halt,
	.alloc_streams = model_alloc_streams,
	.free_streams = model_free_streams,
	.suspend = model_suspend,
	.resume = model_resume,
	.timer = model_timer,
};

/* ---- setting up ------------------------------------------------------------------------------------------------- */

static uint32_t append(char *to, uint32_t used, uint32_t size, const char *from)
{
	while (*from && used + 1 < size)
		to[used++] = *from++;
	to[used] = 0;
	return used;
}

static void identify(struct uw_model *m)
{
	const struct uw_desc_device *desc = m->class->desc;
	struct uw_device *dev = &m->dev;
	uint32_t used;

	dev->class_code = desc->class_code;
	dev->subclass = desc->subclass;
	dev->protocol = desc->protocol;
	dev->vendor = desc->vendor;
	dev->product = desc->product;
	dev->release = desc->release;
	used = append(dev->description, 0, sizeof(dev->description), desc->string[UW_STRING_VENDOR - 1]);
	used = append(dev->description, used, sizeof(dev->description), " ");
	append(dev->description, used, sizeof(dev->description), desc->string[UW_STRING_PRODUCT - 1]);
}

void uw_model_become(struct uw_model *m, const struct uw_model_class *class)
{
	m->class = class;
	identify(m);
	uw_model_unplug(m);
}

bool uw_model_init(struct uw_model *m, const struct uw_model_class *class, const char *name, uint8_t default_speed,
		   const struct uw_model_options *options)
{
	uint8_t speed = options->speed ? options->speed : default_speed;

	if (speed < UW_SPEED_FULL || speed > UW_SPEED_SUPER)
		return false;
	if (options->streams && (!uw_power_of_two(options->streams) || options->streams < 2 || options->streams > 32768))
		return false;
	uw_zero(m, sizeof(*m));
	m->class = class;
	m->dev.ops = &uw_model_backend;
	m->dev.speed = speed;
	m->paced = options->paced;
	m->streams = options->streams;
	m->serial = options->serial ? options->serial : class->desc->string[UW_STRING_SERIAL - 1];
	m->armed = m->alarm = UW_NEVER;
	uw_list_init(&m->done);
	for (uint32_t i = 0; i < UW_MODEL_ADDRESSES; i++) {
		uw_list_init(&m->ep[i].queue);
		m->ep[i].address = (uint8_t)((i & 15u) | (i & 16u ? 0x80u : 0));
		m->ep[i].idle = true;
	}
	append(m->dev.bus_id, 0, sizeof(m->dev.bus_id), name);
	identify(m);
	return true;
}
