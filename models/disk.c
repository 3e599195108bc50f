/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A USB stick: Mass Storage Bulk-Only Transport 1.0 around the SCSI disk of scsi.c.
 *
 *    COMMAND --CBW--> DATA_IN or DATA_OUT --data--> STATUS --CSW--> COMMAND
 *       |                                                             ^
 *       `--no valid CBW--> BROKEN --Bulk-Only Mass Storage Reset------'
 *
 * Host and device may disagree about the data in thirteen ways, BOT 6.7. Where the specification leaves a choice this
 * device stalls rather than pads or discards, because it makes disagreement visible at once.
 */
#include "scsi.h"

#define CBW_BYTES 31u
#define CBW_SIGNATURE 0x43425355u
#define CSW_BYTES 13u
#define CSW_SIGNATURE 0x53425355u

enum { EP_IN = 0x81, EP_OUT = 0x02 };
enum { BULK_ONLY_RESET = 0x21ff, GET_MAX_LUN = 0xa1fe };
enum phase { COMMAND, DATA_IN, DATA_OUT, STATUS, BROKEN };
enum { PASSED, FAILED, PHASE_ERROR };  /* bCSWStatus: BOT table 5.3 */

struct disk {
	struct uw_model m;
	struct uw_scsi scsi;
	enum phase phase;
	uint32_t tag;
	uint32_t residue;          /* of what the host expects: dCSWDataResidue */
	uint32_t left;             /* of what this device will move */
	uint8_t status;
};

static struct disk *disk_of(struct uw_model *m) { return UW_CONTAINER(m, struct disk, m); }

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

static const struct uw_desc_ep endpoints[] = {
	{ EP_IN, UW_BULK, 15, { 0, 0, 0 }, { 64, 512, 1024 } },
	{ EP_OUT, UW_BULK, 15, { 0, 0, 0 }, { 64, 512, 1024 } },
};

/* SCSI transparent command set, Bulk-Only: BOT 4.3. */
static const struct uw_desc_if interfaces[] = {
	{ .class_code = 8, .subclass = 6, .protocol = 0x50, .eps = 2, .ep = endpoints },
};

static const struct uw_desc_config config = {
	.value = 1, .attributes = UW_CONFIG_ONE, .milliamps_by_2 = 50, .interfaces = 1, .ifs = 1, .itf = interfaces,
};

/* The serial number has twelve digits at least, hexadecimal and capital: BOT 4.1.1. */
static const char *const strings[] = { "UsbWarp", "Model Disk", "A1B2C3D4E5F60001" };

static const struct uw_desc_device device = {
	.vendor = 0x0525, .product = 0xa4a5, .release = 0x0100, .configs = 1, .dual_speed = true, .config = &config,
	.strings = UW_COUNT_OF(strings), .string = strings,
};

/* ---- little endian ---------------------------------------------------------------------------------------------- */

static uint32_t get32(const uint8_t *b)
{
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void put32(uint8_t *b, uint32_t v)
{
	for (uint32_t i = 0; i < 4; i++)
		b[i] = (uint8_t)(v >> 8 * i);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static void enter(struct disk *d, enum phase phase)
{
	d->phase = phase;
	uw_model_kick(&d->m, EP_IN);
	uw_model_kick(&d->m, EP_OUT);
}

/* No data will move in the direction the host expects: BOT 6.7.2 cases 4 and 8, 6.7.3 cases 9, 10 and 13. */
static void refuse_data(struct disk *d, uint8_t endpoint, uint8_t status)
{
	d->status = status;
	uw_model_halt(&d->m, endpoint);
	enter(d, STATUS);
}

/* The host expects nothing: BOT 6.7.1 cases 1 to 3. */
static void begin_none(struct disk *d, bool wants)
{
	if (wants)
		d->status = PHASE_ERROR;
	enter(d, STATUS);
}

/* The host expects data: cases 4 to 8. Of too much, what the host has room for is sent. */
static void begin_in(struct disk *d, uint32_t bytes, bool in, bool out)
{
	if (out || !in) {
		refuse_data(d, EP_IN, out ? PHASE_ERROR : d->status);
		return;
	}
	if (bytes > d->residue)
		d->status = PHASE_ERROR;
	d->left = uw_min(bytes, d->residue);
	enter(d, DATA_IN);
}

/* The host will send data: cases 9 to 13. Nothing is written when there is too little. */
static void begin_out(struct disk *d, uint32_t bytes, bool in, bool out)
{
	bool wrong = in || bytes > d->residue;

	if (wrong || !out) {
		refuse_data(d, EP_OUT, wrong ? PHASE_ERROR : d->status);
		return;
	}
	d->left = bytes;
	enter(d, DATA_OUT);
}

/* BOT 6.2: a CBW that is not valid or not meaningful breaks both pipes until reset recovery. */
static enum uw_model_end broken(struct disk *d)
{
	d->phase = BROKEN;
	uw_model_halt(&d->m, EP_IN);
	return UW_END_STALL;
}

static enum uw_model_end command(struct disk *d, const uint8_t *from, uint32_t bytes, bool ends, uint32_t *moved)
{
	uint8_t cbw[CBW_BYTES], cdb[UW_SCSI_CDB] = { 0 };
	bool in, out;

	if (bytes != CBW_BYTES || !ends)
		return broken(d);
	uw_copy(cbw, from, CBW_BYTES);
	if (get32(cbw) != CBW_SIGNATURE || cbw[12] & 0x7f || cbw[13] & 0xf0 || !cbw[14] || cbw[14] > UW_SCSI_CDB)
		return broken(d);
	*moved = bytes;
	uw_copy(cdb, cbw + 15, cbw[14]);
	d->tag = get32(cbw + 4);
	d->residue = get32(cbw + 8);
	d->status = uw_scsi_begin(&d->scsi, cdb, cbw[13]) ? PASSED : FAILED;
	in = d->scsi.data == UW_SCSI_REPLY_IN || d->scsi.data == UW_SCSI_MEDIUM_IN;
	out = d->scsi.data == UW_SCSI_MEDIUM_OUT;
	if (!d->residue)
		begin_none(d, in || out);
	else if (cbw[12] & 0x80)
		begin_in(d, d->scsi.bytes, in, out);
	else
		begin_out(d, d->scsi.bytes, in, out);
	return UW_END_MORE;
}

/* ---- data and status -------------------------------------------------------------------------------------------- */

/* All this device moves has moved. If that is less than the host expects, it learns so by a stall: cases 5 and 11. */
static bool end_data(struct disk *d, uint8_t endpoint)
{
	if (d->residue)
		uw_model_halt(&d->m, endpoint);
	enter(d, STATUS);
	return d->residue != 0;
}

static enum uw_model_end fail_data(struct disk *d)
{
	d->status = FAILED;
	enter(d, STATUS);
	return UW_END_STALL;
}

static enum uw_model_end send_data(struct disk *d, struct uw_model_ep *ep, uint8_t *to, uint32_t room, uint32_t *moved)
{
	enum uw_model_end end = uw_model_fit(ep, d->left, false, room, moved);
	bool stall = false;

	if (*moved && !uw_scsi_in(&d->scsi, to, *moved)) {
		*moved = 0;
		return fail_data(d);
	}
	if (end == UW_END_BABBLE) { /* the host asked for less than it said it would; the rest makes no sense */
		d->status = PHASE_ERROR;
		d->left = *moved;
	}
	d->left -= *moved;
	d->residue -= *moved;
	if (!d->left)
		stall = end_data(d, EP_IN);
	if (end != UW_END_NAK)
		return end;
	return stall ? UW_END_STALL : UW_END_MORE;
}

/* The packet with the last byte is taken whole; what it holds beyond is dropped. A host that stops before what it said
 * is answered with a phase error. */
static enum uw_model_end take_data(struct disk *d, struct uw_model_ep *ep, const uint8_t *from, uint32_t bytes,
				   bool ends, uint32_t *moved)
{
	uint32_t take = uw_min(d->left, bytes);

	if (take && !uw_scsi_out(&d->scsi, from, take))
		return fail_data(d);
	d->left -= take;
	d->residue -= take;
	*moved = uw_min(bytes, (take + ep->packet - 1) / ep->packet * ep->packet);
	if (d->left) {
		if (ends)
			refuse_data(d, EP_OUT, PHASE_ERROR);
		return UW_END_MORE;
	}
	if (!uw_scsi_end(&d->scsi))
		d->status = FAILED;
	return end_data(d, EP_OUT) && *moved < bytes ? UW_END_STALL : UW_END_MORE;
}

static enum uw_model_end send_status(struct disk *d, struct uw_model_ep *ep, uint8_t *to, uint32_t room,
				     uint32_t *moved)
{
	uint8_t csw[CSW_BYTES];
	enum uw_model_end end = uw_model_fit(ep, CSW_BYTES, false, room, moved);

	put32(csw, CSW_SIGNATURE);
	put32(csw + 4, d->tag);
	put32(csw + 8, d->residue);
	csw[12] = d->status;
	if (*moved)
		uw_copy(to, csw, *moved);
	enter(d, COMMAND);
	return end;
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

static enum uw_model_end disk_in(struct uw_model *m, struct uw_model_ep *ep, uint8_t *to, uint32_t room,
				 uint32_t *moved)
{
	struct disk *d = disk_of(m);

	switch (d->phase) {
	case DATA_IN: return send_data(d, ep, to, room, moved);
	case STATUS: return send_status(d, ep, to, room, moved);
	default: return UW_END_NAK; /* a broken device does not get here: its endpoints stay halted */
	}
}

static enum uw_model_end disk_out(struct uw_model *m, struct uw_model_ep *ep, const uint8_t *from, uint32_t bytes,
				  bool ends, uint32_t *moved)
{
	struct disk *d = disk_of(m);

	switch (d->phase) {
	case COMMAND: return command(d, from, bytes, ends, moved);
	case DATA_OUT: return take_data(d, ep, from, bytes, ends, moved);
	default: return UW_END_NAK;
	}
}

/* BOT 3.1, 3.2. The reset makes ready for the next CBW and leaves halts as they are, for the host to clear. */
static int32_t disk_control(struct uw_model *m, const struct uw_setup *s, uint8_t *data)
{
	if (!m->config || s->value || s->index)
		return UW_MODEL_STALL;
	switch (s->type << 8 | s->request) {
	case BULK_ONLY_RESET:
		if (s->length)
			return UW_MODEL_STALL;
		enter(disk_of(m), COMMAND);
		return 0;
	case GET_MAX_LUN:
		if (s->length)
			data[0] = 0;
		return s->length ? 1 : 0;
	default:
		return UW_MODEL_STALL;
	}
}

/* BOT 6.6.1: broken pipes stay stalled even if the halt is cleared. */
static void disk_cleared(struct uw_model *m, struct uw_model_ep *ep)
{
	if (disk_of(m)->phase == BROKEN)
		uw_model_halt(m, ep->address);
}

static void disk_configured(struct uw_model *m) { disk_of(m)->phase = COMMAND; }
static void disk_reset(struct uw_model *m) { uw_scsi_reset(&disk_of(m)->scsi); }

static const struct uw_model_class class = {
	.desc = &device,
	.reset = disk_reset,
	.configured = disk_configured,
	.cleared = disk_cleared,
	.control = disk_control,
	.in = disk_in,
	.out = disk_out,
};

static struct uw_model *disk_init(void *memory, const struct uw_model_options *options)
{
	struct disk *d = memory;

	if (!options->disk || !uw_model_init(&d->m, &class, "disk", UW_SPEED_HIGH, options))
		return NULL;
	d->phase = COMMAND;
	return uw_scsi_init(&d->scsi, options->disk, d->m.serial) ? &d->m : NULL;
}

const struct uw_model_kind uw_model_disk = {
	.name = "disk",
	.about = "mass storage, bulk-only, on the host's storage",
	.size = sizeof(struct disk),
	.options = UW_MODEL_DISK,
	.speed = UW_SPEED_HIGH,
	.init = disk_init,
};
