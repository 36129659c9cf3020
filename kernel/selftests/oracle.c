// SPDX-License-Identifier: GPL-2.0
/*
 * Random programs. A program is a seed: from it follow, for each generation, a number of
 * operations on memory, layout, descriptors, signals, threads and processes. After each
 * rewind the supervisor compares everything (see portrait.h).
 *
 *	oracle -s SEED -g GENERATIONS -o OPERATIONS [-k KINDS] [-x FIRST:LAST]
 *
 * -k is a mask of the kinds that take part, -x leaves out a range of operations, counted
 * over the whole run: with both, a failing seed can be made small (bench/kernel/shrink.py).
 * Which number an operation has does not depend on what is left out.
 *
 * Counts by kind, and by branch of the rewind (what /proc/<pid>/rewind says was done), are
 * printed; over a long run, one that never ran is a failure.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define AREAS		6
#define AREA_PAGES	96UL
#define FLOOD_PAGES	8400UL		/* more than KEEP_MANY in mm/rewind/replay.c */
#define FLOOD_AT(i)	((char *)0x600000000000 + (i) * (64UL << 20))
#define CALM_PAGES	32UL
#define CALM_GENERATIONS	8
#define AREA_AT(i)	((char *)0x700000000000 + (i) * (4UL << 20))

static unsigned long dice;
static char *huge, *calm;
static int self_mem = -1, bytes_file = -1;

static unsigned long pick(unsigned long below)
{
	return random_step(&dice) % below;
}

static char *some_page(unsigned long room)
{
	return AREA_AT(pick(AREAS)) + pick(AREA_PAGES - room) * PAGE;
}

/*
 * Earlier operations may have unmapped or protected what a later one writes to. The
 * kernel writes, so that this is an error and not a fault: read(2) of /dev/zero-like
 * bytes when the page is not known to be writable.
 */
static void put(char *at)
{
	char byte = 1 + pick(255);
	struct iovec local = { &byte, 1 }, remote = { at, 1 };

	process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
}

/* A plain store where the page is writable; asked with a system call that changes nothing. */
static int writable(char *at)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { at, 1 };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1)
		return 0;
	return pread(bytes_file, at, 1, 0) == 1;
}

static void op_store(void)
{
	for (unsigned long n = 1 + pick(12); n; n--) {
		char *at = some_page(1) + pick(PAGE);

		if (writable(at))
			*(volatile char *)at = pick(256);
	}
}

static void op_vm_write(void) { for (int i = 0; i < 4; i++) put(some_page(1) + pick(PAGE)); }

static void op_mem_write(void)
{
	for (int i = 0; i < 4; i++)
		if (pwrite(self_mem, "memory", 6, (off_t)(some_page(1) + pick(PAGE - 8))) < 0)
			continue;
}

static void op_read_into(void)
{
	for (int i = 0; i < 3; i++)
		if (pread(bytes_file, some_page(3), PAGE * (1 + pick(3)), pick(PAGE)) < 0)
			continue;
}

static void op_touch(void)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { some_page(1), 1 };

	process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static void op_unmap(void) { munmap(some_page(8), (1 + pick(8)) * PAGE); }

static void op_map(void)
{
	mmap(some_page(16), (1 + pick(16)) * PAGE, PROT_READ | (pick(4) ? PROT_WRITE : 0),
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void op_map_file(void)
{
	mmap(some_page(8), (1 + pick(8)) * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_FIXED, bytes_file, pick(8) * PAGE);
}

static void op_map_anywhere(void)
{
	size_t pages = 1 + pick(64), step;
	char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return;
	for (size_t i = 0; i < pages; i += step) {
		step = 1 + pick(3);
		put(at + i * PAGE);
		/* New memory is blank, whatever the kernel kept for it. */
		for (size_t byte = 1; byte < (step < pages - i ? step : 1) * PAGE; byte++)
			if (at[i * PAGE + byte])
				fail("seed %lu: a new page was not blank", run_seed);
	}
}

static void op_protect(void)
{
	static const int rights[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				      PROT_READ | PROT_WRITE | PROT_EXEC };

	mprotect(some_page(12), (1 + pick(12)) * PAGE, rights[pick(4)]);
}

static void op_move(void)
{
	mremap(some_page(8), 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED |
	       (pick(3) ? 0 : MREMAP_DONTUNMAP), some_page(8));
}

static void op_resize(void)
{
	size_t pages = 1 + pick(8);

	mremap(some_page(8), pages * PAGE, (1 + pick(24)) * PAGE, MREMAP_MAYMOVE);
}

static void op_advise(void)
{
	static const int kinds[] = { MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_POPULATE_WRITE,
				     MADV_POPULATE_READ, MADV_DONTFORK, MADV_DOFORK, MADV_NORMAL, MADV_RANDOM, MADV_DONTDUMP };

	madvise(some_page(16), (1 + pick(16)) * PAGE, kinds[pick(ARRAY_SIZE(kinds))]);
}

static void op_page_out(void) { madvise(some_page(32), 32 * PAGE, MADV_PAGEOUT); }

static void op_heap(void)
{
	long by = ((long)pick(40) - 16) * (long)PAGE + pick(100);
	char *at = sbrk(by);

	if (at != (char *)-1 && by > 0)
		put(at);
}

static void op_huge(void)
{
	static const int kinds[] = { MADV_HUGEPAGE, MADV_COLLAPSE, MADV_NOHUGEPAGE, MADV_DONTNEED };

	switch (pick(4)) {
	case 0:
		madvise(huge, HUGE, kinds[pick(4)]);
		break;
	case 1:
		munmap(huge + pick(500) * PAGE, (1 + pick(8)) * PAGE);
		break;
	default:
		for (int i = 0; i < 8; i++)
			put(huge + pick(HUGE));
	}
}

static void op_lock(void)
{
	char *at = some_page(8);

	mlock(at, 8 * PAGE);
	if (pick(2))
		munlock(at, 8 * PAGE);
}

static void op_seal(void)
{
	char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	syscall(462, at, 2 * PAGE, 0);
}

static void op_stack(void)
{
	volatile char frame[48 * 1024];

	memset((void *)frame, pick(256), sizeof(frame));
}

static void op_descriptors(void)
{
	switch (pick(5)) {
	case 0:
		if (open("/dev/null", O_RDONLY) < 0)
			return;
		break;
	case 1:
		close(6 + pick(8));
		break;
	case 2:
		dup2(6 + pick(8), 6 + pick(20));
		break;
	case 3:
		fcntl(6 + pick(8), F_SETFD, pick(2));
		break;
	case 4:
		lseek(6 + pick(8), pick(4096), SEEK_SET);
	}
}

static void op_signals(void)
{
	sigset_t set;

	switch (pick(4)) {
	case 0:
		signal(SIGUSR1 + 2 * pick(2), pick(2) ? SIG_IGN : SIG_DFL);
		break;
	case 1:
		sigemptyset(&set);
		sigaddset(&set, 33 + pick(20));
		sigprocmask(SIG_BLOCK, &set, NULL);
		break;
	case 2:
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGUSR1);
		break;
	case 3:
		signal(SIGALRM, SIG_IGN);
		ualarm(500 + pick(5000), 700);
	}
}

static void op_attributes(void)
{
	struct rlimit limit = { 1UL << (20 + pick(8)), RLIM_INFINITY };

	switch (pick(5)) {
	case 0:
		if (chdir(pick(2) ? "/proc" : "/sys"))
			return;
		break;
	case 1:
		umask(pick(0777));
		break;
	case 2:
		setrlimit(RLIMIT_CORE, &limit);
		break;
	case 3:
		setpriority(PRIO_PROCESS, 0, pick(10));
		break;
	case 4:
		prctl(PR_SET_NAME, "oracle");
	}
}

static void *idle(void *unused)
{
	for (;;)
		pause();
}

static void op_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, idle, NULL);
}

static void op_fork(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 8; i++)
			put(some_page(1));
		if (pick(3) == 0) {
			setsid();
			if (fork() == 0)
				pause();
		}
		if (pick(2))
			pause();
		_exit(0);
	}
	if (pid > 0 && pick(2)) {
		for (int i = 0; i < 4; i++)
			put(some_page(1));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* Pages that nothing else touches, so that most rewinds find them as they were. */
static void op_calm(void) { calm[pick(CALM_PAGES) * PAGE + pick(PAGE)] = pick(256); }

/*
 * A request with a log so long that the kernel no longer keeps each page writable that some
 * earlier request has written to. Seldom at the same place: pages that are ready there would
 * not be in the log.
 */
static void op_flood(void)
{
	mmap(FLOOD_AT(pick(256)), FLOOD_PAGES * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

static void op_compact(void) { write_text("/proc/sys/vm/compact_memory", "1"); }

#define OP(name, weight) { #name, op_##name, weight }
static const struct { const char *name; void (*run)(void); int weight; } ops[] = {
	OP(store, 20), OP(vm_write, 6), OP(mem_write, 6), OP(read_into, 6), OP(touch, 6), OP(unmap, 6),
	OP(map, 6), OP(map_file, 4), OP(map_anywhere, 4), OP(protect, 6), OP(move, 6), OP(resize, 4),
	OP(advise, 8), OP(page_out, 3), OP(heap, 4), OP(huge, 4), OP(lock, 2), OP(seal, 1), OP(stack, 3),
	OP(descriptors, 6), OP(signals, 4), OP(attributes, 4), OP(thread, 2), OP(fork, 2), OP(compact, 1),
	OP(calm, 3), OP(flood, 1),
};

/* ---- one run ---------------------------------------------------------- */

static long generations = 40, per_generation = 40, skip_first = -1, skip_last = -1;
static unsigned long kinds = ~0UL;

/* What a rewind did: first what the kernel tells, then what it found when it was called. */
static const char *const branches[] = {
	"armed", "logged", "copied", "skipped", "zeroed", "dropped", "recreated", "rearmed",
	"unmapped", "remapped", "faults_write", "faults_born", "reused", "blank",
	"swapped", "threads", "descendants",
};
#define KERNEL_BRANCHES	(ARRAY_SIZE(branches) - 3)

/* Counts live in a file: the subject's memory does not remember them. */
static int counts_file = -1;

static void add(int counter, long by)
{
	long value = 0;

	if (pread(counts_file, &value, sizeof(value), counter * sizeof(value)) < 0)
		return;
	value += by;
	if (pwrite(counts_file, &value, sizeof(value), counter * sizeof(value)) < 0)
		return;
}

static void count(int kind) { add(kind, 1); }
static void count_branch(int branch, long by) { add(ARRAY_SIZE(ops) + branch, by); }

/* After a rewind, and after its result was compared. */
static void count_done(void)
{
	for (size_t i = 0; i < KERNEL_BRANCHES; i++)
		count_branch(i, rewind_counter(branches[i]));
}

static long in_status(const char *format)
{
	char text[4096] = "", *line, *rest;
	int fd = open("/proc/thread-self/status", O_RDONLY);
	long value = 0;

	if (read(fd, text, sizeof(text) - 1) > 0)
		for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			if (sscanf(line, format, &value) == 1)
				break;
	close(fd);
	return value;
}

/* What the next rewind has to end, or to find elsewhere. */
static void count_to_do(void)
{
	char children[4096];
	int fd = open("/proc/thread-self/children", O_RDONLY);

	count_branch(KERNEL_BRANCHES, in_status("VmSwap: %ld kB") * 1024 / PAGE);
	count_branch(KERNEL_BRANCHES + 1, in_status("Threads: %ld") - 1);
	count_branch(KERNEL_BRANCHES + 2, read(fd, children, sizeof(children)) > 0);
	close(fd);
}

static int draw(void)
{
	int total = 0, at;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	at = pick(total);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if ((at -= ops[i].weight) < 0)
			return i;
	return 0;
}

/*
 * After a fork or a compaction every page is another one, or dirty: no page would ever be old.
 * So there is time without them, too.
 */
static int left_out(int kind, long gen, long number)
{
	if (!(kinds >> kind & 1) || (number >= skip_first && number <= skip_last))
		return 1;
	return gen / CALM_GENERATIONS % 2 &&
	       (ops[kind].run == op_fork || ops[kind].run == op_compact);
}

static void prepare(void)
{
	char *at;

	for (int i = 0; i < AREAS; i++) {
		at = mmap(AREA_AT(i), AREA_PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_FIXED | (i == 5 ? 0 : MAP_ANONYMOUS),
			  i == 5 ? bytes_file : -1, 0);
		expect(at != MAP_FAILED);
		for (unsigned long k = 0; i < 4 && k < AREA_PAGES; k += 1 + i)
			memset(at + k * PAGE, 1 + i * 50 + k, PAGE);
	}
	mprotect(AREA_AT(3), AREA_PAGES / 2 * PAGE, PROT_READ);
	huge = room_for_huge();
	for (unsigned long i = 0; i < HUGE; i += 3 * PAGE)
		huge[i] = 'h';
	calm = anon(CALM_PAGES, 'c');
	for (int fd = 6; fd < 12; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			dup2(bytes_file, fd);
	sbrk(50 * PAGE);
}

/* Out of the way of op_descriptors(). */
static int high(int fd)
{
	int moved = fcntl(fd, F_DUPFD, 60);

	close(fd);
	return moved;
}

static void program(long unused, long unused2)
{
	long gen;

	counts_file = high(open("/tmp/oracle.counts", O_RDWR));
	self_mem = high(open("/proc/self/mem", O_RDWR));
	bytes_file = high(open_bytes(AREA_PAGES * PAGE, 'b'));
	prepare();
	gen = checkpoint();
	if (gen)
		count_done();
	if (gen == generations)
		return;
	for (long i = 0; i < per_generation; i++) {
		long number = gen * per_generation + i;
		int kind;

		/* Each operation has dice of its own: leaving one out changes no other. */
		dice = (run_seed * 1000003 + number) * 0x9E3779B97F4A7C15UL;
		random_step(&dice);
		kind = draw();
		if (left_out(kind, gen, number))
			continue;
		count(kind);
		ops[kind].run();
	}
	count_to_do();
	rewind_now();
}

static void report_counts(void)
{
	long values[ARRAY_SIZE(ops) + ARRAY_SIZE(branches)] = { 0 }, total = 0;
	int fd = open("/tmp/oracle.counts", O_RDONLY);

	if (read(fd, values, sizeof(values)) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		printf("# operations %s %ld\n", ops[i].name, values[i]);
		total += values[i];
	}
	printf("# operations total %ld\n", total);
	for (size_t i = 0; i < ARRAY_SIZE(branches); i++)
		printf("# branch %s %ld\n", branches[i], values[ARRAY_SIZE(ops) + i]);
}

int main(int argc, char **argv)
{
	static const struct testcase one = { "random program", program, 0, 0, 0, 3600 };
	int option, failed;

	optind = 1;
	while ((option = getopt(argc, argv, "s:f:g:o:k:x:")) != -1) {
		switch (option) {
		case 's':
			setenv("REWIND_SEED", optarg, 1);
			break;
		case 'f':
			setenv("REWIND_FLAGS", optarg, 1);
			break;
		case 'g':
			generations = atol(optarg);
			break;
		case 'o':
			per_generation = atol(optarg);
			break;
		case 'k':
			kinds = strtoul(optarg, NULL, 0);
			break;
		case 'x':
			if (sscanf(optarg, "%ld:%ld", &skip_first, &skip_last) != 2)
				return 2;
		}
	}
	close(open("/tmp/oracle.counts", O_RDWR | O_CREAT | O_TRUNC, 0600));
	argv[1] = NULL;
	optind = 1;
	failed = run_cases(1, argv, &one, 1);
	report_counts();
	return failed;
}
