/* SPDX-License-Identifier: GPL-2.0-only */
/* The service's own key, HKLM\SOFTWARE\UsbWarp: Parameters for people, Bindings for itself. */
#ifndef UW_REGISTRY_H
#define UW_REGISTRY_H

#include "config.h"
#include "wide.h"

#define UW_KEY L"SOFTWARE\\UsbWarp"

/* Opened or made, so that none but SYSTEM and Administrators can write. NULL: *error. */
HKEY uw_registry_open(const wchar_t *subkey, uint32_t *error);
/* The values of Parameters. False: one is wrong, and the log says which. */
UW_MUST_CHECK bool uw_registry_config(struct uw_config *config);
/* A text below UW_KEY; empty when there is none. */
void uw_registry_get(const wchar_t *name, wchar_t *to, size_t count);
uint32_t uw_registry_put(const wchar_t *name, const wchar_t *text);

#endif
