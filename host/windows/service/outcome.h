/* SPDX-License-Identifier: GPL-2.0-only */
/* What became of a command. */
#ifndef UW_OUTCOME_H
#define UW_OUTCOME_H

#include "usbwarp/ctl.h"
#include "base.h"
#include "format.h"

struct uw_outcome {
	uint16_t status;       /* enum uw_ctl_status */
	char text[UW_CTL_TEXT];
};

void uw_say(struct uw_outcome *outcome, uint16_t status, const char *format, ...) UW_FORMAT(3);

#endif
