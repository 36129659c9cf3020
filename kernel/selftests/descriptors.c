// SPDX-License-Identifier: GPL-2.0
/*
 * File descriptors: what was opened is closed, what was closed is open again, with its
 * flags; offsets go back only where nobody else shares the description.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static int file, second, ends[2];

static void open_many(void)
{
	for (int i = 0; i < 40; i++)
		expect(open("/dev/null", O_RDONLY) >= 0);
}

static void open_high(void) { expect(dup2(file, 200) == 200); }
static void close_one(void) { close(file); }
static void close_all_but_three(void)
{
	close(file);
	close(second);
	close(ends[0]);
	close(ends[1]);
}

static void close_and_reopen(void)
{
	close(file);
	expect(open("/proc/self/status", O_RDONLY) >= 0);
}

static void replace(void) { expect(dup2(second, file) == file); }
static void exchange(void)
{
	int spare = dup(file);

	dup2(second, file);
	dup2(spare, second);
}

static void close_on_exec(void) { fcntl(file, F_SETFD, FD_CLOEXEC); }
static void inherit_on_exec(void) { fcntl(second, F_SETFD, 0); }
static void append_flag(void) { fcntl(file, F_SETFL, O_APPEND); }
static void nonblocking_flag(void) { fcntl(ends[0], F_SETFL, O_NONBLOCK); }
static void seek(void) { lseek(file, 1234, SEEK_SET); }
static void advance_by_reading(void)
{
	char bytes[100];

	expect(read(file, bytes, sizeof(bytes)) == sizeof(bytes));
}

static void advance_by_writing(void) { expect(write(file, "written", 7) == 7); }
static void close_range_all(void) { syscall(SYS_close_range, 6, ~0U, 0); }
static void close_range_cloexec(void) { syscall(SYS_close_range, 6, ~0U, 4); }
static void new_table(void) { open_many(); close_range_all(); }
static void own_the_signal(void) { fcntl(ends[0], F_SETOWN, getpid()); fcntl(ends[0], F_SETSIG, SIGUSR1); }

static void lock_file(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };

	expect(fcntl(file, F_SETLK, &lock) == 0);
}

static void unfinished_pipe(void)
{
	int fresh[2];

	expect(pipe(fresh) == 0);
	expect(write(fresh[1], "token", 5) == 5);
}

static void new_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(0);

	expect(fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event) == 0);
}

static void new_kinds(void)
{
	expect(eventfd(7, 0) >= 0);
	expect(syscall(SYS_inotify_init1, 0) >= 0);
	expect(syscall(SYS_memfd_create, "token", 0) >= 0);
	expect(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	expect(syscall(SYS_pidfd_open, getpid(), 0) >= 0);
}

static void in_flight_over_a_socket(void)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { "x", 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = space,
				  .msg_controllen = sizeof(space) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int pair[2];

	expect(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &second, sizeof(int));
	expect(sendmsg(pair[0], &message, 0) == 1);
}

static void one(long change, long unused)
{
	struct stat before, after;
	long gen;

	file = open_bytes(8 * PAGE, 'f');
	second = fcntl(open_bytes(PAGE, 's'), F_DUPFD_CLOEXEC, 30);
	expect(pipe(ends) == 0);
	lseek(file, 555, SEEK_SET);
	gen = checkpoint();
	/* Nothing hangs on them but what was there: they still work. */
	expect_eq(lseek(file, 0, SEEK_CUR), 555);
	expect(fstat(file, &before) == 0 && pwrite(file, "f", 1, 3) == 1 && fstat(file, &after) == 0);
	expect_eq(after.st_size, before.st_size);
	expect_eq(write(ends[1], "x", 1), 1);
	{
		char back;

		expect_eq(read(ends[0], &back, 1), 1);
	}
	if (gen == GENERATIONS)
		return;
	((void (*)(void))change)();
	rewind_now();
}

/* The proxy's log: another process shares its offset, which must not go back. */
static void shared_offset(long unused, long unused2)
{
	long gen = checkpoint_plain();

	expect_eq(lseek(LOG_FD, 0, SEEK_CUR), gen * 6);
	if (gen == GENERATIONS)
		return;
	expect_eq(write(LOG_FD, "reply\n", 6), 6);
	rewind_now();
}

/* The first checkpoint's own references are nobody else's. */
static void offset_after_a_second_checkpoint(long unused, long unused2)
{
	int fd = open_bytes(PAGE, 'f');
	long gen;

	lseek(fd, 7, SEEK_SET);
	expect(checkpoint_plain() == 0);
	gen = checkpoint_plain();
	expect_eq(lseek(fd, 0, SEEK_CUR), 7);
	if (gen == GENERATIONS)
		return;
	lseek(fd, 10, SEEK_SET);
	rewind_now();
}

/* The reader of one datagram moves all of them to a queue of its own. */
static void unread_datagram(long unused, long unused2)
{
	struct sockaddr_in here = { .sin_family = AF_INET };
	socklen_t length = sizeof(here);
	char byte;
	int fd;

	loopback_up();
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	expect(bind(fd, (struct sockaddr *)&here, length) == 0);
	expect(getsockname(fd, (struct sockaddr *)&here, &length) == 0);
	expect(connect(fd, (struct sockaddr *)&here, length) == 0);
	if (checkpoint_plain())
		fail("rewound with a datagram left for the next request");
	expect(write(fd, "1", 1) == 1 && write(fd, "2", 1) == 1);
	expect(recv(fd, &byte, 1, 0) == 1 && byte == '1');
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_reason("unread data in a pipe or socket");
}

/* A reader must see the end of a pipe whose last writer has closed. */
static void end_of_file(long unused, long unused2)
{
	char byte;
	long gen;

	expect(pipe(ends) == 0);
	gen = checkpoint();
	if (gen == GENERATIONS)
		return;
	if (gen & 1) {
		close(ends[1]);
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		/* The snapshot holds the writing end, so it may look open; it must not block. */
		if (read(ends[0], &byte, 1) > 0)
			fail("read something");
	}
	rewind_now();
}

#define CHANGE(function) { #function, one, (long)function, 0, 0, 0 }

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		CHANGE(open_many), CHANGE(open_high), CHANGE(close_one), CHANGE(close_all_but_three),
		CHANGE(close_and_reopen), CHANGE(replace), CHANGE(exchange), CHANGE(close_on_exec),
		CHANGE(inherit_on_exec), CHANGE(append_flag), CHANGE(nonblocking_flag), CHANGE(seek),
		CHANGE(advance_by_reading), CHANGE(advance_by_writing), CHANGE(close_range_all),
		CHANGE(close_range_cloexec), CHANGE(new_table), CHANGE(own_the_signal), CHANGE(lock_file),
		CHANGE(unfinished_pipe), CHANGE(new_epoll), CHANGE(new_kinds),
		CHANGE(in_flight_over_a_socket),
		{ "the offset that another process shares", shared_offset, 0, 0, 0, 0 },
		{ "an offset, after a second checkpoint", offset_after_a_second_checkpoint, 0, 0, 0, 0 },
		{ "a datagram that was not read", unread_datagram, 0, 0, 0, 0 },
		{ "end of a pipe", end_of_file, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
