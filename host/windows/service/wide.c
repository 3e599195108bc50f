/* SPDX-License-Identifier: GPL-2.0-only */
/* Windows speaks UTF-16, everything of ours UTF-8. */
#include "wide.h"

#include <stdio.h>
#include <stdlib.h>

char *uw_narrow(char *to, size_t size, const wchar_t *from)
{
	char *whole = uw_narrow_new(from);
	size_t bytes = whole ? strlen(whole) : 0;

	if (bytes >= size)
		for (bytes = size - 1; bytes && ((unsigned char)whole[bytes] & 0xc0) == 0x80; bytes--)
			;
	if (whole)
		memcpy(to, whole, bytes);
	to[bytes] = 0;
	free(whole);
	return to;
}

wchar_t *uw_widen(wchar_t *to, size_t count, const char *from)
{
	int got = MultiByteToWideChar(CP_UTF8, 0, from, (int)strlen(from), to, (int)count - 1);

	to[got > 0 ? got : 0] = 0;
	return to;
}

char *uw_narrow_new(const wchar_t *from)
{
	int bytes = WideCharToMultiByte(CP_UTF8, 0, from, -1, NULL, 0, NULL, NULL);
	char *to = bytes > 0 ? malloc((size_t)bytes) : NULL;

	if (to)
		WideCharToMultiByte(CP_UTF8, 0, from, -1, to, bytes, NULL, NULL);
	return to;
}

const char *uw_error_text(uint32_t error)
{
	static _Thread_local char text[320];
	wchar_t message[200] = L"";
	char said[240];
	DWORD got = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, error, 0, message,
				   (DWORD)UW_COUNT_OF(message), NULL);

	while (got && (message[got - 1] <= L' ' || message[got - 1] == L'.'))
		message[--got] = 0;
	uw_narrow(said, sizeof(said), message);
	if (error > 0xffff)
		snprintf(text, sizeof(text), "%s%s0x%08x", said, *said ? ", " : "error ", error);
	else
		snprintf(text, sizeof(text), "%s%s%u", said, *said ? ", error " : "error ", error);
	return text;
}
