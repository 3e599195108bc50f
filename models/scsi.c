/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A SCSI direct access device over the host's storage: SPC-4 and SBC-3, as much as disks on USB need.
 *
 * Nothing of the medium is kept here: data pass between the transfer's buffer and the storage. Range, medium and write
 * protection are judged when a command begins, so that only the storage itself can fail later.
 */
#include "scsi.h"

/* Sense keys and additional codes: SPC-4 tables 53 and 54. */
#define NO_SENSE 0
#define NOT_READY 2
#define MEDIUM_ERROR 3
#define ILLEGAL_REQUEST 5
#define UNIT_ATTENTION 6
#define DATA_PROTECT 7

enum {
	TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, READ_6 = 0x08, WRITE_6 = 0x0a, INQUIRY = 0x12, MODE_SENSE_6 = 0x1a,
	START_STOP = 0x1b, PREVENT = 0x1e, READ_CAPACITY_10 = 0x25, READ_10 = 0x28, WRITE_10 = 0x2a, VERIFY_10 = 0x2f,
	SYNCHRONIZE_10 = 0x35, MODE_SENSE_10 = 0x5a, READ_16 = 0x88, WRITE_16 = 0x8a, VERIFY_16 = 0x8f,
	SYNCHRONIZE_16 = 0x91, SERVICE_IN_16 = 0x9e, REPORT_LUNS = 0xa0, READ_12 = 0xa8, WRITE_12 = 0xaa, VERIFY_12 = 0xaf,
};

#define READ_CAPACITY_16 0x10 /* service action of SERVICE_IN_16 */
#define CACHING_PAGE 0x08
#define ALL_PAGES 0x3f

static uint32_t get16(const uint8_t *b) { return (uint32_t)b[0] << 8 | b[1]; }
static uint32_t get32(const uint8_t *b) { return get16(b) << 16 | get16(b + 2); }
static uint64_t get64(const uint8_t *b) { return (uint64_t)get32(b) << 32 | get32(b + 4); }

static void put16(uint8_t *b, uint32_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static void put32(uint8_t *b, uint32_t v)
{
	put16(b, v >> 16);
	put16(b + 2, v);
}

static void put64(uint8_t *b, uint64_t v)
{
	put32(b, (uint32_t)(v >> 32));
	put32(b + 4, (uint32_t)v);
}

/* ---- outcomes --------------------------------------------------------------------------------------------------- */

static bool fail(struct uw_scsi *s, uint8_t key, uint8_t code, uint8_t qualifier)
{
	s->key = key;
	s->code = code;
	s->qualifier = qualifier;
	s->data = UW_SCSI_NONE;
	s->bytes = 0;
	return false;
}

static bool bad_opcode(struct uw_scsi *s) { return fail(s, ILLEGAL_REQUEST, 0x20, 0); }
static bool bad_field(struct uw_scsi *s) { return fail(s, ILLEGAL_REQUEST, 0x24, 0); }
static bool bad_range(struct uw_scsi *s) { return fail(s, ILLEGAL_REQUEST, 0x21, 0); }
static bool write_error(struct uw_scsi *s) { return fail(s, MEDIUM_ERROR, 0x0c, 0); }

/* The first bytes of reply, no more than the host has allocated room for: SPC-4 4.3.5.6. */
static bool answer(struct uw_scsi *s, uint32_t bytes, uint32_t allocated)
{
	s->data = bytes && allocated ? UW_SCSI_REPLY_IN : UW_SCSI_NONE;
	s->bytes = uw_min(bytes, allocated);
	return true;
}

/* Text padded with spaces: SPC-4 4.3.1. */
static uint32_t put_text(uint8_t *to, uint32_t bytes, const char *text)
{
	uint32_t used = 0;

	while (used < bytes && *text)
		to[used++] = (uint8_t)*text++;
	for (uint32_t i = used; i < bytes; i++)
		to[i] = ' ';
	return used;
}

/* ---- commands about the device ---------------------------------------------------------------------------------- */

/* SPC-4 7.8: supported pages, unit serial number, device identification (by vendor and serial number). */
static bool vital_page(struct uw_scsi *s, uint8_t page, uint32_t allocated)
{
	uint8_t *r = s->reply;
	uint32_t n;

	r[1] = page;
	switch (page) {
	case 0x00:
		r[4] = 0x00;
		r[5] = 0x80;
		r[6] = 0x83;
		n = 3;
		break;
	case 0x80:
		n = put_text(r + 4, 32, s->serial);
		break;
	case 0x83:
		r[4] = 2;  /* ASCII */
		r[5] = 1;  /* T10 vendor identification */
		put_text(r + 8, 8, "UsbWarp");
		r[7] = (uint8_t)(8 + put_text(r + 16, 32, s->serial));
		n = 4u + r[7];
		break;
	default:
		return bad_field(s);
	}
	put16(r + 2, n);
	return answer(s, 4 + n, allocated);
}

/* SPC-4 6.4. A unit that is not there says so in its first byte. */
static bool inquiry(struct uw_scsi *s, const uint8_t *cdb, uint8_t lun)
{
	uint32_t allocated = get16(cdb + 3);
	uint8_t *r = s->reply;

	r[0] = lun ? 0x7f : 0;
	if (cdb[1] & 1)
		return vital_page(s, cdb[2], allocated);
	if (cdb[1] || cdb[2])
		return bad_field(s);
	r[1] = 0x80;  /* removable */
	r[2] = 6;     /* SPC-4 */
	r[3] = 2;     /* response data format */
	r[4] = 31;    /* bytes that follow */
	put_text(r + 8, 8, "UsbWarp");
	put_text(r + 16, 16, "Model Disk");
	put_text(r + 32, 4, "1.0");
	return answer(s, 36, allocated);
}

/* SPC-4 6.39, fixed format. Reading the sense clears it; a pending unit attention counts as sense. */
static bool request_sense(struct uw_scsi *s, const uint8_t *cdb)
{
	uint8_t *r = s->reply;

	if (cdb[1] & 1)
		return bad_field(s);
	if (s->key == NO_SENSE && s->attention)
		(void)fail(s, UNIT_ATTENTION, 0x29, 0);
	r[0] = 0x70;
	r[2] = s->key;
	r[7] = 10;
	r[12] = s->code;
	r[13] = s->qualifier;
	if (s->key == UNIT_ATTENTION)
		s->attention = false;
	s->key = s->code = s->qualifier = 0;
	return answer(s, 18, cdb[4]);
}

static bool report_luns(struct uw_scsi *s, const uint8_t *cdb)
{
	if (cdb[2] > 2)
		return bad_field(s);
	put32(s->reply, 8);
	return answer(s, cdb[2] == 1 ? 8 : 16, get32(cdb + 6));
}

/* SBC-3 6.4.5: the write cache is as real as the storage's flush. What cannot be changed has a mask of zeros. */
static uint32_t caching_page(const struct uw_scsi *s, uint8_t *r, uint8_t control)
{
	r[0] = CACHING_PAGE;
	r[1] = 18;
	if (control != 1 && s->io.flush)
		r[2] = 4; /* WCE */
	return 20;
}

/* SPC-4 6.11, 6.12: mode parameter header of 4 or 8 bytes, no block descriptor, pages. */
static bool mode_sense(struct uw_scsi *s, const uint8_t *cdb, bool ten)
{
	uint8_t page = cdb[2] & 0x3f, control = cdb[2] >> 6;
	uint32_t n = ten ? 8 : 4;

	if (control == 3)
		return fail(s, ILLEGAL_REQUEST, 0x39, 0);
	if ((page != CACHING_PAGE && page != ALL_PAGES) || (cdb[3] && cdb[3] != 0xff))
		return bad_field(s);
	s->reply[ten ? 3 : 2] = (s->io.write ? 0 : 0x80) | 0x10; /* WP, DPOFUA */
	n += caching_page(s, s->reply + n, control);
	if (ten)
		put16(s->reply, n - 2);
	else
		s->reply[0] = (uint8_t)(n - 1);
	return answer(s, n, ten ? get16(cdb + 7) : cdb[4]);
}

/* ---- commands about the medium ---------------------------------------------------------------------------------- */

static bool flush(struct uw_scsi *s)
{
	if (s->io.flush && s->io.flush(s->io.ctx))
		return write_error(s);
	return true;
}

/* SBC-3 5.25: a stopped or ejected medium is flushed first. */
static bool start_stop(struct uw_scsi *s, const uint8_t *cdb)
{
	bool start = cdb[4] & 1, eject = cdb[4] & 2;

	if (cdb[4] >> 4)
		return bad_field(s);
	if (!start && eject && s->prevented)
		return fail(s, ILLEGAL_REQUEST, 0x53, 2);
	if (!start && !flush(s))
		return false;
	if (eject)
		s->loaded = start;
	return true;
}

static bool read_capacity_10(struct uw_scsi *s)
{
	put32(s->reply, s->blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)(s->blocks - 1));
	put32(s->reply + 4, s->io.block);
	return answer(s, 8, 8);
}

static bool service_in_16(struct uw_scsi *s, const uint8_t *cdb)
{
	if ((cdb[1] & 0x1f) != READ_CAPACITY_16)
		return bad_field(s);
	put64(s->reply, s->blocks - 1);
	put32(s->reply + 8, s->io.block);
	return answer(s, 32, get32(cdb + 10));
}

/* Is the range on the medium? Blocks are few enough that their number of bytes fits 32 bits, see move(). */
static bool on_medium(const struct uw_scsi *s, uint64_t block, uint64_t blocks)
{
	return block <= s->blocks && blocks <= s->blocks - block;
}

struct range {
	uint64_t block;
	uint32_t blocks;
};

/* Where the four sizes of read and write commands keep their range: SBC-3 5.8 to 5.11. */
static struct range range_of(const uint8_t *cdb)
{
	switch (cdb[0] >> 5) {
	case 0: /* zero blocks mean 256: SBC-3 5.7 */
		return (struct range){ get32(cdb) & 0x1fffff, cdb[4] ? cdb[4] : 256 };
	case 4:
		return (struct range){ get64(cdb + 2), get32(cdb + 10) };
	case 5:
		return (struct range){ get32(cdb + 2), get32(cdb + 6) };
	default:
		return (struct range){ get32(cdb + 2), get16(cdb + 7) };
	}
}

/* A transfer of 4 GiB and more cannot be told to the bulk-only transport: dCBWDataTransferLength has 32 bits. */
static bool move(struct uw_scsi *s, const uint8_t *cdb, enum uw_scsi_data data)
{
	struct range r = range_of(cdb);

	if (data == UW_SCSI_MEDIUM_OUT && !s->io.write)
		return fail(s, DATA_PROTECT, 0x27, 0);
	if (!on_medium(s, r.block, r.blocks))
		return bad_range(s);
	if (r.blocks > UINT32_MAX / s->io.block)
		return bad_field(s);
	s->at = r.block * s->io.block;
	s->bytes = r.blocks * s->io.block;
	s->data = s->bytes ? data : UW_SCSI_NONE;
	s->flush = data == UW_SCSI_MEDIUM_OUT && cdb[0] != WRITE_6 && cdb[1] & 8;
	return true;
}

/* Only the medium is verified, and a range that can be addressed counts as good; comparing with data is not offered. */
static bool verify(struct uw_scsi *s, const uint8_t *cdb)
{
	struct range r = range_of(cdb);

	if (cdb[1] & 6)
		return bad_field(s);
	return on_medium(s, r.block, r.blocks) ? true : bad_range(s);
}

/* SBC-3 5.28: zero blocks mean all that follow; everything is flushed in any case. */
static bool synchronize(struct uw_scsi *s, const uint8_t *cdb)
{
	struct range r = range_of(cdb);

	return on_medium(s, r.block, r.blocks) ? flush(s) : bad_range(s);
}

/* ---- choosing --------------------------------------------------------------------------------------------------- */

static bool medium_command(struct uw_scsi *s, const uint8_t *cdb)
{
	if (!s->loaded)
		return fail(s, NOT_READY, 0x3a, 0);
	switch (cdb[0]) {
	case TEST_UNIT_READY:
		return true;
	case READ_CAPACITY_10:
		return read_capacity_10(s);
	case SERVICE_IN_16:
		return service_in_16(s, cdb);
	case READ_6: case READ_10: case READ_12: case READ_16:
		return move(s, cdb, UW_SCSI_MEDIUM_IN);
	case WRITE_6: case WRITE_10: case WRITE_12: case WRITE_16:
		return move(s, cdb, UW_SCSI_MEDIUM_OUT);
	case VERIFY_10: case VERIFY_12: case VERIFY_16:
		return verify(s, cdb);
	case SYNCHRONIZE_10: case SYNCHRONIZE_16:
		return synchronize(s, cdb);
	case PREVENT:
		s->prevented = cdb[4] & 1;
		return true;
	default:
		return bad_opcode(s);
	}
}

/* A pending unit attention ends any command but those that must work always: SPC-4 4.5.6, SAM-5 5.14. */
static bool any_command(struct uw_scsi *s, const uint8_t *cdb, uint8_t lun)
{
	if (cdb[0] == INQUIRY)
		return inquiry(s, cdb, lun);
	if (lun)
		return fail(s, ILLEGAL_REQUEST, 0x25, 0);
	if (cdb[0] == REPORT_LUNS)
		return report_luns(s, cdb);
	if (s->attention) {
		s->attention = false;
		return fail(s, UNIT_ATTENTION, 0x29, 0);
	}
	switch (cdb[0]) {
	case MODE_SENSE_6:
		return mode_sense(s, cdb, false);
	case MODE_SENSE_10:
		return mode_sense(s, cdb, true);
	case START_STOP:
		return start_stop(s, cdb);
	default:
		return medium_command(s, cdb);
	}
}

bool uw_scsi_begin(struct uw_scsi *s, const uint8_t cdb[UW_SCSI_CDB], uint8_t lun)
{
	s->data = UW_SCSI_NONE;
	s->bytes = s->reply_at = 0;
	s->flush = false;
	uw_zero(s->reply, sizeof(s->reply));
	if (cdb[0] == REQUEST_SENSE)
		return request_sense(s, cdb);
	s->key = s->code = s->qualifier = 0;
	return any_command(s, cdb, lun);
}

/* ---- data ------------------------------------------------------------------------------------------------------- */

bool uw_scsi_in(struct uw_scsi *s, uint8_t *to, uint32_t bytes)
{
	if (s->data == UW_SCSI_REPLY_IN) {
		uw_copy(to, s->reply + s->reply_at, bytes);
		s->reply_at += bytes;
		return true;
	}
	if (s->io.read(s->io.ctx, s->at, to, bytes))
		return fail(s, MEDIUM_ERROR, 0x11, 0);
	s->at += bytes;
	return true;
}

bool uw_scsi_out(struct uw_scsi *s, const uint8_t *from, uint32_t bytes)
{
	if (s->io.write(s->io.ctx, s->at, from, bytes))
		return write_error(s);
	s->at += bytes;
	return true;
}

bool uw_scsi_end(struct uw_scsi *s)
{
	return s->flush ? flush(s) : true;
}

/* ---- setting up ------------------------------------------------------------------------------------------------- */

void uw_scsi_reset(struct uw_scsi *s)
{
	s->key = s->code = s->qualifier = 0;
	s->data = UW_SCSI_NONE;
	s->bytes = 0;
	s->attention = true;
	s->prevented = false;
}

bool uw_scsi_init(struct uw_scsi *s, const struct uw_disk_io *io, const char *serial)
{
	s->io = *io;
	s->serial = serial;
	if (!s->io.block)
		s->io.block = 512;
	if (!s->io.read || !uw_power_of_two(s->io.block) || s->io.block < 512 || s->io.block > 4096)
		return false;
	s->blocks = s->io.size / s->io.block;
	s->loaded = true;
	uw_scsi_reset(s);
	return s->blocks != 0;
}
