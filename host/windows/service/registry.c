/* SPDX-License-Identifier: GPL-2.0-only */
/* The service's own key, HKLM\SOFTWARE\UsbWarp: Parameters for people, Bindings for itself. */
#include "registry.h"

#include <sddl.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

#define TEXT_MAX 2048u

HKEY uw_registry_open(const wchar_t *subkey, uint32_t *error)
{
	SECURITY_ATTRIBUTES attributes = { .nLength = sizeof(attributes) };
	wchar_t path[128];
	HKEY key = NULL;

	swprintf(path, UW_COUNT_OF(path), UW_KEY L"%ls%ls", *subkey ? L"\\" : L"", subkey);
	/* Users may read what is configured; what is bound to whom is nobody's secret either. */
	if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(L"D:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;BU)", SDDL_REVISION_1,
								 &attributes.lpSecurityDescriptor, NULL)) {
		*error = GetLastError();
		return NULL;
	}
	*error = (uint32_t)RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_READ | KEY_WRITE, &attributes, &key, NULL);
	LocalFree(attributes.lpSecurityDescriptor);
	return *error ? NULL : key;
}

/* A number, a text, or a list of texts as a list of lines with zeros between. False: there is none. */
static bool read_value(HKEY key, const char *name, wchar_t *text, size_t count)
{
	wchar_t wide[64];
	DWORD type, bytes = (DWORD)((count - 2) * sizeof(*text)), number;

	memset(text, 0, count * sizeof(*text));
	if (RegQueryValueExW(key, uw_widen(wide, UW_COUNT_OF(wide), name), NULL, &type, (BYTE *)text, &bytes))
		return false;
	if (type != REG_DWORD)
		return type == REG_SZ || type == REG_MULTI_SZ;
	memcpy(&number, text, sizeof(number));
	swprintf(text, count, L"%lu", number);
	text[wcslen(text) + 1] = 0;
	return true;
}

bool uw_registry_config(struct uw_config *config)
{
	static wchar_t text[TEXT_MAX];
	const char *name, *argument, *help;
	char value[256], why[UW_WHY];
	bool good = true;
	const wchar_t *p;
	HKEY key;
	uint32_t i;

	if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, UW_KEY L"\\Parameters", 0, KEY_READ, &key))
		return true;
	for (i = 0; (name = uw_config_key(i, &argument, &help)) != NULL; i++) {
		if (!read_value(key, name, text, TEXT_MAX))
			continue;
		for (p = text; *p; p += wcslen(p) + 1) {
			if (uw_config_set(config, name, uw_narrow(value, sizeof(value), p), why))
				continue;
			uw_log(UW_LOG_ERROR, "HKLM\\SOFTWARE\\UsbWarp\\Parameters: %s", why);
			good = false;
		}
	}
	RegCloseKey(key);
	return good;
}

void uw_registry_get(const wchar_t *name, wchar_t *to, size_t count)
{
	DWORD bytes = (DWORD)(count * sizeof(*to));

	if (RegGetValueW(HKEY_LOCAL_MACHINE, UW_KEY, name, RRF_RT_REG_SZ, NULL, to, &bytes))
		*to = 0;
}

uint32_t uw_registry_put(const wchar_t *name, const wchar_t *text)
{
	uint32_t error;
	HKEY key = uw_registry_open(L"", &error);

	if (!key)
		return error;
	error = (uint32_t)RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)text, (DWORD)((wcslen(text) + 1) * sizeof(*text)));
	RegCloseKey(key);
	return error;
}
