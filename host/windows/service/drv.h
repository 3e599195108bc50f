/* SPDX-License-Identifier: GPL-2.0-only */
/* A handle of UsbWarp.sys: one session, and the device controls of include/usbwarp/ioctl.h on it. */
#ifndef UW_DRV_H
#define UW_DRV_H

#include "loop.h"
#include "usbwarp/ioctl.h"

/* One request that pends. The buffers must live until done has been called. */
struct uw_drv_request {
	struct uw_op op;
	void (*done)(struct uw_drv_request *request, uint32_t error, uint32_t bytes);
	HANDLE wait;
	struct uw_loop *loop;
	HANDLE file;
};

/* Starts the driver if need be, opens it and says hello. 0, or a system error; ERROR_REVISION_MISMATCH: another version. */
uint32_t uw_drv_open(HANDLE *file);
/* Waits for the answer, which must have out_bytes. 0, or a system error. */
uint32_t uw_drv_call(HANDLE file, uint32_t code, const void *in, uint32_t in_bytes, void *out, uint32_t out_bytes);
/* In the loop. done is called in the loop, also when the request failed at once. */
void uw_drv_begin(struct uw_loop *loop, HANDLE file, uint32_t code, const void *in, uint32_t in_bytes, void *out,
		  uint32_t out_bytes, struct uw_drv_request *request);

#endif
