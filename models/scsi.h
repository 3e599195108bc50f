/* SPDX-License-Identifier: GPL-2.0-only */
/* The SCSI disk inside the model disk: commands in, data and sense out. It knows nothing of USB. */
#ifndef UW_SCSI_H
#define UW_SCSI_H

#include "model.h"

#define UW_SCSI_REPLY 256u /* bytes of the longest answer that is not read from the medium */
#define UW_SCSI_CDB 16u

/* Where the data of a command lies. */
enum uw_scsi_data {
	UW_SCSI_NONE,
	UW_SCSI_REPLY_IN,     /* to the host, from reply */
	UW_SCSI_MEDIUM_IN,    /* to the host, from the medium */
	UW_SCSI_MEDIUM_OUT,   /* from the host, to the medium */
};

struct uw_scsi {
	struct uw_disk_io io;
	const char *serial;
	uint64_t blocks;
	uint8_t key, code, qualifier; /* sense: SPC-4 4.5 */
	bool attention;       /* unit attention, for the power-on or reset nobody has been told of */
	bool loaded;          /* the medium */
	bool prevented;       /* its removal */
	/* The command at work. */
	enum uw_scsi_data data;
	uint32_t bytes;       /* that the command moves */
	uint64_t at;          /* next byte of the medium */
	bool flush;           /* to stable storage before the status: FUA */
	uint32_t reply_at;
	uint8_t reply[UW_SCSI_REPLY];
};

/* False when the storage cannot be that of a disk. */
bool UW_MUST_CHECK uw_scsi_init(struct uw_scsi *s, const struct uw_disk_io *io, const char *serial);
/* Power-on or hard reset. */
void uw_scsi_reset(struct uw_scsi *s);
/* Begins a command: sets data and bytes; with a failed one there are none. False: check condition, sense says why. */
bool UW_MUST_CHECK uw_scsi_begin(struct uw_scsi *s, const uint8_t cdb[UW_SCSI_CDB], uint8_t lun);
/* Moves the next bytes of the command's data, of which so many remain. False: check condition. */
bool UW_MUST_CHECK uw_scsi_in(struct uw_scsi *s, uint8_t *to, uint32_t bytes);
bool UW_MUST_CHECK uw_scsi_out(struct uw_scsi *s, const uint8_t *from, uint32_t bytes);
/* All data have moved. False: check condition. */
bool UW_MUST_CHECK uw_scsi_end(struct uw_scsi *s);

#endif
