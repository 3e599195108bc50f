/* SPDX-License-Identifier: GPL-2.0-only */
/* What the stand-in DLLs have in common: reports of violations, settings, and the line to tests/wine/broker.py. */
#ifndef UWLAB_LAB_H
#define UWLAB_LAB_H

#include <winsock2.h>
#include <windows.h>

#include <stdbool.h>
#include <stdint.h>

#define LAB_TEXT 160
#define LAB_PATH 512

/* One message of the broker's TCP line; tests/wine/broker.py describes each type. */
enum lab_type {
	LAB_HELLO = 1,
	LAB_VISIBLE = 2,
	LAB_DOORBELL = 3,
	LAB_INTERRUPT = 4,
	LAB_PLAYED = 5,
	LAB_HANDLES = 6,
	LAB_VM = 16,
	LAB_RUNG = 17,
	LAB_PLAY = 18,
	LAB_SYNC = 19,
};

enum lab_role {
	LAB_ROLE_HCS = 1,
	LAB_ROLE_HDV = 2,
};

struct lab_message {
	uint32_t type;
	uint32_t vm;                /* number of the VM in the broker's list */
	uint64_t a, b, c;
	char text[LAB_TEXT];
};

/* A VM as computecore.dll knows it, and tells vmdevicehost.dll and the forwarder of kernel32. */
struct lab_vm {
	uint32_t number;
	bool running;
	uint32_t size;              /* bytes of the region */
	char name[32];
	char owner[32];
	GUID id;                    /* of this run: a VM that is started again may have another one */
};

/* computecore.dll: private entries for the other stand-ins, found by GetProcAddress. */
typedef BOOL(WINAPI *uwlab_system_fn)(void *system, struct lab_vm *vm);
typedef BOOL(WINAPI *uwlab_vm_fn)(const GUID *id, struct lab_vm *vm);
/* vmdevicehost.dll: FlexibleIov was added. configuration: count strings for SetConfiguration. */
typedef HRESULT(WINAPI *uwlab_plug_fn)(const GUID *vm, const GUID *instance, const GUID *class, UINT32 count,
				       const PCWSTR *configuration);
/* ... was removed, or the VM has ended: gone. */
typedef HRESULT(WINAPI *uwlab_unplug_fn)(const GUID *vm, const GUID *instance, BOOL gone);

/* One line "UWLAB: area: ..." in the file named by UWLAB_REPORT. */
void lab_report(const char *area, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of the DLL's own history in the file named by UWLAB_TRACE, if any; never judged. */
void lab_trace(const char *area, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An environment variable, or else a value of HKLM\Software\UwLab; false when there is neither. */
bool lab_setting(const char *name, char *value, uint32_t size);
uint32_t lab_number(const char *name, uint32_t otherwise);

/* The line: received is called by a thread of its own, one message at a time; with a NULL message once when the line
 * has ended. lab_line_close returns when that thread has ended, unless it is the caller. */
struct lab_line {
	SOCKET socket;
	HANDLE thread;
	DWORD thread_id;
	CRITICAL_SECTION sending;
	void (*received)(struct lab_line *line, const struct lab_message *m);
	void *owner;
};

bool lab_line_open(struct lab_line *line, enum lab_role role, uint32_t vm);
bool lab_line_send(struct lab_line *line, enum lab_type type, uint32_t vm, uint64_t a, uint64_t b);
void lab_line_close(struct lab_line *line);

/* One command of the forwarding kernel for a device (tests/wine/kernel/README.md). */
enum lab_answer { LAB_DONE, LAB_REFUSED, LAB_NO_KERNEL };
enum lab_answer lab_kernel(const char *verb, const WCHAR *id);

bool lab_guid_parse(const WCHAR *text, GUID *guid);
void lab_guid_print(const GUID *guid, char text[37]);

#endif
