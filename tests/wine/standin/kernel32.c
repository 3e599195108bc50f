// SPDX-License-Identifier: GPL-2.0-only
/*
 * uwlab_32.dll: kernel32 but for one call. A program's anonymous section of a region's size becomes a section on the
 * VM's file, which QEMU has mapped too. Which VM it is for is what the section's security descriptor says.
 */
#include "lab.h"

#include <aclapi.h>
#include <sddl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGION_MIN (4u << 20)
#define fault(...) lab_report("section", __VA_ARGS__)

/* S-1-5-83-1-... is the virtual machine of that GUID, S-1-5-83-0 all of them. */
#define VM_AUTHORITY 83

/* ---- who may open it ---- */

struct admitted {
	bool system, any_vm, vm;
	GUID id;
};

static bool is_vm_sid(PSID sid, struct admitted *a)
{
	static const SID_IDENTIFIER_AUTHORITY nt = { SECURITY_NT_AUTHORITY };
	DWORD parts[4], i;

	if (memcmp(GetSidIdentifierAuthority(sid), &nt, sizeof(nt)) || *GetSidSubAuthorityCount(sid) < 2 ||
	    *GetSidSubAuthority(sid, 0) != VM_AUTHORITY)
		return false;
	if (*GetSidSubAuthority(sid, 1) == 0 && *GetSidSubAuthorityCount(sid) == 2) {
		a->any_vm = true;
		return true;
	}
	if (*GetSidSubAuthority(sid, 1) != 1 || *GetSidSubAuthorityCount(sid) != 6)
		return false;
	for (i = 0; i < 4; i++)
		parts[i] = *GetSidSubAuthority(sid, 2 + i);
	memcpy(&a->id, parts, sizeof(a->id));
	a->vm = true;
	return true;
}

static void judge_ace(const ACCESS_ALLOWED_ACE *ace, struct admitted *a)
{
	PSID sid = (PSID)&ace->SidStart;
	char *text = NULL;

	if (ace->Header.AceType != ACCESS_ALLOWED_ACE_TYPE)
		return;
	if (IsWellKnownSid(sid, WinLocalSystemSid)) {
		a->system = true;
		return;
	}
	if (is_vm_sid(sid, a))
		return;
	ConvertSidToStringSidA(sid, &text);
	fault("CreateFileMappingW: the section admits %s", text ? text : "somebody");
	LocalFree(text);
}

static void judge_descriptor(const SECURITY_ATTRIBUTES *attributes, struct admitted *a)
{
	BOOL present = FALSE, defaulted;
	PACL dacl = NULL;
	void *ace;
	DWORD i;

	if (!attributes || !attributes->lpSecurityDescriptor ||
	    !GetSecurityDescriptorDacl(attributes->lpSecurityDescriptor, &present, &dacl, &defaulted) || !present || !dacl) {
		fault("CreateFileMappingW: the section has no DACL of its own");
		return;
	}
	if (attributes->bInheritHandle)
		fault("CreateFileMappingW: the section's handle is inherited");
	for (i = 0; i < dacl->AceCount; i++)
		if (GetAce(dacl, i, &ace))
			judge_ace(ace, a);
	if (!a->system || !(a->vm || a->any_vm))
		fault("CreateFileMappingW: the section does not admit %s", a->system ? "the VM" : "SYSTEM");
}

/* ---- which file ---- */

static bool find_vm(const struct admitted *a, struct lab_vm *vm)
{
	HMODULE module = GetModuleHandleA("computecore.dll");
	uwlab_vm_fn fn = module ? (uwlab_vm_fn)(void *)GetProcAddress(module, "UwlabVm") : NULL;

	return fn && fn(a->vm ? &a->id : NULL, vm);
}

static HANDLE open_file(const struct admitted *a, uint64_t size)
{
	char prefix[LAB_PATH], path[LAB_PATH + 40];
	LARGE_INTEGER length = { .QuadPart = 0 };
	struct lab_vm vm;
	HANDLE file;

	if (!lab_setting("UWLAB_REGION", prefix, sizeof(prefix)) || !find_vm(a, &vm)) {
		fault("CreateFileMappingW: no VM that runs has that SID");
		return INVALID_HANDLE_VALUE;
	}
	snprintf(path, sizeof(path), "%s%s", prefix, vm.name);
	file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
	if (file == INVALID_HANDLE_VALUE)
		fault("CreateFileMappingW: %s: error %lu", path, GetLastError());
	else if (!GetFileSizeEx(file, &length) || (uint64_t)length.QuadPart != size)
		fault("CreateFileMappingW: %llu bytes asked for, the broker's region of %s has %lld", (unsigned long long)size,
		      vm.name, (long long)length.QuadPart);
	lab_trace("section", "%s", path);
	return file;
}

HANDLE WINAPI UwlabCreateFileMappingW(HANDLE file, SECURITY_ATTRIBUTES *attributes, DWORD protect, DWORD high, DWORD low,
				      const WCHAR *name)
{
	uint64_t size = (uint64_t)high << 32 | low;
	struct admitted a = { 0 };
	HANDLE section;

	if (file != INVALID_HANDLE_VALUE || size < REGION_MIN || size & (size - 1))
		return CreateFileMappingW(file, attributes, protect, high, low, name);
	if (name || (protect & ~SEC_COMMIT) != PAGE_READWRITE)
		fault("CreateFileMappingW: the section %s", name ? "has a name" : "is not PAGE_READWRITE");
	judge_descriptor(attributes, &a);
	file = open_file(&a, size);
	if (file == INVALID_HANDLE_VALUE)
		return NULL;
	section = CreateFileMappingW(file, attributes, PAGE_READWRITE, high, low, NULL);
	CloseHandle(file);
	return section;
}
