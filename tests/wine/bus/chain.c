/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Transfers whose bytes lie in a chain of MDLs. Models want them in one piece, so they are gathered before and scattered
 * after; only what the device has sent is written.
 */
#include "bus.h"

static MDL *chain_of(const struct uw_xfer *x)
{
	return x->urb->UrbBulkOrInterruptTransfer.TransferBufferMDL;
}

bool uw_chain_used(const URB *urb)
{
	return urb->UrbHeader.Function == URB_FUNCTION_BULK_OR_INTERRUPT_TRANSFER_USING_CHAINED_MDL ||
	       urb->UrbHeader.Function == URB_FUNCTION_ISOCH_TRANSFER_USING_CHAINED_MDL;
}

/* Each MDL's share of bytes offset..offset + bytes of the whole. */
static void copy_range(struct uw_xfer *x, uint32_t offset, uint32_t bytes, bool to_chain)
{
	uint32_t start = 0, from, to;
	uint8_t *theirs;
	MDL *mdl;

	for (mdl = chain_of(x); mdl && start < offset + bytes; mdl = mdl->Next) {
		theirs = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | UW_MDL_NO_EXECUTE);
		from = offset > start ? offset - start : 0;
		to = uw_min(offset + bytes - start, MmGetMdlByteCount(mdl));
		if (theirs && from < to && to_chain)
			uw_copy(theirs + from, x->gathered + start + from, to - from);
		else if (theirs && from < to)
			uw_copy(x->gathered + start + from, theirs + from, to - from);
		start += MmGetMdlByteCount(mdl);
	}
}

static bool good_chain(const struct uw_xfer *x, uint32_t length)
{
	const struct _URB_BULK_OR_INTERRUPT_TRANSFER *u = &x->urb->UrbBulkOrInterruptTransfer;
	uint64_t room = 0;
	MDL *mdl;

	for (mdl = chain_of(x); mdl; mdl = mdl->Next) {
		if (!(mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL))) {
			uw_refused("an MDL in a chain whose pages nobody has locked");
			return false;
		}
		room += MmGetMdlByteCount(mdl);
	}
	if (!x->dev->may_chain)
		uw_refused("a chain of MDLs without the capability, or without having asked for it");
	else if (u->TransferBuffer || !u->TransferBufferMDL)
		uw_refused("a chain of MDLs with TransferBuffer %p and TransferBufferMDL %p", u->TransferBuffer,
			   u->TransferBufferMDL);
	else if (room < length)
		uw_refused("TransferBufferLength %u with a chain of %llu bytes", (unsigned int)length,
			   (unsigned long long)room);
	else
		return true;
	return false;
}

uint8_t *uw_chain_gather(struct uw_xfer *x, uint32_t length, USBD_STATUS *status)
{
	*status = USBD_STATUS_INVALID_PARAMETER;
	if (!good_chain(x, length))
		return NULL;
	*status = USBD_STATUS_INSUFFICIENT_RESOURCES;
	x->gathered = uw_alloc(length ? length : 1);
	if (!x->gathered)
		return NULL;
	*status = USBD_STATUS_SUCCESS;
	copy_range(x, 0, length, false);
	return x->gathered;
}

void uw_chain_scatter(struct uw_xfer *x)
{
	uint32_t i;

	if (!(x->io.endpoint & 0x80))
		return;
	if (!x->packets)
		copy_range(x, 0, x->io.actual, true);
	for (i = 0; i < x->packets; i++)
		copy_range(x, x->iso[i].offset, x->iso[i].actual, true);
}
