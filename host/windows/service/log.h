/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages for people: the event log for a service, stderr for a console. */
#ifndef UW_LOG_H
#define UW_LOG_H

#include "format.h"

#define UW_EVENT_SOURCE L"UsbWarp"

enum { UW_LOG_ERROR = 3, UW_LOG_WARNING = 4, UW_LOG_NOTICE = 5, UW_LOG_INFO = 6, UW_LOG_DEBUG = 7 };

/* console: stderr instead of the event log. */
void uw_log_init(int level, int console);
void uw_log_fini(void);
/* Any thread. One sentence, without a full stop; what was read from devices and VMs cannot forge a line. */
void uw_log(int level, const char *format, ...) UW_FORMAT(2);

#endif
