/* SPDX-License-Identifier: GPL-2.0-only */
/* Windows' statuses to the protocol's, by table. */
#include "status.h"

struct row {
	uint32_t windows;
	uint32_t status;       /* enum uw_status */
};

#define ROW(name, value, status) { value, UW_ST_##status },
static const struct row usbd_rows[] = { UW_USBD_STATUSES(ROW) };
static const struct row nt_rows[] = { UW_NT_STATUSES(ROW) };

static uint32_t look_up(const struct row *row, uint32_t rows, uint32_t value)
{
	uint32_t i;

	for (i = 0; i < rows; i++)
		if (row[i].windows == value)
			return row[i].status;
	return UW_ST_HOST;
}

uint32_t uw_usbd_status(uint32_t usbd)
{
	return look_up(usbd_rows, UW_COUNT_OF(usbd_rows), usbd);
}

/* Severity 3 is an error, 2 a warning; what the table does not know of the others did its work. */
uint32_t uw_nt_status(uint32_t nt)
{
	return nt >> 30 < 2 ? UW_ST_OK : look_up(nt_rows, UW_COUNT_OF(nt_rows), nt);
}

/* An unplugged device shows as any error of a transaction in the URB; the IRP then knows better. */
uint32_t uw_urb_status(uint32_t usbd, uint32_t nt)
{
	uint32_t status = uw_nt_status(nt);

	return usbd && status != UW_ST_NO_DEVICE ? uw_usbd_status(usbd) : status;
}
