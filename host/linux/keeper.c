/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process that outlives crashes: it owns what must not be lost, starts workers, and reads no byte of a guest.
 *
 * QEMU can be given another region or other eventfds only by a restart of the VM, so these, and the sockets through
 * which QEMU got them, must not die with the code that handles what guests write. The keeper therefore does so little
 * that it has nothing to fail at: it listens, keeps descriptors and the worker's table of bindings, and waits.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "opener.h"
#include "qemu.h"
#include "start.h"
#include "worker.h"

#define STEADY (10000 * UW_MS)       /* a worker that lived so long had a good start */
#define BACKOFF_FIRST (200 * UW_MS)  /* before the second restart in short succession; doubles each time */
#define BACKOFF_LAST (10000 * UW_MS)
#define STOP_GRACE (5000 * UW_MS)    /* a worker that takes longer to stop is killed */

struct keeper {
	struct uw_config *config;
	struct uw_loop loop;
	struct uw_listener control;
	struct uw_region regions[UW_VMS_MAX];
	struct uw_qemu qemus[UW_VMS_MAX];
	bool present[UW_VMS_MAX];
	struct uw_source signals, words;
	struct uw_opener opener;
	pid_t worker;          /* 0: none now */
	bool ready;            /* a worker has served */
	bool stopping;
	int result;            /* exit code */
	uint64_t started;      /* the worker */
	uint64_t restart_at;   /* UW_NEVER: nothing to start */
	uint64_t kill_at;      /* UW_NEVER: no hurry */
	uint32_t failures;     /* deaths in short succession */
	struct uw_start start;
	struct uw_bindings bindings;
};

/* ---- talking with the worker ---- */

static void send_word(struct keeper *k, uint32_t kind, uint32_t vm, bool present)
{
	struct uw_word word = { .kind = kind, .vm = vm, .present = present };

	if (k->worker && k->words.fd >= 0 && send(k->words.fd, &word, sizeof(word), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		uw_log(UW_LOG_WARNING, "the worker does not listen: %s", strerror(errno));
}

static void on_qemu(struct uw_qemu *qemu)
{
	struct keeper *k = qemu->owner;
	uint32_t vm = (uint32_t)(qemu - k->qemus);

	k->present[vm] = uw_qemu_present(qemu);
	send_word(k, UW_WORD_LINK, vm, k->present[vm]);
}

/* A worker that was taken over can change what it may change anyway, and write no line of its own into the file. */
static void keep_bindings(struct keeper *k, const char *table, size_t bytes)
{
	if (bytes > sizeof(k->bindings.entry) || bytes % sizeof(k->bindings.entry[0])) {
		uw_log(UW_LOG_ERROR, "the worker sent a table of %zu bytes; the former one stays", bytes);
		return;
	}
	memcpy(k->bindings.entry, table, bytes);
	k->bindings.count = (uint32_t)(bytes / sizeof(k->bindings.entry[0]));
	uw_bindings_judge(&k->bindings);
	if (k->config->bindings && !uw_bindings_save(&k->bindings, k->config->bindings))
		uw_log(UW_LOG_ERROR, "bindings will be forgotten at the daemon's end");
}

static void on_ready(struct keeper *k)
{
	uw_log(UW_LOG_INFO, "%s, worker %d", k->ready ? "serving again" : "ready", (int)k->worker);
	if (!k->ready)
		sd_notify(0, "READY=1");
	k->ready = true;
}

/* False: there is none now, or the worker has gone, whose end is seen by SIGCHLD. */
static bool take_word(struct keeper *k)
{
	static char message[sizeof(struct uw_word) + sizeof(struct uw_binding) * UW_BINDINGS_MAX];
	struct uw_word word;
	ssize_t bytes = k->words.fd < 0 ? -1 : recv(k->words.fd, message, sizeof(message), MSG_DONTWAIT);

	if (bytes < (ssize_t)sizeof(word)) {
		if (bytes >= 0)
			uw_loop_close(&k->loop, &k->words);
		return false;
	}
	memcpy(&word, message, sizeof(word));
	if (word.kind == UW_WORD_READY)
		on_ready(k);
	else if (word.kind == UW_WORD_BINDINGS)
		keep_bindings(k, message + sizeof(word), (size_t)bytes - sizeof(word));
	return true;
}

static void on_words(struct uw_source *source, uint32_t events)
{
	(void)events;
	(void)take_word(UW_CONTAINER(source, struct keeper, words));
}

/* ---- the worker's life ---- */

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Whatever the worker is not meant to have is closed, also what somebody may add to the keeper one day. */
static void close_all_but(int *keep, uint32_t count)
{
	uint32_t i;
	int next = STDERR_FILENO + 1;

	qsort(keep, count, sizeof(*keep), compare);
	for (i = 0; i < count; i++) {
		if (keep[i] < next)
			continue;
		if (keep[i] > next)
			close_range((unsigned int)next, (unsigned int)keep[i] - 1, 0);
		next = keep[i] + 1;
	}
	close_range((unsigned int)next, ~0u, 0);
}

static void close_foreign(const struct keeper *k)
{
	int keep[3 + UW_VMS_MAX * (2 + UW_VECTORS) + UW_MODELS_MAX];
	uint32_t i, v, count = 0;

	keep[count++] = k->start.control;
	keep[count++] = k->start.words;
	keep[count++] = k->start.opener;
	for (i = 0; i < k->config->vms; i++) {
		keep[count++] = k->regions[i].fd;
		keep[count++] = k->regions[i].kick;
		for (v = 0; v < UW_VECTORS; v++)
			keep[count++] = k->regions[i].interrupt[v];
	}
	for (i = 0; i < k->config->models; i++)
		keep[count++] = k->config->model[i].fd;
	close_all_but(keep, count);
}

static void drop_worker_ends(struct keeper *k)
{
	uw_loop_close(&k->loop, &k->words);
	uw_loop_close(&k->loop, &k->opener.source);
}

static bool make_pair(struct keeper *k, struct uw_source *source, int *worker_end)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return false;
	*worker_end = ends[1];
	if (!uw_loop_add(&k->loop, source, ends[0], EPOLLIN))
		return true;
	close(ends[0]);
	close(ends[1]);
	return false;
}

static void start_worker(struct keeper *k)
{
	pid_t pid;

	k->restart_at = UW_NEVER;
	if (!make_pair(k, &k->words, &k->start.words) || !make_pair(k, &k->opener.source, &k->start.opener)) {
		uw_log(UW_LOG_ERROR, "socketpair: %s", strerror(errno));
		k->stopping = true;
		return;
	}
	pid = fork();
	if (!pid) {
		close_foreign(k);
		exit(uw_worker_main(&k->start));
	}
	close(k->start.words);
	close(k->start.opener);
	if (pid < 0)
		uw_log(UW_LOG_ERROR, "fork: %s", strerror(errno));
	k->worker = pid < 0 ? 0 : pid;
	k->started = k->loop.now;
	if (pid < 0)
		k->restart_at = k->loop.now + BACKOFF_LAST;
}

static uint64_t backoff(const struct keeper *k)
{
	uint64_t wait = k->failures < 2 ? 0 : BACKOFF_FIRST << uw_min(k->failures - 2, 10);

	return wait < BACKOFF_LAST ? wait : BACKOFF_LAST;
}

static const char *cause_of(int status)
{
	static char text[64];

	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof(text), "ended with code %d", WEXITSTATUS(status));
	return text;
}

static void plan_restart(struct keeper *k, int status)
{
	uint64_t wait;

	k->failures = k->loop.now - k->started < STEADY ? k->failures + 1 : 1;
	wait = backoff(k);
	if (wait)
		uw_log(UW_LOG_ERROR, "the worker %s, the %uth time in short succession; the next one starts in %llu ms",
		       cause_of(status), k->failures, (unsigned long long)(wait / UW_MS));
	else
		uw_log(UW_LOG_ERROR, "the worker %s; starting the next one", cause_of(status));
	k->restart_at = k->loop.now + wait;
	k->start.restarts++;
}

/*
 * When waitpid has returned, the kernel has closed the worker's device files and has ended their transfers: no byte
 * moves any more, which is what DOWN promises to guests.
 */
static void on_worker_end(struct keeper *k, int status)
{
	uint32_t i;

	k->worker = 0;
	k->kill_at = UW_NEVER;
	while (take_word(k)) /* what it said before it died counts: a command may have been answered */
		;
	drop_worker_ends(k);
	for (i = 0; i < k->config->vms; i++)
		uw_region_down(&k->regions[i]);
	if (k->stopping && status)
		uw_log(UW_LOG_WARNING, "the worker %s", cause_of(status));
	uw_opener_settle(&k->opener);
	if (k->stopping)
		return;
	if (k->ready) {
		plan_restart(k, status);
		return;
	}
	/* The first worker did not come up and has said why; the next one would say the same. */
	k->stopping = true;
	k->result = EXIT_FAILURE;
}

static void reap(struct keeper *k)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == k->worker)
			on_worker_end(k, status);
}

static void stop(struct keeper *k)
{
	if (k->stopping && k->worker) {
		uw_log(UW_LOG_NOTICE, "stopping at once");
		kill(k->worker, SIGKILL);
		return;
	}
	k->stopping = true;
	k->restart_at = UW_NEVER;
	k->kill_at = k->loop.now + STOP_GRACE;
	sd_notify(0, "STOPPING=1");
	uw_log(UW_LOG_INFO, "stopping");
	send_word(k, UW_WORD_STOP, 0, false);
}

static void on_signals(struct uw_source *source, uint32_t events)
{
	struct keeper *k = UW_CONTAINER(source, struct keeper, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(k);
		else
			stop(k);
	}
}

/* ---- the whole ---- */

static bool open_signals(struct keeper *k)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a disk's file at its limit is an error of that disk */
	k->signals.ready = on_signals;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 && !uw_loop_add(&k->loop, &k->signals, fd, EPOLLIN);
}

static bool open_control(struct keeper *k)
{
	const char *group = k->config->group ? k->config->group : "usbwarp";
	struct group *g = getgrnam(group);

	if (!g && k->config->group) {
		uw_log(UW_LOG_ERROR, "there is no group %s", group);
		return false;
	}
	k->start.gid = g ? g->gr_gid : (gid_t)-1;
	if (sd_listen_fds(1) == 1 && sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) > 0)
		uw_listen_given(&k->control, SD_LISTEN_FDS_START);
	else if (!uw_listen(&k->control, k->config->control, g && !geteuid() ? group : NULL))
		return false;
	k->start.control = k->control.fd;
	return true;
}

static bool open_vms(struct keeper *k)
{
	uint32_t i;

	for (i = 0; i < k->config->vms; i++) {
		k->qemus[i].owner = k;
		k->qemus[i].changed = on_qemu;
		if (!uw_region_open(&k->regions[i], &k->config->vm[i]))
			return false;
		k->present[i] = k->regions[i].polled;
		if (!k->regions[i].polled && !uw_qemu_open(&k->qemus[i], &k->loop, &k->regions[i]))
			return false;
	}
	return true;
}

static bool disk_error(const struct uw_model_config *m, const char *what)
{
	uw_log(UW_LOG_ERROR, "%s: %s: %s", m->bus_id, m->file, what);
	return false;
}

/* The size that was asked for, or that the file has; a file grows to what was asked for. */
static bool size_disk(struct uw_model_config *m)
{
	off_t size = lseek(m->fd, 0, SEEK_END); /* unlike stat this is right for block devices too */

	if (size < 0)
		return disk_error(m, strerror(errno));
	if (!m->readonly && m->size > (uint64_t)size && ftruncate(m->fd, (off_t)m->size))
		return disk_error(m, strerror(errno));
	if (!m->size || m->readonly)
		m->size = (uint64_t)size;
	return m->size >= UW_PAGE || disk_error(m, "is too small for a disk; size=SIZE makes it larger");
}

/*
 * A disk's file is opened here, with the rights of whoever started the daemon, because the worker has fewer. The lock
 * keeps two models, or two daemons, from writing to one file.
 */
static bool open_disk(struct uw_model_config *m)
{
	struct stat st;

	m->fd = open(m->file, (m->readonly ? O_RDONLY : O_RDWR | (m->size ? O_CREAT : 0)) | O_CLOEXEC, 0600);
	if (m->fd < 0 && errno == ENOENT && !m->size && !m->readonly)
		return disk_error(m, "No such file or directory; with size=SIZE it would be made");
	if (m->fd < 0 || fstat(m->fd, &st))
		return disk_error(m, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return disk_error(m, "is neither a file nor a block device");
	if (flock(m->fd, (m->readonly ? LOCK_SH : LOCK_EX) | LOCK_NB))
		return disk_error(m, "another disk uses this file");
	return size_disk(m);
}

static bool open_disks(struct keeper *k)
{
	uint32_t i;

	for (i = 0; i < k->config->models; i++)
		if (k->config->model[i].file && !open_disk(&k->config->model[i]))
			return false;
	return true;
}

/* Without an account of its own the worker becomes nobody, whom others may share: better than root, not good. */
static bool choose_user(struct keeper *k)
{
	const char *name = k->config->user ? k->config->user : "usbwarp";
	struct passwd *pw;

	k->start.drop_uid = (uid_t)-1;
	if (geteuid())
		return true;
	pw = getpwnam(name);
	if (!pw && k->config->user) {
		uw_log(UW_LOG_ERROR, "there is no user %s", name);
		return false;
	}
	if (!pw) {
		uw_log(UW_LOG_NOTICE, "there is no user usbwarp; the worker becomes nobody");
		pw = getpwnam("nobody");
	}
	k->start.drop_uid = pw ? pw->pw_uid : 65534;
	k->start.drop_gid = pw ? pw->pw_gid : 65534;
	return true;
}

/* Of two for one device, that of the configuration counts. */
static bool load_bindings(struct keeper *k)
{
	const struct uw_bind_config *bind = k->config->bind;
	struct uw_bindings *all = &k->bindings;
	struct uw_binding *b;
	uint32_t i;

	if (k->config->bindings && !uw_bindings_load(all, k->config->bindings))
		return false;
	for (i = 0; i < k->config->binds; i++) {
		b = uw_bindings_find(all, bind[i].match);
		if (b && !strcmp(b->vm, bind[i].vm))
			continue; /* with the port it had */
		if (!uw_bindings_put(all, bind[i].match, bind[i].vm, 0)) {
			uw_log(UW_LOG_ERROR, "bindings: more than %u", UW_BINDINGS_MAX);
			return false;
		}
	}
	return true;
}

static bool open_all(struct keeper *k)
{
	if (uw_loop_init(&k->loop)) {
		uw_log(UW_LOG_ERROR, "epoll: %s", strerror(errno));
		return false;
	}
	if (!open_signals(k)) {
		uw_log(UW_LOG_ERROR, "signalfd: %s", strerror(errno));
		return false;
	}
	k->words.ready = on_words;
	uw_opener_init(&k->opener, &k->loop, k->config->usb);
	if (k->config->in_directory && !uw_listen_directory(uw_config_directory()))
		return false;
	return load_bindings(k) && choose_user(k) && open_control(k) && open_disks(k) && open_vms(k);
}

static void close_all(struct keeper *k)
{
	uint32_t i;

	for (i = 0; i < k->config->vms; i++) {
		if (!k->regions[i].polled)
			uw_qemu_close(&k->qemus[i]);
		uw_region_close(&k->regions[i]);
	}
	drop_worker_ends(k);
	uw_listen_close(&k->control);
	uw_loop_close(&k->loop, &k->signals);
	uw_loop_fini(&k->loop);
}

static uint64_t deadline(const struct keeper *k)
{
	return k->restart_at < k->kill_at ? k->restart_at : k->kill_at;
}

static void serve(struct keeper *k)
{
	start_worker(k);
	while (!k->stopping || k->worker) {
		uw_loop_wait(&k->loop, deadline(k));
		if (k->loop.now >= k->restart_at && !k->stopping)
			start_worker(k);
		if (k->loop.now >= k->kill_at && k->worker) {
			uw_log(UW_LOG_WARNING, "the worker does not stop; killing it");
			k->kill_at = UW_NEVER;
			kill(k->worker, SIGKILL);
		}
	}
}

int uw_keeper_run(struct uw_config *config)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int result = EXIT_FAILURE;

	if (!k)
		return EXIT_FAILURE;
	k->config = config;
	k->control.fd = k->words.fd = k->opener.source.fd = k->signals.fd = -1;
	k->restart_at = k->kill_at = UW_NEVER;
	k->start = (struct uw_start){ .config = config, .regions = k->regions, .present = k->present,
				      .bindings = &k->bindings, .keeper = getpid(), .uid = geteuid() };
	if (open_all(k)) {
		serve(k);
		result = k->result;
	}
	close_all(k);
	free(k);
	return result;
}
