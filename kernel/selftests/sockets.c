// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets, pipes and terminals that a process had before the checkpoint: what a request leaves
 * in them, or changes about them, is no content of the process. It makes a rewind refuse.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "harness.h"

static int connected(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	expect(fd >= 0 && connect(fd, (void *)to, sizeof(*to)) == 0);
	return fd;
}

static void expect_refusal(const char *reason)
{
	long error = sys_rewind(call_flags);

	if (error != -EOPNOTSUPP)
		fail("rewind() gave %ld, not EOPNOTSUPP", error);
	expect_reason(reason);
}

/* The next writer would send what a request began, and to whom the request wanted. */
static void datagram_begun(long number, long unused)
{
	struct sockaddr_in to;
	int receiver = bound(SOCK_DGRAM, &to), sender = socket(AF_INET, SOCK_DGRAM, 0);

	expect(dup2(sender, number) == number);
	close(sender);
	close(receiver);
	if (checkpoint_plain())
		fail("a rewind left half a datagram");
	expect(sendto(number, "secret", 6, MSG_MORE, (void *)&to, sizeof(to)) == 6);
	expect_refusal("unsent data in a socket");
}

/* What was connected, written and closed waits there to be accepted. */
static void connection_not_accepted(long unused, long unused2)
{
	struct sockaddr_in to;
	int listener = bound(SOCK_STREAM, &to), fd;

	expect(listen(listener, 8) == 0);
	if (checkpoint_plain())
		fail("a rewind left a connection");
	fd = connected(&to);
	expect(write(fd, "secret", 6) == 6);
	close(fd);
	expect_refusal("unread data in a pipe or socket");
}

static void half_sent(long unused, long unused2)
{
	struct sockaddr_in to;
	int listener = bound(SOCK_STREAM, &to), on = 1, fd;

	expect(listen(listener, 8) == 0);
	fd = connected(&to);
	expect(accept(listener, NULL, NULL) >= 0);
	expect(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)) == 0);
	if (checkpoint_plain())
		fail("a rewind left data that was not sent");
	expect(write(fd, "secret", 6) == 6);
	expect_refusal("unsent data in a socket");
}

/* Used as it should be, a connection is no reason to refuse. */
static void quiet_connection(long unused, long unused2)
{
	struct sockaddr_in to;
	int listener = bound(SOCK_STREAM, &to), fd, peer;
	char bytes[16];

	expect(listen(listener, 8) == 0);
	fd = connected(&to);
	peer = accept(listener, NULL, NULL);
	expect(peer >= 0);
	if (checkpoint_plain() == GENERATIONS)
		return;
	expect(write(fd, "question", 8) == 8 && read(peer, bytes, 16) == 8);
	expect(write(peer, "answer", 6) == 6 && read(fd, bytes, 16) == 6);
	rewind_now();
}

static void wait_for_a_byte(void *ends)
{
	struct linger none = { 1, 0 };
	int own = ((int *)ends)[0], end = ((int *)ends)[1];
	char byte;

	close(own);
	if (read(end, &byte, 1) == 1)
		setsockopt(end, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	_exit(0);
}

static void close_after_a_byte(void *ends)
{
	char byte;

	close(((int *)ends)[0]);
	if (read(((int *)ends)[1], &byte, 1) == 1)
		close(((int *)ends)[1]);
}

static void keep_for_good(void *ends) { close(((int *)ends)[0]); }

/* A stranger holds the second of them. */
static void keep_elsewhere(int *ends, void (*life)(void *))
{
	start_stranger(life, ends);
	close(ends[1]);
}

/* What the other side does is no reason to refuse. */
static void peer_goes(long internet, long unused)
{
	struct sockaddr_in to;
	int ends[2], listener;
	char byte;

	if (internet) {
		listener = bound(SOCK_STREAM, &to);
		expect(listen(listener, 8) == 0);
		ends[0] = connected(&to);
		ends[1] = accept(listener, NULL, NULL);
		close(listener);
	} else {
		expect(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	}
	keep_elsewhere(ends, wait_for_a_byte);
	if (checkpoint_plain())
		return;
	expect(write(ends[0], "x", 1) == 1);
	if (read(ends[0], &byte, 1) > 0)
		fail("the other side wrote something");
	rewind_now();
}

/* That it is done waits to be read, and is no data. */
static void peer_closes_unnoticed(long unused, long unused2)
{
	struct sockaddr_in to;
	int listener = bound(SOCK_STREAM, &to), ends[2];
	struct pollfd end = { .events = POLLRDHUP };

	expect(listen(listener, 8) == 0);
	ends[0] = end.fd = connected(&to);
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
	keep_elsewhere(ends, close_after_a_byte);
	if (checkpoint_plain())
		return;
	expect(write(ends[0], "x", 1) == 1);
	expect(poll(&end, 1, 5000) == 1);
	rewind_now();
}

static int datagram, stream;

static void set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		fail("option %d of level %d: %s", name, level, strerror(errno));
}

static void receive_timeout(void)
{
	struct timeval second = { 1, 0 };

	expect(setsockopt(datagram, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) == 0);
}

static void lingering(void)
{
	struct linger minute = { 1, 60 };

	expect(setsockopt(stream, SOL_SOCKET, SO_LINGER, &minute, sizeof(minute)) == 0);
}

static void filtering(void)
{
	struct sock_filter none = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog program = { 1, &none };

	expect(setsockopt(datagram, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
}

static void connecting(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	expect(connect(datagram, (void *)&to, sizeof(to)) == 0);
}

static void time_stamping(void) { set(datagram, SOL_SOCKET, SO_TIMESTAMPING, 1 << 4); }
static void pacing(void) { set(stream, SOL_SOCKET, SO_MAX_PACING_RATE, 1000); }
static void no_checksum(void) { set(datagram, SOL_SOCKET, SO_NO_CHECK, 1); }
static void multicast_time_to_live(void) { set(datagram, IPPROTO_IP, IP_MULTICAST_TTL, 3); }

static void membership(int what, const char *group)
{
	struct ip_mreqn request = { .imr_ifindex = 1 };

	expect(inet_aton(group, &request.imr_multiaddr));
	expect(setsockopt(datagram, IPPROTO_IP, what, &request, sizeof(request)) == 0);
}

/* The last to join comes first in the kernel's list: another one goes. */
static void leaving_a_group(void) { membership(IP_DROP_MEMBERSHIP, "224.0.0.251"); }

static void broadcasting(void) { set(datagram, SOL_SOCKET, SO_BROADCAST, 1); }
static void priority(void) { set(stream, SOL_SOCKET, SO_PRIORITY, 5); }
static void mark(void) { set(datagram, SOL_SOCKET, SO_MARK, 5); }
static void peeking(void) { set(datagram, SOL_SOCKET, SO_PEEK_OFF, 3); }
static void small_buffer(void) { set(datagram, SOL_SOCKET, SO_RCVBUF, 4096); }
static void time_to_live(void) { set(datagram, IPPROTO_IP, IP_TTL, 3); }
static void service(void) { set(datagram, IPPROTO_IP, IP_TOS, 8); }
static void no_delay(void) { set(stream, IPPROTO_TCP, TCP_NODELAY, 1); }
static void interface(void)
{
	expect(setsockopt(datagram, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
}

static void option(long change, long unused)
{
	loopback_up();
	datagram = socket(AF_INET, SOCK_DGRAM, 0);
	stream = socket(AF_INET, SOCK_STREAM, 0);
	if (change == (long)leaving_a_group) {
		membership(IP_ADD_MEMBERSHIP, "224.0.0.251");
		membership(IP_ADD_MEMBERSHIP, "224.0.0.252");
	}
	if (checkpoint_plain())
		fail("a rewind left the option");
	((void (*)(void))change)();
	expect_refusal("settings of a pipe, socket or terminal");
}

static void shorter_queue(long unused, long unused2)
{
	struct sockaddr_in to;
	int listener = bound(SOCK_STREAM, &to);

	expect(listen(listener, 8) == 0);
	if (checkpoint_plain())
		fail("a rewind left a shorter queue of connections");
	expect(listen(listener, 0) == 0);
	expect_refusal("settings of a pipe, socket or terminal");
}

/* Whoever it sends to from now on. */
static void other_receiver(long unused, long unused2)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "\0rewind-receiver" };
	int sender = socket(AF_UNIX, SOCK_DGRAM, 0), receiver = socket(AF_UNIX, SOCK_DGRAM, 0);

	expect(sender >= 0 && receiver >= 0);
	expect(bind(receiver, (void *)&to, sizeof(to)) == 0);
	if (checkpoint_plain())
		fail("a rewind left a datagram socket connected");
	expect(connect(sender, (void *)&to, sizeof(to)) == 0);
	expect_refusal("settings of a pipe, socket or terminal");
}

static void netlink(long unused, long unused2)
{
	expect(socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
	expect_eq(sys_checkpoint(call_flags), -EOPNOTSUPP);
	expect_reason("socket of a kind that is not compared");
}

enum { PAIR, PAIR_WITH_ANOTHER, INTERNET, INTERNET_DATAGRAM };

/* The other end is alive, so it was not the peer. */
static void shut_down(long kind, long how)
{
	int ends[2] = { -1, -1 }, listener;
	struct sockaddr_in to;

	if (kind == INTERNET_DATAGRAM) {
		ends[0] = bound(SOCK_DGRAM, &to);
		expect(connect(ends[0], (void *)&to, sizeof(to)) == 0);
	} else if (kind == INTERNET) {
		listener = bound(SOCK_STREAM, &to);
		expect(listen(listener, 8) == 0);
		ends[0] = connected(&to);
		ends[1] = accept(listener, NULL, NULL);
		close(listener);
	} else {
		expect(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	}
	if (kind != PAIR && ends[1] >= 0)
		keep_elsewhere(ends, keep_for_good);
	if (checkpoint_plain())
		fail("a rewind left a direction closed");
	expect(shutdown(ends[0], how) == 0);
	expect_refusal("settings of a pipe, socket or terminal");
}

/* Nobody else can do that to one that has no peer. */
static void listener_shut(long unused, long unused2)
{
	struct sockaddr_un name = { AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	/* A name that the kernel makes up. */
	expect(bind(fd, (void *)&name, sizeof(name.sun_family)) == 0 && listen(fd, 8) == 0);
	if (checkpoint_plain())
		fail("a rewind left a listener closed");
	expect(shutdown(fd, SHUT_RD) == 0);
	expect_refusal("settings of a pipe, socket or terminal");
}

static void pipe_size(long unused, long unused2)
{
	int ends[2];

	expect(pipe(ends) == 0);
	if (checkpoint_plain())
		fail("a rewind left the size of the pipe");
	expect(fcntl(ends[1], F_SETPIPE_SZ, 4096) == 4096);
	expect_refusal("settings of a pipe, socket or terminal");
}

static int terminal_master(char *slave, size_t size)
{
	int fd;

	mkdir("/dev/pts", 0755);
	mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=0666");
	fd = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY);
	if (fd < 0)
		fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (fd < 0 || unlockpt(fd) || ptsname_r(fd, slave, size))
		skip("no pseudo-terminals");
	return fd;
}

/* It is a pipe: what is written to the slave can be read here. */
static void master_of_a_terminal(long unused, long unused2)
{
	char slave[64];

	terminal_master(slave, sizeof(slave));
	expect_eq(sys_checkpoint(call_flags), -EOPNOTSUPP);
	expect_reason("descriptor of a device");
}

static void answer_lines(void *ends)
{
	int own = ((int *)ends)[0], master = ((int *)ends)[1];
	char byte;

	close(own);
	while (read(master, &byte, 1) == 1)
		if (write(master, "secret\n", 7) != 7)
			break;
	_exit(0);
}

/* A terminal whose other side somebody else has: a line for each byte that comes there. */
static int terminal(void)
{
	char slave[64];
	int ends[2] = { -1, terminal_master(slave, sizeof(slave)) }, fd;
	struct termios settings;

	fd = open(slave, O_RDWR | O_NOCTTY);
	expect(fd >= 0 && tcgetattr(fd, &settings) == 0);
	settings.c_lflag &= ~ECHO;
	expect(tcsetattr(fd, TCSANOW, &settings) == 0);
	ends[0] = fd;
	start_stranger(answer_lines, ends);
	close(ends[1]);
	return fd;
}

static int stop_output(int fd) { return tcflow(fd, TCOOFF); }
static int keep_others_out(int fd) { return ioctl(fd, TIOCEXCL); }
static int (*const of_terminals[])(int) = { stop_output, keep_others_out };

static void state_of_a_terminal(long which, long unused)
{
	int fd = terminal();

	if (checkpoint_plain())
		fail("a rewind left the terminal as the request made it");
	expect(of_terminals[which](fd) == 0);
	expect_refusal("settings of a pipe, socket or terminal");
}

static void input_of_a_terminal(long unused, long unused2)
{
	struct pollfd poll_fd = { .fd = terminal(), .events = POLLIN };

	if (checkpoint_plain())
		fail("a rewind left a line to be read");
	expect(write(poll_fd.fd, "?", 1) == 1);
	expect(poll(&poll_fd, 1, 5000) == 1);
	expect_refusal("unread input of a terminal");
}

static void terminal_settings(long unused, long unused2)
{
	struct termios settings;
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0 || tcgetattr(fd, &settings))
		skip("no terminal");
	if (checkpoint_plain())
		fail("a rewind left the settings of the terminal");
	settings.c_lflag ^= ECHO;
	expect(tcsetattr(fd, TCSANOW, &settings) == 0);
	expect_refusal("settings of a pipe, socket or terminal");
	settings.c_lflag ^= ECHO;
	tcsetattr(fd, TCSANOW, &settings);
}

#define OPTION(change) { "socket option: " #change, option, (long)change, 0, 0, 0 }

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "a datagram that was begun", datagram_begun, 20, 0, 0, 0 },
		{ "a datagram that was begun on descriptor 0", datagram_begun, 0, 0, 0, 0 },
		{ "a connection nobody accepted", connection_not_accepted, 0, 0, 0, 0 },
		{ "data that was held back", half_sent, 0, 0, 0, 0 },
		{ "a connection at rest", quiet_connection, 0, 0, 0, 0 },
		{ "a peer that closes its end", peer_goes, 0, 0, 0, 0 },
		{ "a peer that resets the connection", peer_goes, 1, 0, 0, 0 },
		{ "a peer that closes, unnoticed", peer_closes_unnoticed, 0, 0, 0, 0 },
		OPTION(receive_timeout), OPTION(lingering), OPTION(filtering), OPTION(connecting),
		OPTION(broadcasting), OPTION(priority), OPTION(mark), OPTION(peeking),
		OPTION(small_buffer), OPTION(time_to_live), OPTION(service), OPTION(no_delay),
		OPTION(interface), OPTION(time_stamping), OPTION(pacing), OPTION(no_checksum),
		OPTION(multicast_time_to_live), OPTION(leaving_a_group),
		{ "a shorter queue of connections", shorter_queue, 0, 0, 0, 0 },
		{ "a datagram socket that was connected", other_receiver, 0, 0, 0, 0 },
		{ "netlink", netlink, 0, 0, 0, 0 },
		{ "shut down for writing, both ends here", shut_down, PAIR, SHUT_WR, 0, 0 },
		{ "shut down for writing", shut_down, PAIR_WITH_ANOTHER, SHUT_WR, 0, 0 },
		{ "shut down", shut_down, PAIR_WITH_ANOTHER, SHUT_RDWR, 0, 0 },
		{ "a connection shut down for reading", shut_down, INTERNET, SHUT_RD, 0, 0 },
		{ "a connection shut down for writing", shut_down, INTERNET, SHUT_WR, 0, 0 },
		{ "datagrams shut down", shut_down, INTERNET_DATAGRAM, SHUT_RDWR, 0, 0 },
		{ "a listener shut down for reading", listener_shut, 0, 0, 0, 0 },
		{ "size of a pipe", pipe_size, 0, 0, 0, 0 },
		{ "master of a pseudo-terminal", master_of_a_terminal, 0, 0, 0, 0 },
		{ "settings of a terminal", terminal_settings, 0, 0, 0, 0 },
		{ "output of a terminal that was stopped", state_of_a_terminal, 0, 0, 0, 0 },
		{ "a terminal for one opener", state_of_a_terminal, 1, 0, 0, 0 },
		{ "input of a terminal", input_of_a_terminal, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
