// SPDX-License-Identifier: GPL-2.0
/* The tracepoints tell of each call, whose it was and what it came to. Needs tracefs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define TRACING	"/sys/kernel/tracing/"
#define EVENTS	TRACING "events/rewind/"

static char trace[65536];

static void read_trace(void)
{
	int fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	expect(fd >= 0);
	while (have < sizeof(trace) - 1 && (n = read(fd, trace + have, sizeof(trace) - 1 - have)) > 0)
		have += n;
	trace[have] = 0;
	close(fd);
}

static void begin(void)
{
	int fd;

	if (access(EVENTS "enable", W_OK))
		skip("no " EVENTS);
	fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	expect_eq(write_text(EVENTS "enable", "1"), 0);
}

/* Lines of one event that were written for a process. */
static int lines_of(const char *event, pid_t pid)
{
	char wanted[64];
	int n = 0;

	snprintf(wanted, sizeof(wanted), "%s: tgid=%d ", event, pid);
	for (char *at = trace; (at = strstr(at, wanted)); at++)
		n++;
	return n;
}

static void in_a_child(int refused)
{
	long gen;

	if (refused && eventfd(0, 0) < 0)
		_exit(2);
	gen = sys_checkpoint(call_flags);
	if (gen < 0)
		_exit(!refused || gen != -EOPNOTSUPP);
	if (gen < 3)
		sys_rewind(call_flags);
	_exit(refused || gen != 3);
}

static pid_t run_child(int refused)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		in_a_child(refused);
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
	write_text(EVENTS "enable", "0");
	read_trace();
	return pid;
}

/* Every rewind tells all that is known of it, each a number. */
static void expect_numbers(pid_t pid)
{
	static const char *const names[] = {
		"generation", "ns", "rendezvous_ns", "vma_ns", "pages_ns", "regions_ns", "files_ns",
		"logged", "copied", "skipped", "zeroed", "dropped", "recreated", "faults_write",
		"faults_born",
	};
	char wanted[64], *line = trace, *end;

	snprintf(wanted, sizeof(wanted), "rewind_done: tgid=%d ", pid);
	while ((line = strstr(line, wanted))) {
		end = strchr(line, '\n');
		expect(end);
		*end = 0;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			char key[32], *at;

			snprintf(key, sizeof(key), " %s=", names[i]);
			at = strstr(line, key);
			if (!at || at[strlen(key)] < '0' || at[strlen(key)] > '9')
				fail("no number for%s in: %s", key, line);
		}
		line = end + 1;
	}
}

static void calls(long unused, long unused2)
{
	pid_t pid;

	begin();
	pid = run_child(0);
	expect_eq(lines_of("rewind_checkpoint", pid), 1);
	expect_eq(lines_of("rewind_done", pid), 3);
	expect_eq(lines_of("rewind_refused", pid), 0);
	expect(strstr(trace, "generation=3 "));
	expect_numbers(pid);
}

static void refusals(long unused, long unused2)
{
	pid_t pid;

	begin();
	pid = run_child(1);
	expect_eq(lines_of("rewind_refused", pid), 1);
	expect_eq(lines_of("rewind_checkpoint", pid), 0);
	expect(strstr(trace, "reason=\""));
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "checkpoint and rewind", calls, 0, 0, 0, 0 },
		{ "a refusal and its reason", refusals, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
