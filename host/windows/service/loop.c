/* SPDX-License-Identifier: GPL-2.0-only */
/* The event loop: a completion port for pipes and for everything that other threads hand over, and a few timers. */
#include "loop.h"

#define BATCH 32u

uint64_t uw_clock(void)
{
	static LARGE_INTEGER frequency;
	LARGE_INTEGER now;
	uint64_t per;

	if (!frequency.QuadPart)
		QueryPerformanceFrequency(&frequency);
	QueryPerformanceCounter(&now);
	per = (uint64_t)frequency.QuadPart;
	return (uint64_t)now.QuadPart / per * (1000 * UW_MS) + (uint64_t)now.QuadPart % per * (1000 * UW_MS) / per;
}

bool uw_loop_init(struct uw_loop *loop)
{
	loop->now = uw_clock();
	uw_list_init(&loop->timers);
	loop->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
	return loop->port != NULL;
}

void uw_loop_fini(struct uw_loop *loop)
{
	if (loop->port)
		CloseHandle(loop->port);
	loop->port = NULL;
}

bool uw_loop_add(struct uw_loop *loop, HANDLE file)
{
	return CreateIoCompletionPort(file, loop->port, 0, 0) != NULL;
}

/* A posted packet carries its error beside the operation, a packet of the system inside it. */
void uw_loop_post(struct uw_loop *loop, struct uw_op *op, uint32_t error, uint32_t bytes)
{
	PostQueuedCompletionStatus(loop->port, bytes, 1 | (ULONG_PTR)error << 1, &op->overlapped);
}

void uw_timer_arm(struct uw_loop *loop, struct uw_timer *timer, uint64_t at)
{
	uw_timer_cancel(timer);
	timer->at = at;
	uw_list_add(&loop->timers, &timer->node);
}

void uw_timer_cancel(struct uw_timer *timer)
{
	if (timer->node.next)
		uw_list_del(&timer->node);
	else
		uw_list_init(&timer->node);
}

static DWORD wait_for(const struct uw_loop *loop)
{
	uint64_t first = UW_NEVER, ms;
	struct uw_list *node;

	for (node = loop->timers.next; node != &loop->timers; node = node->next)
		if (UW_CONTAINER(node, struct uw_timer, node)->at < first)
			first = UW_CONTAINER(node, struct uw_timer, node)->at;
	if (first == UW_NEVER)
		return INFINITE;
	ms = first <= loop->now ? 0 : (first - loop->now + UW_MS - 1) / UW_MS;
	return ms < 3600000 ? (DWORD)ms : 3600000;
}

/* Each search begins anew, as a timer may arm or cancel others. */
static void fire(struct uw_loop *loop)
{
	struct uw_list *node = loop->timers.next;
	struct uw_timer *timer;

	while (node != &loop->timers) {
		timer = UW_CONTAINER(node, struct uw_timer, node);
		node = node->next;
		if (timer->at > loop->now)
			continue;
		uw_timer_cancel(timer);
		timer->fired(timer);
		node = loop->timers.next;
	}
}

static void dispatch(const OVERLAPPED_ENTRY *entry)
{
	struct uw_op *op = (void *)entry->lpOverlapped;
	DWORD bytes, error = (DWORD)(entry->lpCompletionKey >> 1);

	if (!(entry->lpCompletionKey & 1))
		error = GetOverlappedResult(op->file, &op->overlapped, &bytes, FALSE) ? 0 : GetLastError();
	op->done(op, error, entry->dwNumberOfBytesTransferred);
}

void uw_loop_wait(struct uw_loop *loop)
{
	OVERLAPPED_ENTRY entries[BATCH];
	ULONG count = 0, i;

	loop->now = uw_clock();
	if (!GetQueuedCompletionStatusEx(loop->port, entries, BATCH, &count, wait_for(loop), FALSE))
		count = 0;
	loop->now = uw_clock();
	for (i = 0; i < count; i++)
		dispatch(&entries[i]);
	fire(loop);
}
