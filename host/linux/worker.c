/* SPDX-License-Identifier: GPL-2.0-only */
/* The process that handles what guests write: core, devices, control socket. It may die at any time. */
#include "worker.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log.h"

#define STOP_GRACE (2000 * UW_MS) /* for guests' transfers to end */
#define SLACK 1000                /* nanoseconds that the kernel may add to a wait; its default is 50,000 */
#define TURNS 16u                 /* looks at the rings between two looks at descriptors, while polling */

/* ---- the keeper ---- */

static void tell_keeper(struct uw_worker *w, uint32_t kind, const void *body, uint32_t bytes)
{
	struct uw_word word = { .kind = kind, .bytes = bytes };
	struct iovec io[2] = { { &word, sizeof(word) }, { (void *)(uintptr_t)body, bytes } };
	struct msghdr message = { .msg_iov = io, .msg_iovlen = 2 };

	if (w->words.fd >= 0 && sendmsg(w->words.fd, &message, MSG_NOSIGNAL) < 0)
		uw_log(UW_LOG_ERROR, "the keeper does not listen: %s", strerror(errno));
}

static void save_bindings(struct uw_devs *devs)
{
	struct uw_worker *w = UW_CONTAINER(devs, struct uw_worker, devs);
	const struct uw_bindings *all = &devs->bindings;

	tell_keeper(w, UW_WORD_BINDINGS, all->entry, all->count * (uint32_t)sizeof(all->entry[0]));
}

static void begin_stop(struct uw_worker *w)
{
	uint32_t i;

	if (w->stop_at != UW_NEVER)
		return;
	w->stop_at = w->loop.now + STOP_GRACE;
	for (i = 0; i < w->links_count; i++) {
		uw_host_stop(&w->links[i].host, w->loop.now);
		w->links[i].dirty = true;
	}
}

static void on_words(struct uw_source *source, uint32_t events)
{
	struct uw_worker *w = UW_CONTAINER(source, struct uw_worker, words);
	struct uw_word word;
	ssize_t bytes = recv(source->fd, &word, sizeof(word), MSG_DONTWAIT);

	(void)events;
	if (bytes < 0)
		return;
	if (!bytes) {
		uw_log(UW_LOG_ERROR, "the keeper is gone; stopping");
		uw_loop_close(&w->loop, source);
		begin_stop(w);
	} else if (word.kind == UW_WORD_STOP) {
		begin_stop(w);
	} else if (word.kind == UW_WORD_LINK && word.vm < w->links_count) {
		uw_host_link(&w->links[word.vm].host, word.present, w->loop.now);
		w->links[word.vm].dirty = true;
	}
}

/* ---- rights ---- */

/* From here on neither this process nor what it might be made to execute can get rights that it does not have. */
static bool drop_rights(const struct uw_start *start)
{
	uid_t uid = start->drop_uid;
	gid_t gid = start->drop_gid;

	if (uid != (uid_t)-1 && (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))) {
		uw_log(UW_LOG_ERROR, "cannot become user %u: %s", uid, strerror(errno));
		return false;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) {
		uw_log(UW_LOG_ERROR, "prctl: %s", strerror(errno));
		return false;
	}
	return true;
}

/* ---- the loop ---- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* One turn over devices and links. When the next is due; now means that somebody polls. */
static uint64_t turn(struct uw_worker *w)
{
	uint64_t next = uw_devs_run(&w->devs);
	uint32_t i;

	for (i = 0; i < w->links_count; i++)
		next = sooner(next, uw_link_run(&w->links[i]));
	/* A link may have made a device ask for its timer. */
	return sooner(next, w->devs.next_timer);
}

static bool stopped(const struct uw_worker *w)
{
	uint32_t i;

	if (w->stop_at == UW_NEVER)
		return false;
	for (i = 0; i < w->links_count; i++)
		if (!uw_host_stopped(&w->links[i].host) && w->loop.now < w->stop_at)
			return false;
	return true;
}

/* While a link polls, descriptors are looked at only now and then: that costs as much as many looks at a ring. */
static void run(struct uw_worker *w)
{
	uint64_t next = turn(w);
	uint32_t i;

	for (i = 1; i < TURNS && next <= w->loop.now && !w->devs.attention; i++) {
		uw_loop_tick(&w->loop);
		next = turn(w);
	}
	if (w->devs.attention || stopped(w))
		next = w->loop.now;
	uw_loop_wait(&w->loop, sooner(next, w->stop_at));
}

/* ---- the whole ---- */

static bool open_links(struct uw_worker *w)
{
	const struct uw_start *start = w->start;
	uint32_t i;

	for (i = 0; i < start->config->vms; i++) {
		w->links_count++;
		if (!uw_link_open(&w->links[i], &w->loop, &start->regions[i], start->config))
			return false;
		if (start->present[i])
			uw_host_link(&w->links[i].host, true, w->loop.now);
	}
	return true;
}

static bool open_all(struct uw_worker *w)
{
	if (uw_loop_init(&w->loop) || uw_loop_add(&w->loop, &w->words, w->start->words, EPOLLIN)) {
		uw_log(UW_LOG_ERROR, "epoll: %s", strerror(errno));
		return false;
	}
	w->started = w->loop.now;
	w->devs.links = w->links;
	w->devs.links_count = w->start->config->vms;
	w->devs.answer = uw_server_answer;
	w->devs.changed = save_bindings;
	return drop_rights(w->start) && open_links(w) && uw_devs_open(&w->devs, &w->loop, w->start) &&
	       uw_server_open(&w->server, w);
}

static void close_all(struct uw_worker *w)
{
	uint32_t i;

	uw_server_close(&w->server);
	uw_devs_close(&w->devs);
	for (i = 0; i < w->links_count; i++)
		uw_link_close(&w->links[i]);
	uw_loop_fini(&w->loop);
}

int uw_worker_main(const struct uw_start *start)
{
	struct uw_worker *w = calloc(1, sizeof(*w));

	uw_log_init((int)start->config->level, "usbwarpd worker");
	prctl(PR_SET_TIMERSLACK, SLACK, 0, 0, 0);
	if (!w)
		return EXIT_FAILURE;
	w->start = start;
	w->stop_at = UW_NEVER;
	w->words.ready = on_words;
	if (!open_all(w))
		return EXIT_FAILURE;
	uw_devs_run(&w->devs); /* what is bound from the start is bound when we say that we are ready */
	tell_keeper(w, UW_WORD_READY, NULL, 0);
	while (!stopped(w))
		run(w);
	close_all(w);
	free(w);
	return EXIT_SUCCESS;
}
