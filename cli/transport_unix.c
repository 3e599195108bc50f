/* SPDX-License-Identifier: GPL-2.0-only */
/* The connection to the daemon on systems with Unix sockets. */
#define _GNU_SOURCE
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SYSTEM_SOCKET "/run/usbwarp/control.sock"

const char uw_transport_peer[] = "usbwarpd";

static int connection = -1;

void uw_transport_begin(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
}

static int try_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int error;

	if (strlen(path) >= sizeof(address.sun_path))
		return ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection < 0)
		return errno;
	if (!connect(connection, (const void *)&address, sizeof(address)))
		return 0;
	error = errno;
	close(connection);
	connection = -1;
	return error;
}

static void explain(const char *path, int error, char *why)
{
	if (error == ENOENT || error == ECONNREFUSED)
		snprintf(why, UW_TRANSPORT_WHY,
			 "usbwarpd does not run (nobody listens at %.120s); start it, or give --socket", path);
	else if (error == EACCES || error == EPERM)
		snprintf(why, UW_TRANSPORT_WHY, "%.120s: permission denied; join the group usbwarp, or use sudo", path);
	else
		snprintf(why, UW_TRANSPORT_WHY, "%.120s: %s", path, strerror(error));
}

/* Where a daemon started by this user, not by root, listens. */
static const char *user_socket(void)
{
	static char path[256];
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (runtime && *runtime == '/')
		snprintf(path, sizeof(path), "%.200s/usbwarp/control.sock", runtime);
	else
		snprintf(path, sizeof(path), "/tmp/usbwarp-%u/control.sock", geteuid());
	return path;
}

bool uw_transport_open(const char *where, char *why)
{
	const char *path = where ? where : getenv("USBWARP_SOCKET");
	int error;

	if (!path || !*path) {
		path = SYSTEM_SOCKET;
		error = try_connect(path);
		if (error && geteuid() && !try_connect(user_socket()))
			error = 0;
	} else {
		error = try_connect(path);
	}
	if (error)
		explain(path, error, why);
	return !error;
}

/* A daemon that refuses at once may have closed already: what it said is read all the same. */
bool uw_transport_send(const void *bytes, uint32_t count)
{
	const char *at = bytes;
	ssize_t sent;

	while (count) {
		sent = send(connection, at, count, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EPIPE || errno == ECONNRESET;
		at += sent;
		count -= (uint32_t)sent;
	}
	return true;
}

bool uw_transport_receive(void *bytes, uint32_t count, uint32_t patience)
{
	struct pollfd p = { .fd = connection, .events = POLLIN };
	char *at = bytes;
	ssize_t got;
	int ready;

	while (count) {
		ready = poll(&p, 1, (int)patience);
		if (ready < 0 && errno == EINTR)
			continue;
		got = ready > 0 ? recv(connection, at, count, 0) : 0;
		if (got <= 0)
			return false;
		at += got;
		count -= (uint32_t)got;
	}
	return true;
}

int uw_transport_some(void *bytes, uint32_t count, uint32_t patience)
{
	struct pollfd p = { .fd = connection, .events = POLLIN };
	ssize_t got;

	if (poll(&p, 1, (int)patience) <= 0)
		return 0;
	got = recv(connection, bytes, count, 0);
	if (got < 0 && errno == EINTR)
		return 0;
	return got > 0 ? (int)got : -1;
}

void uw_transport_pause(uint32_t milliseconds)
{
	poll(NULL, 0, (int)milliseconds);
}

uint64_t uw_transport_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t uw_transport_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- interruptions, files ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/* Without SA_RESTART, so that a wait ends. A pipe without a reader is for whoever writes to notice. */
void uw_transport_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal }, ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

bool uw_transport_interrupted(void)
{
	bool was = interrupted;

	interrupted = 0;
	return was;
}

FILE *uw_transport_create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd < 0 ? NULL : fdopen(fd, "wb");
}

bool uw_transport_is_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

bool uw_transport_unread(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}
