// SPDX-License-Identifier: GPL-2.0
/* The supervisor's side of the REWIND self-tests; see harness.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "portrait.h"
#include "protocol.h"

#define NOTES		16
#define DEFAULT_LIMIT_S	20

unsigned long call_flags;
unsigned long run_seed = 1;

struct watch {
	pid_t pid;
	int socket, drain;
	long generation, notes[NOTES];
	int bad;
	struct portrait *portrait;
};

static long poke(pid_t pid, unsigned long address, const char *bytes, size_t length)
{
	long result = length;
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		return -errno;
	waitpid(pid, &status, __WALL);
	for (size_t i = 0; i < length && result > 0; i++) {
		unsigned long at = (address + i) & ~7UL;
		long word;

		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, pid, (void *)at, NULL);
		if (!errno) {
			((char *)&word)[(address + i) & 7] = bytes[i];
			if (ptrace(PTRACE_POKEDATA, pid, (void *)at, (void *)word))
				result = -errno;
		} else {
			result = -errno;
		}
	}
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return result;
}

static long write_vm(pid_t pid, unsigned long address, const char *bytes, size_t length)
{
	struct iovec local = { (void *)bytes, length }, remote = { (void *)address, length };
	long result = process_vm_writev(pid, &local, 1, &remote, 1, 0);

	return result < 0 ? -errno : result;
}

static long write_mem(pid_t pid, unsigned long address, const char *bytes, size_t length)
{
	char path[32];
	long result;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	result = pwrite(fd, bytes, length, address);
	if (result < 0)
		result = -errno;
	close(fd);
	return result;
}

static void compare_generation(struct watch *watch, int is_first, struct message *message)
{
	struct portrait *now = portrait_take(watch->pid);

	if (is_first || !watch->portrait) {
		portrait_free(watch->portrait);
		watch->portrait = now;
		watch->generation = is_first ? 0 : watch->generation + 1;
	} else {
		watch->generation++;
		message->result = portrait_compare(watch->portrait, now);
		if (message->result) {
			printf("#   after rewind %ld\n", watch->generation);
			watch->bad = 1;
		}
		portrait_free(now);
	}
	message->a = watch->generation;
}

static void serve(struct watch *watch, struct message *m)
{
	switch (m->op) {
	case OP_FIRST:
	case OP_AGAIN:
		compare_generation(watch, m->op == OP_FIRST, m);
		break;
	case OP_NOTE:
		watch->notes[m->a % NOTES] = m->b;
		break;
	case OP_NOTED:
		m->result = watch->notes[m->a % NOTES];
		break;
	case OP_VM_WRITE:
		m->result = write_vm(watch->pid, m->a, m->bytes, m->b);
		break;
	case OP_MEM_WRITE:
		m->result = write_mem(watch->pid, m->a, m->bytes, m->b);
		break;
	case OP_PTRACE_POKE:
		m->result = poke(watch->pid, m->a, m->bytes, m->b);
		break;
	case OP_KILL:
		m->result = kill(watch->pid, m->a);
		break;
	case OP_ALIVE:
		m->result = !kill(m->a, 0);
		break;
	case OP_REASON: {
		char path[32];

		snprintf(path, sizeof(path), "/proc/%d/rewind", watch->pid);
		m->result = refusal_reason_of(path, m->bytes, sizeof(m->bytes));
		break;
	}
	case OP_DRAIN:
		m->result = read(watch->drain, m->bytes, (size_t)m->b < sizeof(m->bytes) ?
				 (size_t)m->b : sizeof(m->bytes));
		break;
	}
	/* The subject may be gone by now; poll tells. */
	if (send(watch->socket, m, sizeof(*m), MSG_NOSIGNAL) < 0)
		return;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void print_stack(pid_t pid)
{
	char path[64], text[2048], *line, *rest;
	ssize_t n;
	int fd;

	for (int k = 0; k < 2; k++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, k ? "rewind" : "stack");
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		if (n <= 0)
			continue;
		text[n] = 0;
		for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			printf("#   %s\n", line);
	}
}

#define DEATH_MS	10000
/* How often the usual time a case, or the end of a process, may take: checkers make a kernel slow. */
static unsigned long patience = 1;

/* The children that a case has left behind; 0 at the end of the list. */
static int list_children(pid_t *pids, int size)
{
	char path[64], text[4096], *at = text, *end;
	int count = 0, fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	while (count < size) {
		pid_t pid = strtol(at, &end, 10);

		if (end == at)
			break;
		pids[count++] = pid;
		at = end;
	}
	return count;
}

/*
 * Kill and reap whatever a case has left behind. A process that SIGKILL does not end is
 * stuck in the kernel: nothing that runs after it could be believed.
 */
static void reap_strays(void)
{
	long deadline = now_ms() + DEATH_MS * (long)patience;
	pid_t pids[256];
	int count;

	do {
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
		count = list_children(pids, ARRAY_SIZE(pids));
		for (int i = 0; i < count; i++)
			kill(pids[i], SIGKILL);
		if (count)
			usleep(1000);
	} while (count && now_ms() < deadline);
	if (count) {
		print_stack(pids[0]);
		printf("Bail out! process %d cannot be killed\n", pids[0]);
		fflush(stdout);
		_exit(CASE_FAIL);
	}
}

/* Serve the subject until it ends; returns its wait status, or -1 when its time is up. */
static int attend(struct watch *watch, unsigned int limit_s)
{
	long deadline = now_ms() + limit_s * 1000L;
	int pidfd = syscall(SYS_pidfd_open, watch->pid, 0), status;

	for (;;) {
		struct pollfd fds[] = { { watch->socket, POLLIN, 0 }, { pidfd, POLLIN, 0 } };
		long left = deadline - now_ms();
		struct message message;

		if (left <= 0 || poll(fds, 2, left) == 0)
			break;
		if (fds[0].revents & POLLIN &&
		    recv(watch->socket, &message, sizeof(message), MSG_DONTWAIT) == sizeof(message)) {
			message.result = 0;
			serve(watch, &message);
			continue;
		}
		if (fds[1].revents & POLLIN) {
			waitpid(watch->pid, &status, __WALL);
			close(pidfd);
			return status;
		}
	}
	printf("#   no end within %u s\n", limit_s);
	print_stack(watch->pid);
	kill(watch->pid, SIGKILL);
	close(pidfd);
	return -1;
}

static int verdict(const struct testcase *test, const struct watch *watch, int status)
{
	if (status == -1)
		return CASE_FAIL;
	if (WIFSIGNALED(status)) {
		int want = test->flags & EXPECT_SIGKILL ? SIGKILL :
			   test->flags & EXPECT_SIGSEGV ? SIGSEGV : 0;

		if (WTERMSIG(status) == want && !watch->bad)
			return CASE_PASS;
		printf("#   killed by signal %d after rewind %ld\n", WTERMSIG(status),
		       watch->generation);
		return CASE_FAIL;
	}
	if (watch->bad)
		return CASE_FAIL;
	if (test->flags & (EXPECT_SIGKILL | EXPECT_SIGSEGV) && WEXITSTATUS(status) == CASE_PASS) {
		printf("#   ended, but a signal was to kill it\n");
		return CASE_FAIL;
	}
	return WEXITSTATUS(status);
}

/* The numbers that a subject knows its descriptors by; every other one is closed. */
static void become_subject(const struct testcase *test, int socket, int log, int pipe_end)
{
	int from[] = { socket, log, pipe_end };
	const int to[] = { CONTROL_FD, LOG_FD, PIPE_FD };

	for (size_t i = 0; i < ARRAY_SIZE(to); i++)
		from[i] = fcntl(from[i], F_DUPFD, 100);
	for (size_t i = 0; i < ARRAY_SIZE(to); i++)
		dup2(from[i], to[i]);
	for (int fd = PIPE_FD + 1; fd < 128; fd++)
		close(fd);
	test->body(test->a, test->b);
	_exit(CASE_PASS);
}

static int run_case(const struct testcase *test)
{
	struct watch watch = { 0 };
	int sockets[2], pipes[2], status, log = open("/tmp/log", O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (log < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) ||
	    pipe2(pipes, O_CLOEXEC | O_NONBLOCK)) {
		printf("#   no descriptors: %s\n", strerror(errno));
		return CASE_FAIL;
	}
	fcntl(pipes[1], F_SETFL, 0);
	fflush(stdout);
	watch.pid = fork();
	if (watch.pid == 0)
		become_subject(test, sockets[1], log, pipes[1]);
	close(sockets[1]);
	close(pipes[1]);
	watch.socket = sockets[0];
	watch.drain = pipes[0];
	status = watch.pid < 0 ? -1 : attend(&watch, patience * (test->limit_s ?: DEFAULT_LIMIT_S));
	reap_strays();
	close(sockets[0]);
	close(pipes[0]);
	close(log);
	portrait_free(watch.portrait);
	return verdict(test, &watch, status);
}

static int wanted(const struct testcase *test, const char *pattern, int slow)
{
	return (!pattern || !fnmatch(pattern, test->name, 0)) && (slow || !(test->flags & SLOW));
}

/*
 * The kernel's log names the case too, with what it takes to run it again, so that a report in
 * it can be told whose it is.
 */
static void mark_kernel_log(const char *name)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC), length;
	char line[192];

	if (fd < 0)
		return;
	/* One line is one write; the level is that of a warning, or the console may leave it out. */
	length = snprintf(line, sizeof(line), "<4>selftest: %s: %s, seed %lu flags %#lx\n",
			  program_invocation_short_name, name, run_seed, call_flags);
	if (write(fd, line, length) != length)
		printf("# /dev/kmsg: %s\n", strerror(errno));
	close(fd);
}

static int run_and_print(const struct testcase *test, int number)
{
	int result;

	printf("# case %s\n", test->name);
	mark_kernel_log(test->name);
	result = run_case(test);
	if (result == CASE_SKIP)
		printf("ok %d %s # SKIP\n", number, test->name);
	else
		printf("%s %d %s\n", result == CASE_PASS ? "ok" : "not ok", number, test->name);
	fflush(stdout);
	return result != CASE_PASS && result != CASE_SKIP;
}

int run_cases(int argc, char **argv, const struct testcase *cases, size_t count)
{
	const char *pattern = NULL, *text = getenv("REWIND_FLAGS");
	int option, total = 0, number = 0, failed = 0, slow = 0;

	call_flags = text ? strtoul(text, NULL, 0) : 0;
	text = getenv("REWIND_PATIENCE");
	if (text)
		patience = strtoul(text, NULL, 0);
	text = getenv("REWIND_SEED");
	run_seed = text ? strtoul(text, NULL, 0) : 1;
	while ((option = getopt(argc, argv, "lt:s:f:a")) != -1) {
		switch (option) {
		case 'l':
			for (size_t i = 0; i < count; i++)
				puts(cases[i].name);
			return 0;
		case 't':
			pattern = optarg;
			break;
		case 's':
			run_seed = strtoul(optarg, NULL, 0);
			break;
		case 'f':
			call_flags = strtoul(optarg, NULL, 0);
			break;
		case 'a':
			slow = 1;
			break;
		default:
			fprintf(stderr, "usage: %s [-l] [-a] [-t pattern] [-s seed] [-f flags]\n", argv[0]);
			return 2;
		}
	}
	for (size_t i = 0; i < count; i++)
		total += wanted(&cases[i], pattern, slow);
	printf("TAP version 13\n1..%d\n# seed %lu flags %#lx\n", total, run_seed, call_flags);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int permitted = 0; permitted < 2; permitted++) {
		if (permitted && sys_rewindable() == -ENOSYS) {
			printf("Bail out! this kernel has no REWIND\n");
			return CASE_FAIL;
		}
		for (size_t i = 0; i < count; i++)
			if (wanted(&cases[i], pattern, slow) &&
			    !!(cases[i].flags & UNPERMITTED) != permitted)
				failed += run_and_print(&cases[i], ++number);
	}
	printf("# %d of %d failed\n", failed, total);
	return failed ? CASE_FAIL : CASE_PASS;
}
