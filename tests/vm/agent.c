// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lab guest's last process: runs commands that arrive as frames on a serial line and sends back their output.
 *
 * A shell on the serial line would be shorter, but echo, line editing and the search for an end marker in a
 * command's own output are what makes such labs flaky. Here every byte has a frame and every frame an id, so
 * that several commands run at once and one that hangs is killed without losing the line. It is process 1:
 * it reaps every orphan, and if it dies the kernel panics and the host sees that at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define HELLO "\nusbwarp-agent-1\n" /* the host skips all bytes up to here: firmware and a former boot may leave some */
#define FRAME_MAX 16384
#define JOBS_MAX 64

/* Host to guest: run without and with stdin, stdin bytes, their end, kill (one byte: the signal).
 * Guest to host: output, acknowledgement of stdin bytes, exit (the wait status).
 * The host sends one stdin frame and waits for its acknowledgement: the line has no flow control and the
 * kernel drops what exceeds its 64 KiB buffer. */
enum { F_RUN = 'R', F_PIPE = 'P', F_IN = 'I', F_EOF = 'E', F_KILL = 'K', F_OUT = 'O', F_ACK = 'A', F_EXIT = 'X' };

struct frame {
	uint32_t id;
	uint16_t len;
	uint8_t type;
	uint8_t mark; /* always 0x5a: a host that lost the frame boundary notices */
};
_Static_assert(sizeof(struct frame) == 8, "the wire format has no padding");

struct job {
	uint32_t id;
	pid_t pid; /* 0: the slot is free */
	int in, out;
	size_t in_len, in_done;
	char in_buf[FRAME_MAX];
};

static struct job jobs[JOBS_MAX];
static int line;

static void die(const char *what)
{
	fprintf(stderr, "agent: BUG: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_all(const void *p, size_t n)
{
	while (n) {
		ssize_t w = write(line, p, n);

		if (w < 0 && errno != EINTR)
			die("write to the line");
		if (w > 0) {
			p = (const char *)p + w;
			n -= (size_t)w;
		}
	}
}

static void read_all(void *p, size_t n)
{
	while (n) {
		ssize_t r = read(line, p, n);

		if (r == 0 || (r < 0 && errno != EINTR))
			die("read from the line");
		if (r > 0) {
			p = (char *)p + r;
			n -= (size_t)r;
		}
	}
}

static void send_frame(uint32_t id, uint8_t type, const void *p, size_t n)
{
	struct frame f = { .id = id, .len = (uint16_t)n, .type = type, .mark = 0x5a };

	write_all(&f, sizeof(f));
	write_all(p, n);
}

static void send_exit(uint32_t id, int status)
{
	int32_t s = status;

	send_frame(id, F_EXIT, &s, sizeof(s));
}

static struct job *job_by_id(uint32_t id)
{
	for (struct job *j = jobs; j < jobs + JOBS_MAX; j++)
		if (j->pid && j->id == id)
			return j;
	return NULL;
}

static struct job *job_by_pid(pid_t pid)
{
	for (struct job *j = jobs; j < jobs + JOBS_MAX; j++)
		if (j->pid == pid)
			return j;
	return NULL;
}

static void child(const char *cmd, int in, int out)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid(); /* its own group, so that a kill reaches what the command started */
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
	_exit(127);
}

static void job_start(uint32_t id, const char *cmd, int with_stdin)
{
	struct job *j = job_by_pid(0); /* a free slot */
	int in[2] = { -1, -1 }, out[2];

	if (!j) {
		send_exit(id, 126 << 8);
		return;
	}
	if (pipe2(out, O_CLOEXEC) || (with_stdin && pipe2(in, O_CLOEXEC)))
		die("pipe");
	if (!with_stdin)
		in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	*j = (struct job){ .id = id, .in = in[1], .out = out[0] };
	j->pid = fork();
	if (j->pid < 0)
		die("fork");
	if (j->pid == 0)
		child(cmd, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	fcntl(j->out, F_SETFL, O_NONBLOCK);
	if (j->in >= 0)
		fcntl(j->in, F_SETFL, O_NONBLOCK);
}

static void job_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* One read of output; false when there is none now. */
static int job_output(struct job *j)
{
	char buf[4096];
	ssize_t n = j->out < 0 ? 0 : read(j->out, buf, sizeof(buf));

	if (n > 0)
		send_frame(j->id, F_OUT, buf, (size_t)n);
	else if (n == 0)
		job_close(&j->out);
	return n > 0;
}

static void job_input(struct job *j)
{
	ssize_t n = write(j->in, j->in_buf + j->in_done, j->in_len - j->in_done);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) { /* the reader is gone: swallow, as a shell pipe would after SIGPIPE */
		job_close(&j->in);
		j->in_done = j->in_len;
	} else {
		j->in_done += (size_t)n;
	}
	if (j->in_done == j->in_len) {
		j->in_done = j->in_len = 0;
		send_frame(j->id, F_ACK, NULL, 0);
	}
}

/* What a command left running keeps the pipe open; only what was written until the command's end is its output. */
static void job_end(struct job *j, int status)
{
	while (job_output(j))
		;
	job_close(&j->out);
	job_close(&j->in);
	j->pid = 0;
	send_exit(j->id, status);
}

static void reap(int sigfd)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(sigfd, &info, sizeof(info)) < 0)
		die("signalfd");
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct job *j = job_by_pid(pid);

		if (j)
			job_end(j, status);
	}
}

static void stdin_bytes(struct job *j, uint32_t id, const char *p, size_t n)
{
	if (!j || j->in < 0 || !n) {
		send_frame(id, F_ACK, NULL, 0);
		return;
	}
	memcpy(j->in_buf, p, n);
	j->in_len = n;
	j->in_done = 0;
	job_input(j);
}

static void take_frame(void)
{
	static char buf[FRAME_MAX + 1];
	struct frame f;
	struct job *j;

	read_all(&f, sizeof(f));
	if (f.mark != 0x5a || f.len > FRAME_MAX) {
		errno = EPROTO;
		die("frame from the host");
	}
	read_all(buf, f.len);
	buf[f.len] = 0;
	j = job_by_id(f.id);
	if (f.type == F_RUN || f.type == F_PIPE)
		job_start(f.id, buf, f.type == F_PIPE);
	else if (f.type == F_IN)
		stdin_bytes(j, f.id, buf, f.len);
	else if (f.type == F_EOF && j)
		job_close(&j->in);
	else if (f.type == F_KILL && j)
		kill(-j->pid, buf[0]);
}

static void open_line(const char *path)
{
	struct termios t;

	line = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (line < 0 || tcgetattr(line, &t))
		die(path);
	cfmakeraw(&t);
	t.c_cflag |= CLOCAL;
	cfsetspeed(&t, B115200);
	if (tcsetattr(line, TCSANOW, &t))
		die("tcsetattr");
	tcflush(line, TCIOFLUSH);
	write_all(HELLO, sizeof(HELLO) - 1);
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd");
	return fd;
}

/* epoll would be shorter to call, but 130 entries are nothing and poll keeps no state to get wrong. */
static void serve_once(int sigfd)
{
	struct pollfd p[2 + 2 * JOBS_MAX];

	p[0] = (struct pollfd){ .fd = line, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = sigfd, .events = POLLIN };
	for (int i = 0; i < JOBS_MAX; i++) {
		struct job *j = &jobs[i];

		p[2 + 2 * i] = (struct pollfd){ .fd = j->pid ? j->out : -1, .events = POLLIN };
		p[3 + 2 * i] = (struct pollfd){ .fd = j->pid && j->in_len ? j->in : -1, .events = POLLOUT };
	}
	if (poll(p, sizeof(p) / sizeof(p[0]), -1) < 0 && errno != EINTR)
		die("poll");
	for (int i = 0; i < JOBS_MAX; i++) {
		if (p[2 + 2 * i].revents)
			job_output(&jobs[i]);
		if (p[3 + 2 * i].revents)
			job_input(&jobs[i]);
	}
	if (p[1].revents)
		reap(sigfd);
	if (p[0].revents)
		take_frame();
}

int main(int argc, char **argv)
{
	int sigfd = open_signals();

	open_line(argc > 1 ? argv[1] : "/dev/ttyS1");
	for (;;)
		serve_once(sigfd);
}
