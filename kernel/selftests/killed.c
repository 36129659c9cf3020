// SPDX-License-Identifier: GPL-2.0
/*
 * Killed at a random moment, thousands of times: during a checkpoint, a rewind, a fault.
 * The subject works as hard as it can in a child of its own; the parent lets it run for
 * a random number of turns of a spin, then kills it. Nothing may hang, leak or splat.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void *idle(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

static void work(long threads, unsigned long seed)
{
	char *pages = anon(64, 'k');
	pthread_t thread;
	long gen;

	for (long i = 0; i < threads; i++)
		pthread_create(&thread, NULL, idle, NULL);
	gen = sys_checkpoint(call_flags);
	if (gen < 0)
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

static void kills(long rounds, long threads)
{
	unsigned long random = run_seed;
	long before = 0, lost = 0;

	for (long i = 0; i < rounds; i++) {
		unsigned long turns = random_step(&random) % (1UL << (6 + random_step(&random) % 16));
		int status;
		pid_t pid;

		if (i == rounds / 4)
			before = meminfo_kb("MemAvailable");
		pid = fork();
		if (pid == 0)
			work(threads, random);
		for (volatile unsigned long k = 0; k < turns; k++)
			;
		kill(pid, SIGKILL);
		expect(waitpid(pid, &status, 0) == pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			fail("round %ld of seed %lu: status %#x", i, run_seed, status);
	}
	for (int wait = 0; wait < 300; wait++) {
		lost = before - meminfo_kb("MemAvailable");
		if (lost <= 8192)
			return;
		usleep(10000);
	}
	fail("%ld kB lost", lost);
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "one thread, 150 times", kills, 150, 0, 0, 120 },
		{ "with idle threads, 100 times", kills, 100, 3, 0, 120 },
		{ "one thread, 5000 times", kills, 5000, 0, SLOW, 2400 },
		{ "with idle threads, 3000 times", kills, 3000, 3, SLOW, 2400 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
