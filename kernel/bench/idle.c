// SPDX-License-Identifier: GPL-2.0
/*
 * What the paths that a checkpoint hooks into cost a process that has none: one line of JSON for each,
 * in nanoseconds, which are instructions under the instruction clock. Every operation is timed by itself
 * and the median counts: a tick, a refill of a free list or a deferred task is in few of them. A thread
 * runs now before and now after its creator goes on: there the least counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096L
#define PAGES	200L
#define ROUNDS	15
#define SAMPLES	(ROUNDS * PAGES)
#define FEW	8L	/* of what takes long */
#define AROUND	16L	/* pages that a read of a file maps at once */

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

static void touch(long i) { *(volatile char *)(area + i * PAGE) = 1; }
static void look_far(long i) { (void)*(volatile char *)(area + i * AROUND * PAGE); }
static void look(long i) { (void)*(volatile char *)(area + i * PAGE); }

static void each_page(void (*work)(long))
{
	for (long i = 0; i < PAGES; i++)
		work(i);
}

static void drop(void) { must(!munmap(area, PAGES * PAGE), "munmap"); }
static void absent(void) { area = map(PAGES, MAP_PRIVATE | MAP_ANONYMOUS, -1); }
static void present(void) { absent(); each_page(touch); }
static void zeros(void) { absent(); each_page(look); }
static void private_file(void) { area = map(PAGES, MAP_PRIVATE, file); }
static void private_file_read(void) { private_file(); each_page(look); }
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

static void map_unmap(long i)
{
	(void)i;
	munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
}

static void unmap(long i) { (void)i; drop(); }
static void dont_need(long i) { (void)i; must(!madvise(area, PAGES * PAGE, MADV_DONTNEED), "madvise"); }
static void protect(long i) { mprotect(area, PAGES * PAGE, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ); }

static void move(long i)
{
	char *other = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)i;
	must(mremap(area, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other, "mremap");
	area = other;
}

static void heap(long i)
{
	(void)i;
	sbrk(PAGE);
	sbrk(-PAGE);
}

static void fork_exit(long i)
{
	pid_t pid = fork();

	(void)i;
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/* All of a fork but that it is scheduled: its number is taken, so what was copied is freed. */
static void fork_in_vain(long i)
{
	pid_t taken = 1;
	struct clone_args child = { .exit_signal = SIGCHLD, .set_tid = (unsigned long)&taken, .set_tid_size = 1 };

	(void)i;
	must(syscall(SYS_clone3, &child, sizeof(child)) < 0 && errno == EEXIST, "clone3");
}

static void execute(long i)
{
	pid_t pid = vfork();

	(void)i;
	if (pid == 0) {
		execl("/bench/idle", "idle", "exit", NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static void *thread(void *arg) { return arg; }

static void threads(long i)
{
	pthread_t t;

	(void)i;
	must(!pthread_create(&t, NULL, thread, NULL), "pthread_create");
	pthread_join(t, NULL);
}

static void signals(long i) { (void)i; kill(getpid(), SIGUSR1); }
static void calls(long i) { (void)i; getppid(); }
static void empty(long i) { (void)i; }
static void handler(int number) { (void)number; }

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static const struct {
	const char *kind;
	void (*prepare)(void), (*work)(long), (*clear)(void);
	long times, units;	/* how often in a round, and of how much each */
	int least;
} paths[] = {
	{ "first write to an anonymous page", absent, touch, drop, PAGES, 1 },
	{ "first read of an anonymous page", absent, look, drop, PAGES, 1 },
	{ "write after a read", zeros, touch, drop, PAGES, 1 },
	{ "copy on write, shared with a child", shared_with_child, touch, drop_both, PAGES, 1 },
	{ "write to what a child has left", left_by_child, touch, drop, PAGES, 1 },
	{ "read of a private file, 16 pages mapped", private_file, look_far, drop, PAGES / AROUND, 1 },
	{ "write to a private file page", private_file, touch, drop, PAGES, 1 },
	{ "write to a private file page after a read", private_file_read, touch, drop, PAGES, 1 },
	{ "write to a shared file page", shared_file, touch, drop, PAGES, 1 },
	{ "mmap and munmap", nothing, map_unmap, nothing, PAGES, 1 },
	{ "munmap, a page", present, unmap, nothing, 1, PAGES },
	{ "MADV_DONTNEED, a page", present, dont_need, drop, 1, PAGES },
	{ "mprotect of pages, a page", present, protect, drop, PAGES, PAGES },
	{ "mremap, a page", present, move, drop, 1, PAGES },
	{ "brk", nothing, heap, nothing, PAGES, 2 },
	{ "fork that fails at its end", nothing, fork_in_vain, nothing, PAGES, 1 },
	{ "fork, exit, wait", present, fork_exit, drop, FEW, 1 },
	{ "vfork, exec, exit, wait", nothing, execute, nothing, FEW, 1 },
	{ "thread, start to join", nothing, threads, nothing, FEW, 1, 1 },
	{ "signal to itself", nothing, signals, nothing, PAGES, 1 },
	{ "system call", nothing, calls, nothing, PAGES, 1 },
};

static int smaller_first(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* All operations of ROUNDS rounds: the median, or the least. */
static long typical(void (*prepare)(void), void (*work)(long), void (*clear)(void), long times,
		    int least)
{
	static long took[SAMPLES];
	long n = 0;

	for (int round = 0; round < ROUNDS; round++) {
		prepare();
		for (long i = 0; i < times; i++) {
			long begin = now();

			work(i);
			took[n++] = now() - begin;
		}
		clear();
	}
	qsort(took, n, sizeof(*took), smaller_first);
	return took[least ? 0 : n / 2];
}

int main(int argc, char **argv)
{
	static char block[PAGE];

	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	file = open("/tmp/idle", O_RDWR | O_CREAT, 0600);
	for (long i = 0; i < PAGES; i++)
		must(write(file, block, PAGE) == PAGE, "write");
	signal(SIGUSR1, handler);
	long clock = typical(nothing, empty, nothing, PAGES, 0);

	for (unsigned long i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		long ns = typical(paths[i].prepare, paths[i].work, paths[i].clear, paths[i].times,
				  paths[i].least) - clock;

		printf("{\"kind\": \"%s\", \"ns\": %.2f}\n", paths[i].kind, (double)ns / paths[i].units);
	}
	return 0;
}
