/* SPDX-License-Identifier: GPL-2.0-only */
/* Unix sockets to listen on: a path is served by one daemon, and what a dead one left behind is cleared away. */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

static bool fail(const char *path, const char *what)
{
	uw_log(UW_LOG_ERROR, "%s: %s", path, what);
	return false;
}

static const char *lock_path(const char *path)
{
	static char text[sizeof(struct sockaddr_un) + 8];

	snprintf(text, sizeof(text), "%s.lock", path);
	return text;
}

/*
 * The lock, not the socket, says whether a daemon serves the path: it vanishes with its process, and it leaves no
 * moment in which two daemons both find a stale socket and remove each other's. A lock file that was removed between
 * open and flock is no lock; then the next one is tried.
 */
static int take_lock(const char *path)
{
	struct stat by_fd, by_name;
	int fd;

	for (;;) {
		fd = open(lock_path(path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			close(fd);
			return -1;
		}
		if (!fstat(fd, &by_fd) && !stat(lock_path(path), &by_name) && by_fd.st_ino == by_name.st_ino &&
		    by_fd.st_dev == by_name.st_dev)
			return fd;
		close(fd);
	}
}

static void drop_lock(struct uw_listener *l)
{
	if (l->lock < 0)
		return;
	unlink(lock_path(l->path));
	close(l->lock);
	l->lock = -1;
}

/* Somebody may listen without knowing of our lock; only a socket that nobody answers is removed. */
static bool clear_stale(const struct sockaddr_un *address)
{
	struct stat st;
	bool alive;
	int fd;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT || fail(address->sun_path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(address->sun_path, "exists and is no socket; give another path or remove it");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	alive = fd >= 0 && (!connect(fd, (const void *)address, sizeof(*address)) || errno != ECONNREFUSED);
	if (fd >= 0)
		close(fd);
	if (alive)
		return fail(address->sun_path, "another program listens there");
	uw_log(UW_LOG_NOTICE, "%s: removing the socket of a daemon that ended without cleaning up", address->sun_path);
	return !unlink(address->sun_path) || fail(address->sun_path, strerror(errno));
}

/* The mode is right from the first moment: no one connects in between. */
static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
	mode_t mask = umask(~mode & 0777);
	int result = bind(fd, (const void *)address, sizeof(*address));

	umask(mask);
	return result;
}

static bool give_to_group(const char *path, const char *group)
{
	struct group *g = group ? getgrnam(group) : NULL;

	if (!group)
		return true;
	if (!g)
		return fail(path, "its group does not exist");
	return !chown(path, (uid_t)-1, g->gr_gid) || fail(path, "its group may not be given by this user");
}

static bool open_socket(struct uw_listener *l, const char *group)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	memcpy(address.sun_path, l->path, strlen(l->path));
	if (!clear_stale(&address))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(l->path, strerror(errno));
	if (bind_with_mode(fd, &address, group ? 0660 : 0600) || listen(fd, SOMAXCONN)) {
		fail(l->path, strerror(errno));
		close(fd);
		return false;
	}
	if (!give_to_group(l->path, group)) {
		unlink(l->path);
		close(fd);
		return false;
	}
	l->fd = fd;
	return true;
}

bool uw_listen(struct uw_listener *l, const char *path, const char *group)
{
	struct sockaddr_un address;

	l->path = path;
	l->lock = -1;
	l->fd = -1;
	if (strlen(path) >= sizeof(address.sun_path))
		return fail(path, "the path is too long for a socket (107 bytes)");
	l->lock = take_lock(path);
	if (l->lock < 0)
		return fail(path, errno == EWOULDBLOCK ? "another usbwarpd serves this socket" : strerror(errno));
	if (open_socket(l, group))
		return true;
	drop_lock(l);
	return false;
}

void uw_listen_given(struct uw_listener *l, int fd)
{
	l->path = NULL;
	l->lock = -1;
	l->fd = fd;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void uw_listen_close(struct uw_listener *l)
{
	if (l->fd < 0)
		return;
	close(l->fd);
	l->fd = -1;
	if (l->path)
		unlink(l->path);
	drop_lock(l);
}

bool uw_listen_directory(const char *path)
{
	struct stat st;

	if (mkdir(path, geteuid() ? 0700 : 0755) && errno != EEXIST)
		return fail(path, strerror(errno));
	if (lstat(path, &st))
		return fail(path, strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return fail(path, "must be a directory that this user owns and nobody else may write to");
	return true;
}
