/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages for people: one line each on stderr, with a priority the journal understands. */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int wanted = UW_LOG_INFO;
static bool journal;
static char name[32] = "usbwarpd";

/* systemd names the journal's stream by device and inode: systemd.exec(5), $JOURNAL_STREAM. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 && !fstat(STDERR_FILENO, &st) &&
	       st.st_dev == device && st.st_ino == inode;
}

void uw_log_init(int level, const char *who)
{
	wanted = level;
	journal = stderr_is_journal();
	snprintf(name, sizeof(name), "%s", who);
}

/* Names come from devices and guests: what could end or forge a line is replaced. */
static void keep_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void uw_log(int level, const char *format, ...)
{
	char text[1024], line[1100];
	va_list args;
	int bytes;

	if (level > wanted)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	keep_one_line(text);
	if (journal)
		bytes = snprintf(line, sizeof(line), "<%d>%s\n", level, text);
	else
		bytes = snprintf(line, sizeof(line), "%s: %s\n", name, text);
	/* One write a line, so that lines of two processes never mix; where stderr is gone nobody can be told. */
	if (write(STDERR_FILENO, line, (size_t)bytes) < 0)
		return;
}
