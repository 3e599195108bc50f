/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records in the registry. A value is named by the instance id that was bound, so that no device has two; replacing it
 * is one operation of the registry's own log, and RegFlushKey puts it on disk before a driver is touched.
 */
#include "journal.h"

#include <stdlib.h>

#include "log.h"
#include "registry.h"

#define NAME_MAX_UNITS 256u

/* The lines of a record as a list of texts, and back: both only exchange the separator. */
static void exchange(wchar_t *text, size_t count, wchar_t from, wchar_t to)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (text[i] == from)
			text[i] = to;
}

static bool load_value(HKEY key, DWORD index, struct uw_record *record, bool *more)
{
	wchar_t name[NAME_MAX_UNITS], text[UW_RECORD_TEXT] = L"";
	DWORD units = NAME_MAX_UNITS, type, bytes = sizeof(text) - 2 * sizeof(*text);
	char narrow[UW_RECORD_TEXT], shown[UW_INSTANCE];
	LONG error = RegEnumValueW(key, index, name, &units, NULL, &type, (BYTE *)text, &bytes);
	size_t length = bytes / sizeof(*text);

	*more = error != ERROR_NO_MORE_ITEMS;
	if (!*more)
		return false;
	while (length && !text[length - 1])
		length--;
	exchange(text, length, 0, L'\n');
	text[length] = 0;
	if (!error && type == REG_MULTI_SZ && uw_record_parse(uw_narrow(narrow, sizeof(narrow), text), record))
		return true;
	uw_log(UW_LOG_WARNING, "the binding %s in HKLM\\SOFTWARE\\UsbWarp\\Bindings cannot be read; delete it",
	       error ? "" : uw_narrow(shown, sizeof(shown), name));
	return false;
}

uint32_t uw_journal_load(struct uw_record *records, uint32_t max)
{
	uint32_t error, count = 0;
	bool more = true;
	DWORD i;
	HKEY key = uw_registry_open(L"Bindings", &error);

	if (!key) {
		uw_log(UW_LOG_ERROR, "HKLM\\SOFTWARE\\UsbWarp\\Bindings cannot be opened: %s", uw_error_text(error));
		return 0;
	}
	for (i = 0; more && count < max; i++)
		count += load_value(key, i, &records[count], &more);
	RegCloseKey(key);
	return count;
}

uint32_t uw_journal_put(const struct uw_record *record)
{
	wchar_t name[NAME_MAX_UNITS], text[UW_RECORD_TEXT];
	char narrow[UW_RECORD_TEXT];
	uint32_t error;
	size_t length;
	HKEY key;

	if (!uw_record_print(record, narrow))
		return ERROR_BAD_LENGTH;
	uw_widen(text, UW_COUNT_OF(text) - 1, narrow);
	length = wcslen(text);
	text[length + 1] = 0;
	exchange(text, length, L'\n', 0);
	key = uw_registry_open(L"Bindings", &error);
	if (!key)
		return error;
	error = (uint32_t)RegSetValueExW(key, uw_widen(name, UW_COUNT_OF(name), record->instance), 0, REG_MULTI_SZ,
					 (const BYTE *)text, (DWORD)((length + 1) * sizeof(*text)));
	if (!error)
		error = (uint32_t)RegFlushKey(key);
	RegCloseKey(key);
	return error;
}

uint32_t uw_journal_remove(const struct uw_record *record)
{
	wchar_t name[NAME_MAX_UNITS];
	uint32_t error;
	HKEY key = uw_registry_open(L"Bindings", &error);

	if (!key)
		return error;
	error = (uint32_t)RegDeleteValueW(key, uw_widen(name, UW_COUNT_OF(name), record->instance));
	if (!error)
		RegFlushKey(key);
	RegCloseKey(key);
	return error;
}
