// SPDX-License-Identifier: GPL-2.0
/*
 * Killed at a random moment, thousands of times: during a checkpoint, a rewind, a fault.
 * The subject works as hard as it can in a child of its own; the parent lets it run for
 * a random number of turns of a spin, then kills it. Nothing may hang, leak or splat.
 * What it has forked is killed too: a process that lives on would look like a leak.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void *idle(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

static void work(long threads, unsigned long seed, int reached)
{
	char *pages = anon(64, 'k');
	pthread_t thread;
	long gen;

	for (long i = 0; i < threads; i++)
		pthread_create(&thread, NULL, idle, NULL);
	gen = sys_checkpoint(call_flags);
	if (gen < 0 || (gen == 0 && write(reached, "c", 1) != 1))
		_exit(1);
	seed += gen;
	for (int i = 0; i < 20; i++)
		pages[random_step(&seed) % 64 * PAGE] = 'T';
	switch (random_step(&seed) % 5) {
	case 0:
		if (fork() == 0)
			pause();
		break;
	case 1:
		munmap(pages + 8 * PAGE, 16 * PAGE);
		break;
	case 2:
		memset(anon(16, 0), 'T', 16 * PAGE);
		break;
	case 3:
		if (threads)
			pthread_create(&thread, NULL, idle, NULL);
		break;
	}
	sys_rewind(call_flags);
	_exit(2);
}

/* The subject and its children are one process group, so that nothing slips away while it forks. */
static void kill_and_reap(pid_t pid, long round)
{
	int status;

	expect(kill(-pid, SIGKILL) == 0);
	expect(waitpid(pid, &status, 0) == pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail("round %ld of seed %lu: status %#x", round, run_seed, status);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
	expect_eq(errno, ECHILD);
}

static void kills(long rounds, long threads)
{
	unsigned long random = run_seed;
	long checkpoints = 0, measured = 0;
	struct usage before = { 0 };
	int reached[2];
	char byte;

	expect(pipe2(reached, O_NONBLOCK) == 0);
	expect(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	for (long i = 0; i < rounds; i++) {
		unsigned long turns = random_step(&random) % (1UL << (6 + random_step(&random) % 16));
		pid_t pid;

		if (i == rounds / 4) {
			before = settled_usage();
			measured = -checkpoints;
		}
		pid = fork();
		if (pid == 0) {
			setpgid(0, 0);
			close(reached[0]);
			work(threads, random, reached[1]);
		}
		setpgid(pid, pid);
		/* One in four on its way to the checkpoint, the others on and after it. */
		if (i % 4)
			poll(&(struct pollfd){ reached[0], POLLIN, 0 }, 1, 10000);
		for (volatile unsigned long k = 0; k < turns; k++)
			;
		kill_and_reap(pid, i);
		checkpoints += read(reached[0], &byte, 1) == 1;
	}
	diag("  %ld of %ld had a checkpoint", checkpoints, rounds);
	expect(checkpoints > rounds / 2);
	expect_nothing_kept(&before, measured + checkpoints);
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "one thread, 300 times", kills, 300, 0, 0, 120 },
		{ "with idle threads, 300 times", kills, 300, 3, 0, 120 },
		{ "one thread, 5000 times", kills, 5000, 0, SLOW, 2400 },
		{ "with idle threads, 3000 times", kills, 3000, 3, SLOW, 2400 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
