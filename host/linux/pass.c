/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages between processes with a file descriptor beside them: unix(7), SCM_RIGHTS. */
#include "pass.h"

#include <sys/socket.h>

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr header; /* for its alignment */
};

bool uw_pass_send(int to, const void *bytes, size_t count, int fd)
{
	union control control = { 0 };
	struct iovec io = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = count };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		uw_copy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)count;
}

bool uw_pass_receive(int from, void *bytes, size_t count, int *fd)
{
	union control control;
	struct iovec io = { .iov_base = bytes, .iov_len = count };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };

	*fd = -1;
	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != (ssize_t)count)
		return false;
	if (CMSG_FIRSTHDR(&message) && CMSG_FIRSTHDR(&message)->cmsg_type == SCM_RIGHTS)
		uw_copy(fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(*fd));
	return true;
}
