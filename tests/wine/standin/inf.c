// SPDX-License-Identifier: GPL-2.0-only
/* Drivers that an INF offers, and the service that one brings: read by Wine's own INF reader. */
#include "setup.h"

#include <stdio.h>
#include <string.h>

static bool field(INFCONTEXT *line, DWORD index, WCHAR *to, DWORD units)
{
	to[0] = 0;
	return SetupGetStringFieldW(line, index, to, units, NULL);
}

static bool value(HINF inf, const WCHAR *section, const WCHAR *key, DWORD index, WCHAR *to, DWORD units)
{
	INFCONTEXT line;

	to[0] = 0;
	return SetupFindFirstLineW(inf, section, key, &line) && field(&line, index, to, units);
}

/* "11/22/2026,1.2.3.4" */
static void read_version(HINF inf, struct setup_driver *d)
{
	unsigned int a = 0, b = 0, c = 0, e = 0;
	SYSTEMTIME time = { 0 };
	WCHAR date[32];

	value(inf, L"Version", L"DriverVer", 1, date, 32);
	value(inf, L"Version", L"DriverVer", 2, d->version_text, 64);
	swscanf(d->version_text, L"%u.%u.%u.%u", &a, &b, &c, &e);
	d->version = (uint64_t)a << 48 | (uint64_t)b << 32 | c << 16 | e;
	if (swscanf(date, L"%hu/%hu/%hu", &time.wMonth, &time.wDay, &time.wYear) == 3)
		SystemTimeToFileTime(&time, &d->date);
}

static bool read_head(HINF inf, struct setup_driver *d)
{
	WCHAR guid[64];

	d->magic = SETUP_DRIVER_MAGIC;
	value(inf, L"Version", L"Provider", 1, d->provider, SETUP_TEXT);
	value(inf, L"Version", L"Class", 1, d->class_name, 64);
	read_version(inf, d);
	return value(inf, L"Version", L"ClassGuid", 1, guid, 64) && lab_guid_parse(guid, &d->class);
}

static bool is_excluded(HINF inf, const WCHAR *id)
{
	WCHAR text[SETUP_ID];
	INFCONTEXT line;
	DWORD i;

	if (!SetupFindFirstLineW(inf, L"ControlFlags", L"ExcludeFromSelect", &line))
		return false;
	for (i = 1; field(&line, i, text, SETUP_ID); i++)
		if (!wcscmp(text, L"*") || !_wcsicmp(text, id))
			return true;
	return false;
}

/* Place of the id in the list of strings, or -1. */
static int place(const WCHAR *list, const WCHAR *id)
{
	int i;

	for (i = 0; list && *list; i++, list += wcslen(list) + 1)
		if (!_wcsicmp(list, id))
			return i;
	return -1;
}

/* Each id of a models line that the device has; without a device the line as a whole. */
static void read_model(INFCONTEXT *line, struct setup_driver *d, const WCHAR *hardware, const WCHAR *compatible,
		       setup_driver_fn found, void *context)
{
	WCHAR id[SETUP_ID];
	DWORD i;
	int at;

	field(line, 0, d->description, SETUP_TEXT);
	field(line, 1, d->section, SETUP_TEXT);
	field(line, 2, d->id, SETUP_ID);
	if (!hardware && !compatible) {
		found(d, context);
		return;
	}
	for (i = 2; field(line, i, id, SETUP_ID); i++) {
		at = place(hardware, id);
		if (at < 0 && place(compatible, id) >= 0)
			at = 0x1000 + place(compatible, id);
		if (at < 0)
			continue;
		d->rank = at + 0x100 * (i - 2);
		wcscpy(d->id, id);
		found(d, context);
		return;
	}
}

/* "%Maker% = Models, NTamd64.10.0...17763": the decorated section where there is one for this machine. */
static bool models_section(HINF inf, INFCONTEXT *line, WCHAR *section, DWORD units)
{
	WCHAR base[SETUP_TEXT], target[128];
	INFCONTEXT first;
	DWORD i;

	if (!field(line, 1, base, SETUP_TEXT))
		return false;
	swprintf(section, units, L"%ls", base);
	for (i = 2; field(line, i, target, 128); i++) {
		if (_wcsnicmp(target, L"NTamd64", 7))
			continue;
		swprintf(section, units, L"%ls.%ls", base, target);
		break;
	}
	return SetupFindFirstLineW(inf, section, NULL, &first);
}

void setup_inf_drivers(const WCHAR *path, const WCHAR *hardware, const WCHAR *compatible, setup_driver_fn found, void *context)
{
	struct setup_driver d = { 0 };
	WCHAR section[SETUP_TEXT];
	INFCONTEXT maker, line;
	HINF inf = SetupOpenInfFileW(path, NULL, INF_STYLE_WIN4, NULL);
	bool more;

	if (inf == INVALID_HANDLE_VALUE)
		return;
	swprintf(d.inf, MAX_PATH, L"%ls", path);
	more = read_head(inf, &d) && SetupFindFirstLineW(inf, L"Manufacturer", NULL, &maker);
	for (; more; more = SetupFindNextLine(&maker, &maker)) {
		field(&maker, 0, d.manufacturer, SETUP_TEXT);
		if (!models_section(inf, &maker, section, SETUP_TEXT) || !SetupFindFirstLineW(inf, section, NULL, &line))
			continue;
		do {
			WCHAR id[SETUP_ID];

			field(&line, 2, id, SETUP_ID);
			d.excluded = is_excluded(inf, id);
			read_model(&line, &d, hardware, compatible, found, context);
		} while (SetupFindNextLine(&line, &line));
	}
	SetupCloseInfFile(inf);
}

bool setup_inf_service(const struct setup_driver *d, WCHAR service[SETUP_TEXT])
{
	static const WCHAR *const decorations[] = { L".NTamd64", L".NT", L"" };
	HINF inf = SetupOpenInfFileW(d->inf, NULL, INF_STYLE_WIN4, NULL);
	WCHAR section[SETUP_TEXT + 32], flags[32];
	bool good = false;
	INFCONTEXT line;
	int i;

	if (inf == INVALID_HANDLE_VALUE)
		return false;
	for (i = 0; i < 3 && !good; i++) {
		swprintf(section, SETUP_TEXT + 32, L"%ls%ls.Services", d->section, decorations[i]);
		good = SetupFindFirstLineW(inf, section, L"AddService", &line) && field(&line, 1, service, SETUP_TEXT) &&
		       field(&line, 2, flags, 32) && wcstoul(flags, NULL, 0) & 2;
	}
	SetupCloseInfFile(inf);
	return good;
}

/* Windows\INF is what stands for the driver store here. */
bool setup_in_store(const WCHAR *path)
{
	WCHAR folder[MAX_PATH];
	UINT length = GetWindowsDirectoryW(folder, MAX_PATH - 5);

	wcscpy(folder + length, L"\\INF\\");
	return !_wcsnicmp(path, folder, length + 5) && GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}
