// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation of a checkpoint, a rewind, and the faults between them fails once
 * (/proc/self/fail-nth): an errno and nothing changed, or success; never half a rewind.
 * Needs CONFIG_FAULT_INJECTION with FAILSLAB and FAIL_PAGE_ALLOC.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define LIMIT	2000

enum { IN_CHECKPOINT, IN_REWIND, IN_REWIND_WITH_CHILD, IN_FAULTS };
enum { DONE = 10, FIRED = 11 };		/* a round's exit status */

static int fail_nth = -1;

static void arm(long n)
{
	char text[16];

	snprintf(text, sizeof(text), "%ld", n);
	if (pwrite(fail_nth, text, strlen(text), 0) < 0)
		_exit(3);
}

/* What is left of the count; 0 when the failure has happened. */
static long left(void)
{
	char text[16] = { 0 };

	if (pread(fail_nth, text, sizeof(text) - 1, 0) < 0)
		_exit(3);
	return atol(text);
}

static char *page, *cut, *file;

static void prepare(void)
{
	page = anon(32, 'a');
	cut = anon(16, 'c');
	file = file_private(8, 'f');
	file[0] = 'F';
}

static int as_at_the_checkpoint(void)
{
	for (unsigned long i = 0; i < 32 * PAGE; i++)
		if (page[i] != 'a')
			return 0;
	for (unsigned long i = 0; i < 16 * PAGE; i++)
		if (cut[i] != 'c')
			return 0;
	return file[0] == 'F' && file[PAGE] == 'f' && file[4 * PAGE] == 'f';
}

/* Some of the calls fail here, where one is made to: what they are for is then not changed. */
static void change(void)
{
	char *new;

	for (int i = 0; i < 32; i += 2)
		page[i * PAGE] = 'T';
	file[PAGE] = 'T';
	munmap(cut + 4 * PAGE, 4 * PAGE);
	munmap(file + 4 * PAGE, PAGE);
	mprotect(cut + 10 * PAGE, PAGE, PROT_READ);
	new = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (new != MAP_FAILED)
		memset(new, 'T', 8 * PAGE);
}

static int during_rewind(long where) { return where == IN_REWIND || where == IN_REWIND_WITH_CHILD; }

static void one_round(long where, long n)
{
	long gen, error, rest = 0;

	prepare();
	if (where == IN_CHECKPOINT)
		arm(n);
	gen = sys_checkpoint(call_flags);
	rest = left();
	arm(0);
	if (gen < 0) {
		if (where != IN_CHECKPOINT || rest)
			_exit(4);
		gen = sys_checkpoint(call_flags);
		if (gen < 0)
			_exit(5);
	}
	if (gen > 0) {
		if (!as_at_the_checkpoint())
			_exit(6);
		_exit(during_rewind(where) && rest ? DONE : FIRED);
	}
	if (where == IN_CHECKPOINT && rest)
		_exit(DONE);
	if (where == IN_FAULTS)
		arm(n);
	change();
	if (where == IN_FAULTS) {
		rest = left();
		arm(0);
		if (rest)
			_exit(DONE);
	}
	if (where == IN_REWIND_WITH_CHILD && fork() == 0) {
		pause();
		_exit(0);
	}
	if (during_rewind(where))
		arm(n);
	error = sys_rewind(call_flags);
	arm(0);
	/* After a lost log entry a refusal is right; otherwise nothing has changed, and again. */
	if (where == IN_FAULTS)
		_exit(error == -ENOMEM || error == -EOPNOTSUPP ? FIRED : 7);
	if (page[0] != 'T' || page[PAGE] != 'a' || file[PAGE] != 'T')
		_exit(8);
	sys_rewind(call_flags);
	_exit(9);
}

/* As it comes, fault injection spares what may wait for memory, and single pages. */
static void spare_none(void)
{
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" }, { "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" }, { "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" }, { "fail_page_alloc/verbose", "0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		if (write_text(path, settings[i][1]))
			skip("no fault injection: %s", path);
	}
}

static void every_allocation(long where, long unused)
{
	long n;

	spare_none();
	for (n = 1; n < LIMIT; n++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
			one_round(where, n);
		}
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == DONE)
			break;
		if (WIFEXITED(status) && WEXITSTATUS(status) == FIRED)
			continue;
		/* A fault that finds no memory may kill the process; a rewind may not. */
		if (where == IN_FAULTS && WIFSIGNALED(status))
			continue;
		fail("allocation %ld: status %#x", n, status);
	}
	if (n == LIMIT)
		fail("the end was not reached with %d allocations", LIMIT);
	diag("  %ld allocations failed in turn", n - 1);
	if (n < 3)
		fail("no allocation was made to fail");
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "each allocation of a checkpoint", every_allocation, IN_CHECKPOINT, 0, 0, 600 },
		{ "each allocation of a rewind", every_allocation, IN_REWIND, 0, 0, 600 },
		{ "each allocation of a rewind that ends a child", every_allocation, IN_REWIND_WITH_CHILD, 0, 0, 600 },
		{ "each allocation of the faults between", every_allocation, IN_FAULTS, 0, 0, 600 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
