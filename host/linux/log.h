/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages for people: one line each on stderr, with a priority the journal understands. */
#ifndef UW_LOG_H
#define UW_LOG_H

/* Priorities as in syslog(3). */
enum uw_log_level { UW_LOG_ERROR = 3, UW_LOG_WARNING = 4, UW_LOG_NOTICE = 5, UW_LOG_INFO = 6, UW_LOG_DEBUG = 7 };

/* Messages of a higher number than level are left out. who: the process, when there is more than one to tell apart. */
void uw_log_init(int level, const char *who);
void uw_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
