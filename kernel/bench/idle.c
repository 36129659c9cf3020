// SPDX-License-Identifier: GPL-2.0
/*
 * What the paths that a checkpoint hooks into cost a process that has none: one line of JSON for each,
 * in nanoseconds an operation, which are instructions under the instruction clock. A round is shorter
 * than the timer's period, and of several the least counts, so that no tick is in it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096L
#define PAGES	200L
#define ROUNDS	15
#define FEW	8L	/* of what takes long */

static char *area;
static int file;
static pid_t child;

static void must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static char *map(long pages, int flags, int fd)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	must(p != MAP_FAILED, "mmap");
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

static void touch(void)
{
	for (long i = 0; i < PAGES; i++)
		*(volatile char *)(area + i * PAGE) = 1;
}

static void look(void)
{
	for (long i = 0; i < PAGES; i++)
		(void)*(volatile char *)(area + i * PAGE);
}

static void drop(void) { must(!munmap(area, PAGES * PAGE), "munmap"); }
static void absent(void) { area = map(PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1); }
static void present(void) { absent(); touch(); }
static void zeros(void) { absent(); look(); }
static void private_file(void) { area = map(PAGES, MAP_PRIVATE, file); }
static void private_file_read(void) { private_file(); look(); }
static void shared_file(void) { area = map(PAGES, MAP_SHARED, file); }

static void shared_with_child(void)
{
	present();
	child = fork();
	must(child >= 0, "fork");
	if (child == 0) {
		pause();
		_exit(0);
	}
}

static void end_child(void)
{
	kill(child, SIGKILL);
	must(waitpid(child, NULL, 0) == child, "waitpid");
}

static void drop_both(void) { end_child(); drop(); }
static void left_by_child(void) { shared_with_child(); end_child(); }

static void nothing(void) { }

static void map_unmap(void)
{
	for (long i = 0; i < PAGES; i++)
		munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
}

static void dont_need(void) { must(!madvise(area, PAGES * PAGE, MADV_DONTNEED), "madvise"); }

static void protect(void)
{
	for (long i = 0; i < PAGES; i++)
		mprotect(area, PAGES * PAGE, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
}

static void move(void)
{
	char *other = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(mremap(area, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other, "mremap");
	area = other;
}

static void heap(void)
{
	for (long i = 0; i < PAGES; i++)
		sbrk(i % 2 ? -PAGE : PAGE);
}

static void fork_exit(void)
{
	for (long i = 0; i < FEW; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

static void execute(void)
{
	for (long i = 0; i < FEW; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/bench/idle", "idle", "exit", NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
}

static void *thread(void *arg) { return arg; }

static void threads(void)
{
	for (long i = 0; i < FEW; i++) {
		pthread_t t;

		must(!pthread_create(&t, NULL, thread, NULL), "pthread_create");
		pthread_join(t, NULL);
	}
}

static void signals(void)
{
	for (long i = 0; i < PAGES; i++)
		kill(getpid(), SIGUSR1);
}

static void handler(int number) { (void)number; }

static void calls(void)
{
	for (long i = 0; i < PAGES; i++)
		getppid();
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static const struct {
	const char *kind;
	void (*prepare)(void), (*work)(void), (*clear)(void);
	long count;
} paths[] = {
	{ "first write to an anonymous page", absent, touch, drop, PAGES },
	{ "first read of an anonymous page", absent, look, drop, PAGES },
	{ "write after a read", zeros, touch, drop, PAGES },
	{ "copy on write, shared with a child", shared_with_child, touch, drop_both, PAGES },
	{ "write to what a child has left", left_by_child, touch, drop, PAGES },
	{ "read of a private file page", private_file, look, drop, PAGES },
	{ "write to a private file page", private_file, touch, drop, PAGES },
	{ "write to a private file page after a read", private_file_read, touch, drop, PAGES },
	{ "write to a shared file page", shared_file, touch, drop, PAGES },
	{ "mmap and munmap", nothing, map_unmap, nothing, PAGES },
	{ "munmap, a page", present, drop, nothing, PAGES },
	{ "MADV_DONTNEED, a page", present, dont_need, drop, PAGES },
	{ "mprotect of pages, a page", present, protect, drop, PAGES * PAGES },
	{ "mremap, a page", present, move, drop, PAGES },
	{ "brk", nothing, heap, nothing, PAGES },
	{ "fork, exit, wait", present, fork_exit, drop, FEW },
	{ "vfork, exec, exit, wait", nothing, execute, nothing, FEW },
	{ "thread, start to join", nothing, threads, nothing, FEW },
	{ "signal to itself", nothing, signals, nothing, PAGES },
	{ "system call", nothing, calls, nothing, PAGES },
};

int main(int argc, char **argv)
{
	static char block[PAGE];

	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	file = open("/tmp/idle", O_RDWR | O_CREAT, 0600);
	for (long i = 0; i < PAGES; i++)
		must(write(file, block, PAGE) == PAGE, "write");
	signal(SIGUSR1, handler);
	for (unsigned long i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		long best = -1;

		for (int round = 0; round < ROUNDS; round++) {
			long begin, took;

			paths[i].prepare();
			begin = now();
			paths[i].work();
			took = now() - begin;
			paths[i].clear();
			if (best < 0 || took < best)
				best = took;
		}
		printf("{\"kind\": \"%s\", \"ns\": %.2f}\n", paths[i].kind, (double)best / paths[i].count);
	}
	return 0;
}
