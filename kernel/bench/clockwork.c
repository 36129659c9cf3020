// SPDX-License-Identifier: GPL-2.0
/*
 * What reference_process.py measures with, as a shared library: Python's own work between
 * two readings of the clock would be larger than what is measured.
 *
 * A rewind forgets, so the time at which it began is written to a file first. That write is
 * inside the measured interval; cw_overhead_ns() says what it costs, to be subtracted.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../selftests/rewind.h"

#define PAGE	4096UL

/* Slots of the notebook, 8 bytes each; the rest belongs to the caller. */
enum { BEGIN, CHECKPOINT_NS, REWIND_NS };

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void put(int notebook, int slot, int64_t value)
{
	if (pwrite(notebook, &value, sizeof(value), slot * sizeof(value)) < 0)
		_exit(3);
}

/* Returns the generation, or a negative errno; leaves the time it took in the notebook. */
long cw_checkpoint(int notebook, unsigned long flags)
{
	int64_t begin = now(), end;
	long generation = sys_checkpoint(flags);

	end = now();
	if (generation == 0)
		put(notebook, CHECKPOINT_NS, end - begin);
	if (generation > 0) {
		if (pread(notebook, &begin, sizeof(begin), BEGIN) < 0)
			_exit(3);
		put(notebook, REWIND_NS, end - begin);
	}
	return generation;
}

/* Returns only a negative errno. */
long cw_rewind(int notebook, unsigned long flags)
{
	put(notebook, BEGIN, now());
	return sys_rewind(flags);
}

/*
 * The kernel's counters go to the notebook as they are: to read them in Python writes to a hundred
 * pages, whose images would count as part of the log.
 */
int cw_counters(int notebook, long offset)
{
	static char text[PAGE];
	int fd = open("/proc/self/rewind", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (fd >= 0)
		close(fd);
	return length < 0 || pwrite(notebook, text, length, offset) != length ? -1 : length;
}

/* What the write to the notebook adds to a measured rewind. */
int64_t cw_overhead_ns(int notebook)
{
	int64_t begin = 0;

	for (int i = 0; i < 8; i++) {
		begin = now();
		put(notebook, BEGIN, begin);
		begin = now() - begin;
	}
	return begin;
}

/* One store to each of `count` pages from `start`, `step` pages apart. */
int64_t cw_store(char *start, long first, long count, long step)
{
	int64_t begin = now();

	for (long i = first; i < first + count; i++)
		*(volatile char *)(start + i * step * PAGE + 64) = 1;
	return now() - begin;
}

/* Copies of one page to the next: what the hardware asks for a page. */
int64_t cw_copy(char *pages, long count)
{
	int64_t begin = now();

	for (long i = 0; i + 1 < count; i++) {
		void *to = pages + (i + 1) * PAGE, *from = pages + i * PAGE;
		unsigned long words = PAGE / 8;

		asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	}
	return now() - begin;
}

/* fork, `count` stores in the child, exit, wait; the child's stores alone go to *stores_ns. */
int64_t cw_fork_cycle(int notebook, char *start, long count)
{
	int64_t begin = now();
	pid_t pid = fork();

	if (pid == 0) {
		put(notebook, REWIND_NS, cw_store(start, 0, count, 1));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return now() - begin;
}

static int futex_word;

static void *idle(void *unused)
{
	for (;;)
		syscall(SYS_futex, &futex_word, 128 /* FUTEX_WAIT_PRIVATE */, 0, NULL, NULL, 0);
	return NULL;
}

/* Threads as an idle BLAS pool has them, asleep on a futex. */
int cw_start_idle_threads(int count)
{
	pthread_attr_t small;
	pthread_t thread;
	int started = 0;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 * 1024);
	while (started < count && !pthread_create(&thread, &small, idle, NULL))
		started++;
	usleep(20000);
	return started;
}
