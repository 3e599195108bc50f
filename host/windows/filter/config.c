/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Configurations, interfaces and the pipes that they make. All of it blocks and runs behind the gate; the table of
 * pipes is changed with the lock held, and only for pipes that were stopped before and have nothing with the stack.
 */
#include "filter.h"

#define CONFIG_BYTES_MAX 65535u
#define STEP_MS 20u                    /* between looks at a pipe that drains */
#define PATIENCE 250u                  /* looks, until the port is reset to get back what is out */

/* ---- stopping pipes ---- */

struct count {
	uint32_t out, sends;
};

static struct count count_of(struct uw_filter *f, uint32_t which)
{
	struct count c = { 0, 0 };
	uint32_t i;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	for (i = 0; i < UW_ENDPOINTS; i++) {
		c.out += which & 1u << i ? f->pipe[i].out : 0;
		c.sends += which & 1u << i ? f->pipe[i].sends : 0;
	}
	KeReleaseSpinLock(&f->lock, irql);
	return c;
}

static bool is_idle(struct uw_filter *f, uint32_t which)
{
	struct count c = count_of(f, which);

	return !c.out && !c.sends;
}

/* Ends what waits in a pipe. */
static void end_held(struct uw_filter *f, struct uw_pipe *pipe, uint32_t status)
{
	struct uw_transfer_io *io;
	struct uw_list *node;
	KIRQL irql;

	do {
		KeAcquireSpinLock(&f->lock, &irql);
		node = uw_list_pop(&pipe->held);
		io = node ? UW_CONTAINER(node, struct uw_transfer_io, node) : NULL;
		if (io)
			io->due = UW_PLACE_NONE;
		KeReleaseSpinLock(&f->lock, irql);
		if (io)
			uw_usb_answer(f, io, status);
	} while (io);
	uw_iso_flush(pipe);
}

/* Windows aborts no streams: their transfers have to be cancelled one by one. */
static void abort_pipes(struct uw_filter *f, uint32_t which)
{
	uint32_t i, streams = which & uw_streams_open(f);

	which &= ~streams;
	uw_urbs_cancel(f, streams);
	for (i = 0; i < UW_ENDPOINTS; i++)
		if (which & 1u << i && f->pipe[i].handle && !f->lost && count_of(f, 1u << i).out)
			uw_urb_pipe_request(f, URB_FUNCTION_ABORT_PIPE, f->pipe[i].handle);
}

static void set_stopped(struct uw_filter *f, uint32_t which, bool stopped)
{
	uint32_t i;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	for (i = 0; i < UW_ENDPOINTS; i++)
		if (which & 1u << i)
			f->pipe[i].stopped = stopped;
	KeReleaseSpinLock(&f->lock, irql);
}

/*
 * Aborting a pipe ends what the controller has; cancelling reaches what a driver above it still holds, and is all that
 * is left when the device is gone. A stack that gives nothing back in all that time has its port reset.
 */
void uw_pipes_stop(struct uw_filter *f, uint32_t which)
{
	uint32_t i, round;

	set_stopped(f, which, true);
	for (i = 0; i < UW_ENDPOINTS; i++)
		if (which & 1u << i)
			end_held(f, &f->pipe[i], UW_ST_CANCELLED);
	while (count_of(f, which).sends)
		uw_wait_ms(&f->changed, STEP_MS);
	for (round = 0; !is_idle(f, which); round++) {
		abort_pipes(f, which);
		if (round || f->lost)
			uw_urbs_cancel(f, which);
		if (round == PATIENCE && !f->lost)
			uw_urb_ioctl(f, IOCTL_INTERNAL_USB_RESET_PORT);
		if (!is_idle(f, which))
			uw_wait_ms(&f->changed, STEP_MS);
	}
	for (i = 0; i < UW_ENDPOINTS; i++)
		if (which & 1u << i)
			uw_iso_quiet(&f->pipe[i]);
}

static uint32_t all_out(struct uw_filter *f)
{
	uint32_t out;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	out = f->out_count;
	KeReleaseSpinLock(&f->lock, irql);
	return out;
}

void uw_pipes_drain(struct uw_filter *f)
{
	while (all_out(f)) {
		uw_urbs_cancel(f, UW_EVERY);
		if (all_out(f))
			uw_wait_ms(&f->changed, STEP_MS);
	}
}

void uw_pipes_go_on(struct uw_filter *f, uint32_t which)
{
	uint32_t i;

	set_stopped(f, which, false);
	for (i = 0; i < UW_ENDPOINTS; i++) {
		if (!(which & 1u << i))
			continue;
		uw_usb_send_held(f, &f->pipe[i]);
		uw_iso_pump(&f->pipe[i]);
	}
}

/* ---- the table of pipes ---- */

static uint32_t pipes_of(const struct uw_filter *f, uint8_t itf)
{
	uint32_t i, which = 0;

	for (i = 0; i < UW_ENDPOINTS; i++)
		if (f->pipe[i].handle && f->pipe[i].e.itf == itf)
			which |= 1u << i;
	return which;
}

/* Stopped pipes cease to be. What came for them meanwhile is too late. */
static void remove_pipes(struct uw_filter *f, uint32_t which)
{
	uint32_t i;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	for (i = 0; i < UW_ENDPOINTS; i++)
		if (which & 1u << i)
			f->pipe[i].handle = NULL;
	KeReleaseSpinLock(&f->lock, irql);
	for (i = 0; i < UW_ENDPOINTS; i++)
		if (which & 1u << i) {
			uw_streams_forget(&f->pipe[i]);
			end_held(f, &f->pipe[i], UW_ST_NO_ENDPOINT);
		}
	set_stopped(f, which, false);
}

/* Bytes of a packet: at super speed and with repeats the stack knows better than one field of the descriptor. */
static void add_pipe(struct uw_filter *f, const struct uw_endpoint *e, USBD_PIPE_HANDLE handle)
{
	struct uw_pipe *pipe = &f->pipe[uw_endpoint_index(e->address)];
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	pipe->e = *e;
	uw_cut_rules(&pipe->stream.rules, f->peer.dev.speed, e->interval, e->service, e->address & 0x80);
	pipe->stream.known = pipe->stream.pad = false;
	pipe->stream.origin = pipe->stream.position;
	pipe->handle = handle;
	KeReleaseSpinLock(&f->lock, irql);
}

/* What a select URB says, endpoint by endpoint; the descriptor is the authority on what there can be. */
static void add_pipes(struct uw_filter *f, const struct uw_setting *s)
{
	const USBD_INTERFACE_INFORMATION *info = s->info;
	uint32_t i, k, pipes = uw_min(info->NumberOfPipes, s->endpoints);

	for (i = 0; i < s->endpoints; i++)
		for (k = 0; k < pipes; k++)
			if (info->Pipes[k].EndpointAddress == s->endpoint[i].address && info->Pipes[k].PipeHandle)
				add_pipe(f, &s->endpoint[i], info->Pipes[k].PipeHandle);
}

/* ---- the verbs ---- */

static const struct uw_config *config_of(const struct uw_filter *f, uint8_t value)
{
	uint32_t i;

	for (i = 0; i < f->configs; i++)
		if (f->config[i].bytes[5] == value)
			return &f->config[i];
	return NULL;
}

void uw_config_drop(struct uw_filter *f)
{
	remove_pipes(f, UW_EVERY);
	f->handle = NULL;
	f->choice.configuration = 0;
	f->choice.interfaces = 0;
}

static void fill_none(struct uw_urb *u, void *context)
{
	UNREFERENCED_PARAMETER(context);
	u->urb->UrbHeader.Function = URB_FUNCTION_SELECT_CONFIGURATION;
}

static uint32_t unconfigure(struct uw_filter *f)
{
	return uw_urb_ask(f, sizeof(struct _URB_SELECT_CONFIGURATION), fill_none, NULL, NULL);
}

/* Each interface at its first setting. */
static uint32_t plan(struct uw_filter *f, const struct uw_config *config, struct uw_setting *setting)
{
	struct uw_choice *choice = &f->choice;
	uint32_t i, count, settings = 0;

	count = uw_desc_interfaces(config->bytes, config->length, choice->number, choice->alternate);
	for (i = 0; i < count; i++)
		if (uw_desc_setting(config->bytes, config->length, choice->number[i], choice->alternate[i],
				    &setting[settings]))
			settings++;
	choice->interfaces = (uint8_t)count;
	return settings;
}

static uint32_t configure(struct uw_filter *f, const struct uw_config *config, struct uw_setting *setting)
{
	uint32_t i, status, settings = plan(f, config, setting);
	URB *urb = uw_usbd_urb_config(f, config->bytes, setting, settings);

	if (!urb)
		return UW_ST_HOST;
	status = uw_urb_ask_select(f, urb);
	if (status == UW_ST_OK) {
		f->handle = urb->UrbSelectConfiguration.ConfigurationHandle;
		for (i = 0; i < settings; i++)
			add_pipes(f, &setting[i]);
	}
	uw_usbd_urb_free(f, urb);
	return status;
}

uint32_t uw_config_select(struct uw_filter *f, uint8_t value)
{
	const struct uw_config *config = value ? config_of(f, value) : NULL;
	struct uw_setting *setting = NULL;
	uint32_t status;

	if (value && !config)
		return UW_ST_NO_ENDPOINT;
	if (config) {
		setting = ExAllocatePoolWithTag(NonPagedPoolNx, UW_INTERFACES * sizeof(*setting), UW_FILTER_TAG);
		if (!setting)
			return UW_ST_HOST;
	}
	uw_pipes_stop(f, UW_EVERY);
	uw_config_drop(f);
	status = config ? configure(f, config, setting) : unconfigure(f);
	if (status == UW_ST_OK)
		f->choice.configuration = value;
	else
		uw_config_drop(f);
	if (setting)
		ExFreePoolWithTag(setting, UW_FILTER_TAG);
	return status;
}

static void note_alternate(struct uw_choice *choice, uint8_t number, uint8_t alternate)
{
	uint32_t i;

	for (i = 0; i < choice->interfaces; i++)
		if (choice->number[i] == number)
			choice->alternate[i] = alternate;
}

/* When the request fails the stack has closed the old pipes all the same. */
uint32_t uw_config_interface(struct uw_filter *f, uint8_t number, uint8_t alternate)
{
	const struct uw_config *config = config_of(f, f->choice.configuration);
	struct uw_setting setting;
	uint32_t which, status;
	URB *urb;

	if (!config || !uw_desc_setting(config->bytes, config->length, number, alternate, &setting))
		return UW_ST_NO_ENDPOINT;
	urb = uw_usbd_urb_interface(f, f->handle, &setting);
	if (!urb)
		return UW_ST_HOST;
	which = pipes_of(f, number);
	uw_pipes_stop(f, which);
	remove_pipes(f, which);
	status = uw_urb_ask_select(f, urb);
	if (status == UW_ST_OK) {
		add_pipes(f, &setting);
		note_alternate(&f->choice, number, alternate);
	}
	uw_usbd_urb_free(f, urb);
	return status;
}

uint32_t uw_config_again(struct uw_filter *f, const struct uw_choice *choice)
{
	uint32_t i, status = uw_config_select(f, choice->configuration);

	for (i = 0; status == UW_ST_OK && i < choice->interfaces; i++)
		if (choice->alternate[i] != f->choice.alternate[i])
			status = uw_config_interface(f, choice->number[i], choice->alternate[i]);
	return status;
}

uint32_t uw_config_clear_halt(struct uw_filter *f, uint8_t address)
{
	uint32_t index = uw_endpoint_index(address), status;

	if (!f->pipe[index].handle)
		return UW_ST_NO_ENDPOINT;
	uw_pipes_stop(f, 1u << index);
	status = uw_urb_pipe_request(f, URB_FUNCTION_SYNC_RESET_PIPE_AND_CLEAR_STALL, f->pipe[index].handle);
	uw_pipes_go_on(f, 1u << index);
	return status;
}

/* ---- reading descriptors ---- */

/* 9 bytes tell how many there are; what comes then must agree with itself. */
static uint32_t read_config(struct uw_filter *f, uint8_t index, struct uw_config *config)
{
	uint8_t head[UW_CONFIG_MIN];
	uint32_t bytes = sizeof(head), status;

	status = uw_urb_descriptor(f, UW_DESC_CONFIG, index, 0, head, &bytes);
	if (status != UW_ST_OK)
		return status;
	config->length = bytes == sizeof(head) ? (uint32_t)(head[2] | head[3] << 8) : 0;
	if (config->length < UW_CONFIG_MIN)
		return UW_ST_UNSUPPORTED;
	config->bytes = ExAllocatePoolWithTag(NonPagedPoolNx, config->length, UW_FILTER_TAG);
	if (!config->bytes)
		return UW_ST_HOST;
	bytes = config->length;
	status = uw_urb_descriptor(f, UW_DESC_CONFIG, index, 0, config->bytes, &bytes);
	if (status == UW_ST_OK && bytes == config->length && uw_desc_config_valid(config->bytes, bytes))
		return UW_ST_OK;
	ExFreePoolWithTag(config->bytes, UW_FILTER_TAG);
	config->bytes = NULL;
	return status == UW_ST_OK ? UW_ST_UNSUPPORTED : status;
}

void uw_config_forget(struct uw_filter *f)
{
	while (f->configs) {
		f->configs--;
		ExFreePoolWithTag(f->config[f->configs].bytes, UW_FILTER_TAG);
		f->config[f->configs].bytes = NULL;
	}
}

/* A configuration that cannot be read or makes no sense cannot be chosen; one at least must be left. */
uint32_t uw_config_read(struct uw_filter *f)
{
	uint32_t status = UW_ST_UNSUPPORTED, result;
	uint8_t i, count = f->device[17];

	uw_config_forget(f);
	for (i = 0; i < count && f->configs < UW_CONFIGS; i++) {
		result = read_config(f, i, &f->config[f->configs]);
		if (result == UW_ST_OK)
			f->configs++;
		else
			status = result;
	}
	return f->configs ? UW_ST_OK : status;
}

/* ---- who it is ---- */

static void read_text(struct uw_filter *f, uint8_t index)
{
	uint8_t string[255];
	uint32_t bytes = sizeof(string);
	uint16_t language;

	if (!index || uw_urb_descriptor(f, UW_DESC_STRING, 0, 0, string, &bytes) != UW_ST_OK || bytes < 4)
		return;
	language = (uint16_t)(string[2] | string[3] << 8);
	bytes = sizeof(string);
	if (uw_urb_descriptor(f, UW_DESC_STRING, index, language, string, &bytes) != UW_ST_OK)
		return;
	if (f->peer.dev.description[0])
		uw_desc_text((const uint8_t *)"\x04\x03 ", 4, f->peer.dev.description, sizeof(f->peer.dev.description));
	uw_desc_text(string, bytes, f->peer.dev.description, sizeof(f->peer.dev.description));
}

static void find_speed(struct uw_filter *f, bool known, bool high)
{
	const struct uw_config *c = &f->config[0];
	uint8_t *bytes;

	f->peer.dev.speed = uw_desc_speed(f->device, high, NULL, 0);
	if (uw_config_read(f) != UW_ST_OK)
		return;
	bytes = c->bytes;
	if (!known)
		high = uw_desc_high_speed(bytes, c->length);
	f->peer.dev.speed = uw_desc_speed(f->device, high, bytes, c->length);
	uw_config_forget(f);
}

/* known: the bus has said whether it runs at high speed. */
uint32_t uw_config_identify(struct uw_filter *f, bool known, bool high)
{
	struct uw_device *dev = &f->peer.dev;
	uint32_t bytes = sizeof(f->device), status;

	status = uw_urb_descriptor(f, UW_DESC_DEVICE, 0, 0, f->device, &bytes);
	if (status != UW_ST_OK)
		return status;
	if (bytes != sizeof(f->device) || f->device[1] != UW_DESC_DEVICE)
		return UW_ST_UNSUPPORTED;
	dev->class_code = f->device[4];
	dev->subclass = f->device[5];
	dev->protocol = f->device[6];
	dev->vendor = (uint16_t)(f->device[8] | f->device[9] << 8);
	dev->product = (uint16_t)(f->device[10] | f->device[11] << 8);
	dev->release = (uint16_t)(f->device[12] | f->device[13] << 8);
	dev->description[0] = 0;
	read_text(f, f->device[14]);
	read_text(f, f->device[15]);
	find_speed(f, known, high);
	return UW_ST_OK;
}
