// SPDX-License-Identifier: GPL-2.0
/* Fork, exec and exit with a checkpoint; many generations; memory given back; files cut short. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

/* Every way to end with a checkpoint, over and over: all memory must come back. */
static void ends(long rounds, long unused)
{
	struct usage before = { 0 };

	for (long i = 0; i < rounds; i++) {
		int status;
		pid_t pid;

		if (i == rounds / 4)
			before = settled_usage();
		pid = fork();
		if (pid == 0) {
			char *pages = anon(256, 'e');
			long gen = sys_checkpoint(call_flags);

			if (gen < 0)
				_exit(9);
			memset(pages, 'T', 128 * PAGE);
			if (gen < (i & 3))
				sys_rewind(call_flags);
			switch (i >> 2 & 3) {
			case 0:
				raise(SIGKILL);
			case 1:
				abort();
			case 2:
				munmap(pages, 100 * PAGE);
			}
			_exit(0);
		}
		waitpid(pid, &status, 0);
		if (WIFEXITED(status))
			expect_eq(WEXITSTATUS(status), 0);
	}
	expect_nothing_kept(&before, rounds - rounds / 4);
}

/* A measurement in the notebook: a rewind takes what the subject remembers. */
static void note_usage(const struct usage *usage)
{
	long words[sizeof(*usage) / sizeof(long)];

	memcpy(words, usage, sizeof(words));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		note(i, words[i]);
}

static struct usage noted_usage(void)
{
	long words[sizeof(struct usage) / sizeof(long)];
	struct usage usage;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = noted(i);
	memcpy(&usage, words, sizeof(usage));
	return usage;
}

static void change_and_map(char *pages, long gen)
{
	for (int i = 0; i < 100; i++)
		pages[(gen * 7 + i * 13) % 300 * PAGE] = 'T';
	for (int i = 0; i < 3; i++)
		memset(anon(20, 0), 'T', 20 * PAGE);
	if (gen % 16 == 0) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

/* No growth over many generations: of memory, of mappings, of kernel memory. */
static void generations(long count, long unused)
{
	char *pages = anon(300, 'g');
	struct usage before;
	long gen = checkpoint_plain();

	expect_filled(pages, 300, 'g');
	if (gen == count / 4) {
		before = settled_usage();
		note_usage(&before);
	}
	if (gen == count) {
		before = noted_usage();
		expect_nothing_kept(&before, count - count / 4);
		return;
	}
	change_and_map(pages, gen);
	rewind_now();
}

/* 1000 processes, each with a checkpoint, at one time. */
static void many_at_once(long count, long unused)
{
	int ends[2], status, good = 0;

	expect(pipe(ends) == 0);
	for (long i = 0; i < count; i++) {
		if (fork() == 0) {
			char *page = anon(4, 'm'), byte;
			long gen;

			/* Before the checkpoint: a snapshot holds what was open. */
			close(ends[1]);
			gen = sys_checkpoint(call_flags);
			if (gen < 0)
				_exit(1);
			if (gen == 0) {
				if (read(ends[0], &byte, 1) < 0)
					_exit(2);
				page[7] = 'T';
				sys_rewind(call_flags);
				_exit(3);
			}
			_exit(page[7] == 'm' ? 0 : 4);
		}
	}
	close(ends[1]);
	while (wait(&status) > 0)
		good += status == 0;
	expect_eq(good, count);
}

/* A private file mapping whose file is cut short, by this process or another. */
static void truncated(long by_other, long unused)
{
	int fd = open_bytes(16 * PAGE, 'f');
	char *map = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	long gen;

	for (int i = 0; i < 16; i += 2)
		memset(map + i * PAGE, 'p', PAGE);
	gen = checkpoint_plain();
	for (int i = 0; i < 16; i += 2)
		expect_filled(map + i * PAGE, 1, 'p');
	if (gen == 6)
		return;
	map[0] = 'T';
	map[4 * PAGE] = 'T';
	if (by_other) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(ftruncate(fd, PAGE) ? 1 : 0);
		waitpid(pid, NULL, 0);
	} else {
		expect(ftruncate(fd, 0) == 0);
	}
	expect(ftruncate(fd, 16 * PAGE) == 0);
	if (gen & 1)
		map[2 * PAGE] = 'U';
	rewind_now();
}

static pid_t subject;

/* Ends with the subject. */
static void truncate_on_and_on(void *file)
{
	int fd = *(int *)file;

	while (kill(subject, 0) == 0)
		if (ftruncate(fd, 0) || ftruncate(fd, 64 * PAGE))
			_exit(1);
	_exit(0);
}

/* Truncation adds to the log at any moment, also while a rewind reads it. */
static void truncated_all_the_time(long unused, long unused2)
{
	int fd = open_bytes(64 * PAGE, 'f');
	char *map = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *page = anon(64, 'a');
	long gen;

	for (int i = 0; i < 64; i++)
		map[i * PAGE] = 'p';
	subject = getpid();
	start_stranger(truncate_on_and_on, &fd);
	gen = checkpoint_plain();
	expect_filled(page, 64, 'a');
	if (gen == 200)
		return;
	for (int i = 0; i < 64; i += 1 + gen % 3)
		page[i * PAGE] = 'T';
	rewind_now();
}

/* The page of a file that a service has reset must not show what the request wrote to it. */
static void file_reset_in_between(long unused, long unused2)
{
	int fd = open_bytes(PAGE, 'a');
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), clean[PAGE];
	volatile char sink = map[0];
	long gen;

	(void)sink;
	memset(clean, 'a', sizeof(clean));
	gen = checkpoint_plain();
	if (gen) {
		expect(pwrite(fd, clean, PAGE, 0) == (ssize_t)PAGE);
		expect_filled(map, 1, 'a');
	}
	if (gen == GENERATIONS)
		return;
	expect(pwrite(fd, "TOKEN", 5, 100) == 5);
	map[5] = 'x';
	rewind_now();
}

/* What was set aside for a restore is given back after it. */
static void accounting(long count, long unused)
{
	char *pages = anon(300, 'g');
	long gen = checkpoint_plain(), more;

	if (gen == count / 4)
		note(0, meminfo_kb("Committed_AS"));
	if (gen == count) {
		more = meminfo_kb("Committed_AS") - noted(0);
		diag("  over %ld generations: %ld kB accounted for", count * 3 / 4, more);
		expect(more < count * 3 / 4 * 200);	/* half of what each unmaps */
		return;
	}
	munmap(pages + 50 * PAGE, 100 * PAGE);
	mprotect(pages + 200 * PAGE, 50 * PAGE, PROT_NONE);
	rewind_now();
}

/* The limits that a request has set hold for it, not for bringing back what was. */
static void tiny_limits(long unused, long unused2)
{
	static const int kinds[] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_NOFILE, RLIMIT_MEMLOCK };
	int fd = fcntl(open_bytes(PAGE, 'f'), F_DUPFD, 40);
	char *pages = anon(64, 'l');
	long gen = checkpoint();

	expect_filled(pages, 64, 'l');
	expect(fcntl(fd, F_GETFD) == 0);
	if (gen == GENERATIONS)
		return;
	munmap(pages, 64 * PAGE);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct rlimit limit;

		expect(getrlimit(kinds[i], &limit) == 0);
		limit.rlim_cur = 5;
		expect(setrlimit(kinds[i], &limit) == 0);
	}
	rewind_now();
}

/* MADV_FREE of before the checkpoint: from then on the content is the snapshot's. */
static void freed_lazily(long unused, long unused2)
{
	char *pages = anon(64, 'z');
	long gen;

	expect(madvise(pages, 64 * PAGE, MADV_FREE) == 0);
	gen = checkpoint_plain();
	expect_filled(pages, 64, 'z');
	if (gen == GENERATIONS)
		return;
	expect(madvise(pages, 64 * PAGE, MADV_PAGEOUT) == 0);
	rewind_now();
}

/* Written to by one request, and by none of many that follow. */
static void left_alone(long count, long unused)
{
	char *pages = anon(100, 'g');
	long gen = checkpoint_plain();

	if (gen > count) {
		expect_filled(pages, 100, 'g');
		return;
	}
	if (gen == 0 || gen == count)
		memset(pages, 'T', 100 * PAGE);
	rewind_now();
}

/* Charges are taken and given back in batches, one for each processor. */
#define BATCHES	130
#define CHARGED	2000

static long charged(void)
{
	return read_long("/cgroup/charged/memory.current") / (long)PAGE;
}

/* In pages, what the group paid for before, with the log, after a rewind. */
static void be_charged(int report)
{
	long paid[3], gen;
	char *pages;

	enter_group("charged", "memory.max", "max");
	pages = anon(CHARGED, 'c');
	gen = sys_checkpoint(call_flags);
	expect_filled(pages, CHARGED, 'c');
	if (gen == 0)
		note(0, charged());
	if (gen == 1) {
		paid[0] = noted(0);
		paid[1] = noted(1);
		paid[2] = charged();
		_exit(write(report, paid, sizeof(paid)) != sizeof(paid));
	}
	expect_eq(gen, 0);
	for (long i = 0; i < CHARGED; i++)
		pages[i * PAGE] = 'T';
	note(1, charged());
	rewind_now();
}

/* One page of the log for each that was written, at the process' own cost, until it ends. */
static void log_is_charged(long unused, long unused2)
{
	long paid[3], rest, most = CHARGED + CHARGED / 100 + BATCHES;
	int ends[2], status;
	pid_t pid;

	expect(pipe(ends) == 0);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		be_charged(ends[1]);
	}
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
	expect(read(ends[0], paid, sizeof(paid)) == sizeof(paid));
	diag("  %ld pages, %ld with the log, %ld after the rewind", paid[0], paid[1], paid[2]);
	if (paid[1] - paid[0] < CHARGED - BATCHES || paid[1] - paid[0] > most)
		fail("%ld pages written, %ld charged for", (long)CHARGED, paid[1] - paid[0]);
	if (call_flags & RF_NO_REUSE ? paid[2] - paid[0] > most / 2 : paid[2] > paid[1] + BATCHES)
		fail("%ld pages charged for after the rewind", paid[2] - paid[0]);
	for (int i = 0; i < 500 && (rest = charged()) > BATCHES; i++)
		usleep(10000);
	if (rest > BATCHES)
		fail("%ld pages are charged for, and nobody is there", rest);
}

/* Of a thousand, and two thirds of that: as /proc/<pid>/oom_score has it. */
static long score_of(long pages)
{
	return pages * 1000 / ((meminfo_kb("MemTotal") + meminfo_kb("SwapTotal")) / 4) * 2 / 3;
}

enum { COUNTED = 30000 };	/* pages */

/* Who is to be ended for lack of memory is judged by its log, too. */
static void log_is_counted(long unused, long unused2)
{
	char *pages = anon(COUNTED, 'c');
	long gen = checkpoint_plain(), before = read_long("/proc/self/oom_score"), more;

	if (gen)
		return;
	memset(pages, 'T', COUNTED * PAGE);
	more = read_long("/proc/self/oom_score") - before;
	diag("  score %ld, %ld more with the log", before, more);
	expect(before > 0);
	if (more < score_of(COUNTED * 9 / 10) || more > score_of(COUNTED * 11 / 10) + 2)
		fail("%ld more for %ld pages, not %ld", more, (long)COUNTED, score_of(COUNTED));
	rewind_now();
}

#define TABLE	(2UL << 20)

/* A move of all that a page table maps moves no page by itself. */
static void whole_table_moved(long unused, long unused2)
{
	char *from = (char *)0x700100000000, *to = (char *)0x700200000000;
	long gen;

	expect(mmap(from, TABLE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == from);
	madvise(from, TABLE, MADV_NOHUGEPAGE);
	memset(from, 'm', TABLE);
	gen = checkpoint();
	expect_filled(from, TABLE / PAGE, 'm');
	if (gen == GENERATIONS)
		return;
	expect(mremap(from, TABLE, TABLE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	memset(to, 'T', TABLE / 2);
	rewind_now();
}

/* A huge page of zeroes, which has no entries of its own, moved over pages of the snapshot. */
static void zeroes_moved(long unused, long unused2)
{
	char *from = (char *)0x700300000000, *to = (char *)0x700400000000;
	unsigned char present[HUGE / PAGE];
	long gen;

	for (char *at = from; at <= to; at += to - from) {
		expect(mmap(at, HUGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at);
		madvise(at, HUGE, MADV_HUGEPAGE);
	}
	memset(to, 'z', HUGE);
	expect_eq(*(volatile char *)from, 0);
	expect(mincore(from, HUGE, present) == 0);
	if (!(present[HUGE / PAGE - 1] & 1))
		skip("no huge page of zeroes");
	gen = checkpoint();
	expect_filled(to, HUGE / PAGE, 'z');
	if (gen == GENERATIONS)
		return;
	expect(mremap(from, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	rewind_now();
}

enum { MANY = 20000 };	/* pages: more than a group has in stock, and entries than the log in reserve */

static void read_much(void *ready)
{
	static char bytes[1 << 16];
	int fd = open("/dev/vdb", O_RDONLY);

	for (int i = 0; fd >= 0 && i < 512; i++)
		if (read(fd, bytes, sizeof(bytes)) <= 0)
			break;
	if (write(*(int *)ready, "r", 1) != 1)
		_exit(1);
}

/* Somebody else in the group, so that there is page cache to give back. */
static void fill_with_cache(void)
{
	int ready[2];
	char byte;

	expect(pipe(ready) == 0);
	start_stranger(read_much, &ready[1]);
	close(ready[1]);
	expect_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

/* At its limit a group gives memory only to those who can wait for reclaim. */
static void full_group(long move, long unused)
{
	char *pages, *place = (char *)0x700500000000;
	static char limit[32];
	long gen;
	int fd;

	enter_group("full", "memory.max", "max");
	write_text("/cgroup/full/memory.swap.max", "0");
	pages = anon(MANY, 'f');
	fill_with_cache();
	fd = open("/cgroup/full/memory.max", O_WRONLY);
	expect(fd >= 0);
	gen = checkpoint_plain();
	expect_filled(pages, MANY, 'f');
	if (gen == GENERATIONS)
		return;
	snprintf(limit, sizeof(limit), "%ld", read_long("/cgroup/full/memory.current"));
	expect(write(fd, limit, strlen(limit)) > 0);
	if (move)
		expect(mremap(pages, MANY * PAGE, MANY * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
	else
		expect(madvise(pages, MANY * PAGE, MADV_DONTNEED) == 0);
	expect(write(fd, "max", 3) == 3);
	if (move)
		memset(place, 'T', MANY * PAGE / 2);
	rewind_now();
}

#define SERVED	"/tmp/served"

static char *held;	/* SERVED_PAGES */

static void *write_slowly(void *done)
{
	int fd = open(SERVED, O_WRONLY);

	expect(fd >= 0 && write(fd, held, SERVED_PAGES * PAGE) == (ssize_t)(SERVED_PAGES * PAGE));
	*(volatile int *)done = 1;
	for (;;)
		pause();
}

static void hear(int from)
{
	char byte;

	expect(read(from, &byte, 1) == 1);
}

static void tell(int to) { expect(write(to, "", 1) == 1); }

/* After them there are @more small ones. */
static char *huge_pages(size_t count, size_t more)
{
	unsigned long at = (unsigned long)anon((count + 2) * HUGE / PAGE, 0);
	char *start = (char *)((at + HUGE - 1) & ~(HUGE - 1));

	expect(madvise(start, count * HUGE, MADV_HUGEPAGE) == 0);
	memset(start, 'l', count * HUGE);
	expect_eq(number_in("/proc/self/smaps_rollup", "AnonHugePages"), count * HUGE / 1024);
	memset(start + count * HUGE, 'h', more * PAGE);
	return start;
}

/* For a page that is pinned, nothing but a copy will do; and there is no memory for it. */
static void lose_a_page(int from_server, int to_server)
{
	static volatile int done;
	char limit[32], *rest;
	pthread_t thread;
	int fd;

	enter_group("lost", "memory.max", "max");
	write_text("/cgroup/lost/memory.swap.max", "0");
	fill_with_cache();
	/* Copies of a large one take all that a full group has left. */
	rest = huge_pages(1, SERVED_PAGES);
	held = rest + HUGE;
	fd = open("/cgroup/lost/memory.max", O_WRONLY);
	expect(fd >= 0);
	if (checkpoint_plain())
		fail("rewound without a page");
	expect(pthread_create(&thread, NULL, write_slowly, (void *)&done) == 0);
	hear(from_server);
	snprintf(limit, sizeof(limit), "%ld", read_long("/cgroup/lost/memory.current"));
	expect(write(fd, limit, strlen(limit)) > 0);
	expect(madvise(rest, HUGE + SERVED_PAGES * PAGE, MADV_DONTNEED) == 0);
	expect(write(fd, "max", 3) == 3);
	tell(to_server);
	while (!done)
		usleep(1000);
	/* Later entries have a place in the log. */
	memset(rest, 'T', HUGE + SERVED_PAGES * PAGE);
	for (int i = 0; i < 2; i++) {
		expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
		expect_reason("memory for the log ran out");
	}
	expect_filled(held, SERVED_PAGES, 'T');
}

static void page_lost(long unused, long unused2)
{
	int device = mount_served(SERVED), to_child[2], to_server[2], status;
	unsigned long number;
	pid_t pid;

	expect(pipe(to_child) == 0 && pipe(to_server) == 0);
	pid = fork();
	if (pid == 0) {
		close(device);
		lose_a_page(to_child[0], to_server[1]);
		_exit(CASE_PASS);
	}
	close(to_server[1]);
	number = serve_until(device, FUSE_WRITE, FOPEN_DIRECT_IO);
	tell(to_child[1]);
	hear(to_server[0]);
	answer_served(device, number, &(struct fuse_write_out){ .size = SERVED_PAGES * PAGE },
		      sizeof(struct fuse_write_out));
	/* Who closes the file has no one to wait for. */
	umount2(SERVED, MNT_DETACH);
	close(device);
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
}

enum { IMAGES, WRITTEN, READ_BACK };

/*
 * swapoff must be able to read in what only the log still refers to, and what it brings
 * back of a request is the request's; so is what was read back before, and has no place in
 * the swap any more.
 */
static void swap_off(long what, long unused)
{
	char *pages = anon(200, 's');
	long gen;

	if (!has_swap())
		skip("no swap");
	madvise(pages, 200 * PAGE, MADV_PAGEOUT);
	gen = checkpoint_plain();
	if (gen)
		expect(syscall(SYS_swapon, swap_device(), 0) == 0);
	expect_filled(pages, 200, 's');
	if (gen == 3)
		return;
	if (what != IMAGES)
		memset(pages, 'T', 200 * PAGE);
	madvise(pages, 200 * PAGE, MADV_PAGEOUT);
	if (what == IMAGES)
		munmap(pages + 50 * PAGE, 100 * PAGE);
	if (what == READ_BACK) {
		expect(number_in("/proc/self/status", "VmSwap") > 0);
		expect_filled(pages, 200, 'T');
	}
	expect(syscall(SYS_swapoff, swap_device()) == 0);
	rewind_now();
}

/* What the second of two rewinds, each after what counters() does, must have counted. */
static const struct count {
	const char *key;
	long least, most;			/* most 0: no limit */
	long least_armed_again;			/* without reuse of pages */
} counts[] = {
	{ "checkpointed", 1, 1, 1 }, { "generation", 2, 2, 2 },
	{ "checkpoint_ns", 0, 0, 0 }, { "rewind_ns", 0, 0, 0 }, { "rendezvous_ns", 0, 0, 0 },
	{ "vma_ns", 0, 0, 0 }, { "pages_ns", 0, 0, 0 }, { "regions_ns", 0, 0, 0 },
	{ "files_ns", 0, 0, 0 }, { "flush_ns", 0, 0, 0 },
	{ "armed", 60, 10000, 60 }, { "logged", 80, 400, 80 }, { "copied", 50, 400, 50 },
	{ "skipped", 0, 400, 0 }, { "zeroed", 20, 400, 0 }, { "dropped", 0, 400, 20 },
	{ "recreated", 10, 400, 10 }, { "rearmed", 0, 400, 50 }, { "unmapped", 1, 100, 1 },
	{ "remapped", 1, 100, 1 }, { "faults_write", 0, 400, 50 }, { "faults_born", 0, 400, 28 },
	{ "reused", 0, 400, 0 }, { "blank", 0, 400, 0 }, { "verify_bad", 0, 0, 0 },
	{ "log_bytes", 60 * PAGE, 400 * PAGE, PAGE },
};

static void expect_count(const struct count *count, long value)
{
	long least = call_flags & RF_NO_REUSE ? count->least_armed_again : count->least;

	if (value < least || (count->most && value > count->most))
		fail("%s is %ld, not %ld to %ld", count->key, value, least, count->most);
	if (!strcmp(count->key, "verify_bad"))
		expect_eq(value, 0);
}

/* Each line a key and a number; no key is missing, none is new. */
static void expect_counts(void)
{
	FILE *file = fopen("/proc/self/rewind", "r");
	char line[128], key[64], end;
	size_t found = 0;
	long value;

	expect(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %ld%c", key, &value, &end) != 3 || end != '\n')
			fail("no key and number: %s", line);
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			if (strcmp(key, counts[i].key))
				continue;
			expect_count(&counts[i], value);
			found++;
		}
	}
	fclose(file);
	expect_eq(found, ARRAY_SIZE(counts));
}

/* The parts of a rewind are apart from each other, and inside of it. */
static void expect_parts_in_the_whole(void)
{
	static const char *const parts[] = {
		"rendezvous_ns", "vma_ns", "pages_ns", "flush_ns", "regions_ns", "files_ns",
	};
	long sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		sum += rewind_counter(parts[i]);
	if (sum > rewind_counter("rewind_ns"))
		fail("parts of %ld ns in a rewind of %ld", sum, rewind_counter("rewind_ns"));
}

/* What lies beside it cannot become part of the same mapping. */
static char *anon_apart(size_t pages, int fill)
{
	char *start = anon(pages + 1, fill);

	expect(mprotect(start + pages * PAGE, PAGE, PROT_NONE) == 0);
	return start;
}

/* The counters are what a measurement reads: they must be there, and count. */
static void counters(long unused, long unused2)
{
	char *pages = anon_apart(50, 'c'), *born = anon_apart(20, 0), *gone = anon_apart(10, 'g');
	long gen = checkpoint();

	if (gen == 2) {
		expect_counts();
		expect_parts_in_the_whole();
		return;
	}
	memset(pages, 'T', 50 * PAGE);
	memset(born, 'T', 20 * PAGE);
	munmap(gone, 10 * PAGE);
	memset(anon(8, 0), 'T', 8 * PAGE);
	rewind_now();
}

/* The published launcher: 550 in a helper child, 548 once, 549 before each further request. */
static void published_protocol(long argument, long unused)
{
	char *page = anon(4, 'p');
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(sys_rewindable() ? 1 : 0);
	waitpid(pid, &status, 0);
	expect_eq(status, 0);
	pid = fork();
	if (pid == 0) {
		/* One call site in a loop, as a Python loop compiles to. */
		for (long request = 0; request < 10; request++) {
			long number = request == 0 ? 0 : request == 1 ? NR_CHECKPOINT : NR_REWIND;
			long gen = number ? raw_syscall(number, argument, 0, 0) : 0;

			if (gen < 0)
				_exit(1);
			if (gen == 8)
				_exit(0);
			if (request > 1 && gen == 0)
				_exit(2);
			if (request && page[0] != 'p')
				_exit(3);
			if (request)
				page[0] = 'T';
		}
		_exit(4);
	}
	waitpid(pid, &status, 0);
	expect_eq(status, 0);
}

/* Rewinds twice, then is in the middle of a request. */
static void be_in_a_request(size_t pages)
{
	char *memory = anon(pages, 'm');
	long gen = sys_checkpoint(call_flags);

	expect(gen >= 0);
	expect_filled(memory, pages, 'm');
	memset(memory, 'T', pages / 2 * PAGE);
	munmap(memory + pages / 4 * PAGE, PAGE);
	memset(anon(pages / 4, 0), 'T', pages / 4 * PAGE);
	if (gen < 2)
		rewind_now();
}

static void dump_core(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	expect(setrlimit(RLIMIT_CORE, &all) == 0);
	be_in_a_request(256);
	raise(SIGSEGV);
}

/* In the middle of a request, with pages that are armed, written, gone and born. */
static void core_dumps(long rounds, long unused)
{
	static const char pattern[] = "/proc/sys/kernel/core_pattern", file[] = "/tmp/core";
	struct stat core;
	int status;

	expect_eq(write_text(pattern, file), 0);
	for (long i = 0; i < rounds; i++) {
		pid_t pid = fork();

		unlink(file);
		if (pid == 0)
			dump_core();
		expect(waitpid(pid, &status, 0) == pid);
		expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && WCOREDUMP(status));
		expect(stat(file, &core) == 0 && core.st_size > 256 * (long)PAGE);
	}
	unlink(file);
	expect_eq(write_text(pattern, "core"), 0);
}

/* A child that sleeps for good; returns when it has come to the end of @life. */
static pid_t start_child(void (*life)(void))
{
	int ready[2];
	pid_t pid;

	expect(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		life();
		tell(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	hear(ready[0]);
	close(ready[0]);
	return pid;
}

static void be_in_a_large_request(void) { be_in_a_request(1024); }

/* Another frees the memory of a process that was killed, while that is on its way out. */
static long release_once(long delay_us)
{
	pid_t pid = start_child(be_in_a_large_request);
	long released;
	int fd;

	fd = syscall(SYS_pidfd_open, pid, 0);
	expect(fd >= 0 && kill(pid, SIGKILL) == 0);
	usleep(delay_us);
	released = syscall(448 /* process_mrelease */, fd, 0);
	expect(released == 0 || errno == ESRCH || errno == EAGAIN);
	close(fd);
	expect(waitpid(pid, NULL, 0) == pid);
	return released == 0;
}

static long state_of(pid_t pid, const char *key)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/rewind", pid);
	return number_in(path, key);
}

static void be_in_a_first_request(void)
{
	char *pages = anon(1024, 'm');

	expect_eq(sys_checkpoint(call_flags), 0);
	memset(pages, 'T', 512 * PAGE);
}

/* Memory that is taken from a process on its way out is there at once, and in no log. */
static void released_for_good(long unused, long unused2)
{
	pid_t pid = start_child(be_in_a_first_request);
	int status, fd;
	long before;

	fd = syscall(SYS_pidfd_open, pid, 0);
	expect(fd >= 0 && ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT) == 0);
	expect(kill(pid, SIGKILL) == 0);
	expect(waitpid(pid, &status, 0) == pid && status >> 16 == PTRACE_EVENT_EXIT);
	before = state_of(pid, "log_bytes");
	expect(before >= 512 * (long)PAGE);
	expect_eq(syscall(448 /* process_mrelease */, fd, 0), 0);
	expect_eq(state_of(pid, "log_bytes"), before);
	expect(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
	expect(waitpid(pid, &status, 0) == pid);
}

enum { LARGE = 8 };	/* huge pages */

static void be_large(void)
{
	huge_pages(LARGE, 0);
	expect_eq(sys_checkpoint(call_flags), 0);
}

static long allocated(void)
{
	static const char *const zones[] = { "pgalloc_dma", "pgalloc_dma32", "pgalloc_normal", "pgalloc_movable" };
	long pages = 0;

	for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
		if (vmstat(zones[i]) > 0)
			pages += vmstat(zones[i]);
	return pages;
}

/* A page of the snapshot that is part of a large one is saved by copying, but not at the end. */
static void nothing_saved_at_the_end(long unused, long unused2)
{
	pid_t pid = start_child(be_large);
	long before = allocated(), pages;

	expect(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	pages = allocated() - before;
	diag("  %ld pages were allocated meanwhile", pages);
	if (pages > LARGE * (long)(HUGE / PAGE) / 4)
		fail("%ld pages were allocated for the end of a process", pages);
}

static long released;

static void release_later_and_later(long number)
{
	released += release_once(number % 2 ? number * 20 : 0);
}

static void released_by_another(long rounds, long unused)
{
	/* Most are gone before: as often as it takes to come in time once. */
	for (int series = 0; !released && series < 40; series++)
		expect_lives_keep_nothing(rounds, release_later_and_later);
	diag("  %ld released in time", released);
	expect(released > 0);
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "every way to end", ends, 256, 0, 0, 60 },
		{ "1000 ways to end", ends, 1000, 0, SLOW, 600 },
		{ "200 generations", generations, 200, 0, 0, 60 },
		{ "2000 generations", generations, 2000, 0, SLOW, 600 },
		{ "100 processes at once", many_at_once, 100, 0, 0, 60 },
		{ "a file cut short", truncated, 0, 0, 0, 0 },
		{ "a file cut short by another", truncated, 1, 0, 0, 0 },
		{ "a file cut short all the time", truncated_all_the_time, 0, 0, 0, 60 },
		{ "a file reset in between", file_reset_in_between, 0, 0, 0, 0 },
		{ "swapoff with images in swap", swap_off, IMAGES, 0, 0, 60 },
		{ "swapoff with what a request wrote", swap_off, WRITTEN, 0, 0, 60 },
		{ "swapoff with what a request read back", swap_off, READ_BACK, 0, 0, 60 },
		{ "accounting over 100 generations", accounting, 100, 0, 0, 60 },
		{ "limits too small for the restore", tiny_limits, 0, 0, 0, 0 },
		{ "freed lazily before the checkpoint", freed_lazily, 0, 0, 0, 0 },
		{ "left alone for 300 generations", left_alone, 300, 0, 0, 60 },
		{ "a whole page table moved", whole_table_moved, 0, 0, 0, 60 },
		{ "a huge page of zeroes moved", zeroes_moved, 0, 0, 0, 0 },
		{ "pages given back in a full group", full_group, 0, 0, 0, 60 },
		{ "pages moved in a full group", full_group, 1, 0, 0, 60 },
		{ "a page that could not be saved", page_lost, 0, 0, 0, 60 },
		{ "core dumps", core_dumps, 10, 0, 0, 60 },
		{ "memory released for good", released_for_good, 0, 0, 0, 0 },
		{ "nothing is saved at the end", nothing_saved_at_the_end, 0, 0, 0, 0 },
		{ "memory released by another at the end", released_by_another, 24, 0, 0, 60 },
		{ "the log is charged", log_is_charged, 0, 0, 0, 0 },
		{ "the log is counted for the OOM killer", log_is_counted, 0, 0, 0, 60 },
		{ "counters", counters, 0, 0, 0, 0 },
		{ "the published protocol, argument 1", published_protocol, 1, 0, 0, 0 },
		{ "the published protocol, argument 2", published_protocol, 2, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
