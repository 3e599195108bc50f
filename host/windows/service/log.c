/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages for people: the event log for a service, stderr for a console. The event log gets notices and above only:
 * it is read by administrators, is small, and keeps what is written into it for years. A debugger gets all.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

#include "wide.h"

#include <messages.h> /* made from messages.mc; needs the types of windows.h */

static int wanted = UW_LOG_INFO;
static bool console = true;
static HANDLE events;

void uw_log_init(int level, int to_console)
{
	wanted = level;
	console = to_console;
	if (!console && !events)
		events = RegisterEventSourceW(NULL, UW_EVENT_SOURCE);
}

void uw_log_fini(void)
{
	if (events)
		DeregisterEventSource(events);
	events = NULL;
}

static void keep_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void to_event_log(int level, const char *text)
{
	wchar_t wide[1024];
	const wchar_t *strings[] = { uw_widen(wide, UW_COUNT_OF(wide), text) };
	WORD type = level <= UW_LOG_ERROR     ? EVENTLOG_ERROR_TYPE
		    : level == UW_LOG_WARNING ? EVENTLOG_WARNING_TYPE
					      : EVENTLOG_INFORMATION_TYPE;

	if (events && level <= UW_LOG_NOTICE)
		ReportEventW(events, type, 0, UW_EVENT_TEXT, NULL, 1, 0, strings, NULL);
}

void uw_log(int level, const char *format, ...)
{
	char text[1000], line[1040];
	va_list args;
	DWORD written;
	int bytes;

	if (level > wanted)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	keep_one_line(text);
	bytes = snprintf(line, sizeof(line), "UsbWarpService: %s\n", text);
	if (!console) {
		to_event_log(level, text);
		OutputDebugStringA(line);
		return;
	}
	/* One write a line, so that lines of two threads never mix; where stderr is gone nobody can be told. */
	WriteFile(GetStdHandle(STD_ERROR_HANDLE), line, (DWORD)bytes, &written, NULL);
}
