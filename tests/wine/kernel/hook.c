// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replaces bodies of Wine's kernel in memory, so that its dispatcher and its plug and play thread, which call each other
 * and not our exports, take our way as well.
 *
 * Five bytes at the start become a jump to a page nearby, which jumps on. A former body that is still wanted continues
 * behind the instructions moved; only the few that open Wine's functions are known, others are refused and reported.
 */
#include "lab.h"

#define PAGE_RWX 0x40
#define MEM_BOTH 0x3000

static uint8_t *room, *room_end;
static struct lab_lock room_lock;

/* Memory that a 32-bit displacement reaches. */
static uint8_t *near_room(uint8_t *code, size_t size)
{
	uint8_t *p;

	lab_lock(&room_lock);
	for (uint64_t off = 0x100000; !room && off < 0x70000000; off += 0x100000) {
		room = VirtualAlloc((void *)(((uintptr_t)code - off) & ~0xffffull), 0x10000, MEM_BOTH, PAGE_RWX);
		if (!room)
			room = VirtualAlloc((void *)(((uintptr_t)code + off) & ~0xffffull), 0x10000, MEM_BOTH, PAGE_RWX);
		room_end = room + 0x10000;
	}
	p = room;
	if (p && p + size <= room_end)
		room += size;
	else
		p = NULL;
	lab_unlock(&room_lock);
	return p;
}

/* Bytes of one instruction that does not depend on where it stands, or 0. */
static size_t instruction(const uint8_t *p)
{
	bool rex = (p[0] & 0xf0) == 0x40;
	const uint8_t *op = p + rex;

	if ((op[0] & 0xf8) == 0x50)                              /* push */
		return rex + 1u;
	if (op[0] == 0x83 && (op[1] & 0xc0) == 0xc0)             /* sub rsp, small */
		return rex + 3u;
	if (op[0] == 0x81 && (op[1] & 0xc0) == 0xc0)             /* sub rsp, large */
		return rex + 6u;
	if ((op[0] == 0x89 || op[0] == 0x8b || op[0] == 0x31 || op[0] == 0x33) && (op[1] & 0xc0) == 0xc0)
		return rex + 2u;
	if ((op[0] == 0x89 || op[0] == 0x8b) && (op[1] & 0xc7) == 0x44 && op[2] == 0x24)    /* mov [rsp + small] */
		return rex + 4u;
	return 0;
}

static void absolute_jump(uint8_t *at, const void *to)
{
	static const uint8_t jump[6] = { 0xff, 0x25 };

	memcpy(at, jump, 6);
	memcpy(at + 6, &to, 8);
}

void *lab_hook(const char *name, void *to, bool keep)
{
	uint8_t *code = GetProcAddress(GetModuleHandleW(L"ntoskrnl.exe"), name), *stub;
	size_t moved = 0, one = 1;
	int32_t distance;
	DWORD old;

	while (code && keep && moved < 5 && one) {
		one = instruction(code + moved);
		moved += one;
	}
	stub = code && one ? near_room(code, 64) : NULL;
	if (!stub) {
		lab_report("cannot replace %s", name);
		return NULL;
	}
	absolute_jump(stub, to);
	memcpy(stub + 16, code, moved);
	absolute_jump(stub + 16 + moved, code + moved);
	distance = (int32_t)(stub - (code + 5));
	VirtualProtect(code, 5, PAGE_RWX, &old);
	code[0] = 0xe9;
	memcpy(code + 1, &distance, 4);
	VirtualProtect(code, 5, old, &old);
	return stub + 16;
}
