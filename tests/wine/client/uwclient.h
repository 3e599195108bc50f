/* SPDX-License-Identifier: GPL-2.0-only */
/* What clientctl asks of uwclient.sys, which stands in for UsbWarp.sys above one device: controls on \\.\UwClient. */
#ifndef UWCLIENT_H
#define UWCLIENT_H

#include <stdint.h>

#define UWC_NAME 32u
#define UWC_TEXT 200u

/* CTL_CODE(0x8559, 0x800 + n, METHOD_BUFFERED, FILE_ANY_ACCESS) */
#define UWC_CODE(n) ((0x8559u << 16) | ((0x800u + (n)) << 2))
#define UWC_RUN UWC_CODE(0)      /* in: struct uwc_run, out: struct uwc_result; as long as the script takes */

#define UWC_RAISED 1u            /* verbs are called at DISPATCH_LEVEL */
#define UWC_CHAINS 2u            /* the driver may use chains of MDLs, and so copies less */

struct uwc_run {
	char script[UWC_NAME];
	uint32_t flags;
	uint32_t seed;
	uint32_t rounds;
	uint32_t reserved;
};

struct uwc_result {
	uint32_t failed;         /* 0: it passed */
	uint32_t transfers;      /* answered so far, since the driver was loaded */
	uint64_t bytes;
	uint64_t copied;
	char text[UWC_TEXT];     /* what failed, or what there is to say */
};

#endif
