// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that a request maps and the next one maps again. The kernel gets blank pages ready
 * for it: they must be blank whatever the last request wrote, belong to nobody else, cost
 * one fault a page table, and go away when they are not wanted or memory is short.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define R_PAGES		300L
/* A table's border (2 MB) lies inside. */
#define REGION		((char *)0x710000000000 + (2UL << 20) - 100 * PAGE)
#define ELSEWHERE	((char *)0x720000000000)
#define RW		(PROT_READ | PROT_WRITE)

static char *map_at(char *where, long pages, int rights)
{
	char *at = mmap(where, pages * PAGE, rights,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at != where)
		fail("mmap: %s", strerror(errno));
	return at;
}

static int keeps(void)
{
	return !(call_flags & RF_NO_REGION_REUSE);
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

enum { LEAVE, UNMAP, UNMAP_PART, MOVE, FREE_AND_MAP };

static void end_of(int how)
{
	switch (how) {
	case UNMAP:
		munmap(REGION, R_PAGES * PAGE);
		break;
	case UNMAP_PART:
		munmap(REGION + 50 * PAGE, 100 * PAGE);
		break;
	case MOVE:
		mremap(REGION, R_PAGES * PAGE, R_PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, ELSEWHERE);
		break;
	case FREE_AND_MAP:
		munmap(REGION, R_PAGES * PAGE);
		expect_filled(map_at(REGION, R_PAGES, RW), R_PAGES, 0);
		memset(REGION, 'U', R_PAGES * PAGE);
		break;
	}
}

/* Each request finds zeroes and leaves T; the kernel's count tells that pages were reused. */
static void comes_again(long how, long unused)
{
	long gen = checkpoint();

	if (gen >= 2)
		expect(keeps() ? rewind_counter("reused") >= R_PAGES : !rewind_counter("reused"));
	if (gen == GENERATIONS)
		return;
	map_at(REGION, R_PAGES, RW);
	expect_filled(REGION, R_PAGES, 0);
	memset(REGION, 'T', R_PAGES * PAGE);
	end_of(how);
	rewind_now();
}

/* What was not even read before the first store. */
static void written_at_once(long unused, long unused2)
{
	long gen = checkpoint();
	long before;

	if (gen == GENERATIONS)
		return;
	map_at(REGION, R_PAGES, RW);
	before = minor_faults();
	for (long i = 0; i < R_PAGES; i++)
		REGION[i * PAGE + 7] = 'T';
	if (gen && keeps() && minor_faults() - before > 8)
		fail("%ld faults for %ld pages", minor_faults() - before, R_PAGES);
	for (long i = 0; i < R_PAGES; i++) {
		REGION[i * PAGE + 7] = 0;
		expect_filled(REGION + i * PAGE, 1, 0);
	}
	memset(REGION, 'T', R_PAGES * PAGE);
	rewind_now();
}

static void heap_comes_again(long unused, long unused2)
{
	long gen = checkpoint();
	char *heap;

	if (gen == GENERATIONS) {
		expect(!keeps() || rewind_counter("reused") >= R_PAGES);
		return;
	}
	heap = sbrk(R_PAGES * PAGE);
	expect_filled(heap, R_PAGES, 0);
	memset(heap, 'T', R_PAGES * PAGE);
	rewind_now();
}

/* An arena: reserved first, made accessible bit by bit, each time up to another place. */
static void arena(long unused, long unused2)
{
	long gen = checkpoint(), pages;

	if (gen == 6)
		return;
	pages = gen % 2 ? 50 : 250;
	map_at(REGION, R_PAGES, PROT_NONE);
	expect_eq(mprotect(REGION, pages * PAGE, RW), 0);
	for (long i = 0; i < pages; i++)
		REGION[i * PAGE] = 'T';
	expect_eq(mprotect(REGION + pages * PAGE, (R_PAGES - pages) * PAGE, PROT_READ), 0);
	expect_filled(REGION + pages * PAGE, R_PAGES - pages, 0);
	rewind_now();
}

/* Something else comes to the same addresses. */
static void other_mapping(long flags, long with_file)
{
	long gen = checkpoint();
	int fd = -1;

	if (gen == GENERATIONS)
		return;
	if (gen == 2) {
		if (with_file)
			fd = open_bytes(R_PAGES * PAGE, 'f');
		expect(mmap(REGION, R_PAGES * PAGE, RW, flags | MAP_FIXED_NOREPLACE, fd, 0) == REGION);
		REGION[0] = with_file ? 'f' : 0;
		expect_filled(REGION, R_PAGES, with_file ? 'f' : 0);
	} else {
		map_at(REGION, R_PAGES, RW);
	}
	memset(REGION, 'T', R_PAGES * PAGE);
	rewind_now();
}

/* Pages that were put in and not written to are not made again. */
static void only_what_is_needed(long unused, long unused2)
{
	long gen = checkpoint();

	if (gen == 3) {
		expect(rewind_counter("blank") < 30);
		return;
	}
	map_at(REGION, 90, RW);	/* below one table */
	for (long i = 0; i < (gen ? 3 : 90); i++)
		REGION[i * PAGE] = 'T';
	rewind_now();
}

static void not_used_any_more(long unused, long unused2)
{
	long gen = checkpoint_plain();

	if (gen == 1 && keeps())
		expect(rewind_counter("blank") >= R_PAGES);
	if (gen == 14) {
		expect(rewind_counter("blank") < 30);
		return;
	}
	if (!gen)
		memset(map_at(REGION, R_PAGES, RW), 'T', R_PAGES * PAGE);
	rewind_now();
}

static void ends_with_the_checkpoint(long unused, long unused2)
{
	if (checkpoint_plain() < 2) {
		memset(map_at(REGION, R_PAGES, RW), 'T', R_PAGES * PAGE);
		rewind_now();
	}
	expect(!keeps() || rewind_counter("blank") >= R_PAGES);
	expect_eq(sys_checkpoint(call_flags), 0);
	expect_eq(rewind_counter("blank"), 0);
}

static void limit_of_pages(long unused, long unused2)
{
	long gen = checkpoint_plain();

	expect(rewind_counter("blank") <= 100);
	if (gen == 3) {
		write_text("/proc/sys/vm/rewind_region_pages", "8192");
		return;
	}
	expect_eq(write_text("/proc/sys/vm/rewind_region_pages", "100"), 0);
	memset(map_at(REGION, R_PAGES, RW), 'T', R_PAGES * PAGE);
	rewind_now();
}

#define THREADS	4

static void *fault_in(void *which)
{
	for (long i = 0; i < R_PAGES; i++) {
		char *at = REGION + i * PAGE + (long)which * 64;

		if (at[0] || at[63])
			return "not zero";
		memset(at, 'a' + (long)which, 64);
	}
	return NULL;
}

/* All store to all pages, each to bytes of its own: none is lost. */
static void threads_at_once(long unused, long unused2)
{
	pthread_t threads[THREADS];
	void *result;
	long gen = checkpoint();

	if (gen == 10)
		return;
	map_at(REGION, R_PAGES, RW);
	for (long t = 0; t < THREADS; t++)
		expect_eq(pthread_create(&threads[t], NULL, fault_in, (void *)t), 0);
	for (long t = 0; t < THREADS; t++) {
		pthread_join(threads[t], &result);
		if (result)
			fail("thread %ld: %s", t, (char *)result);
	}
	for (long i = 0; i < R_PAGES; i++)
		for (long t = 0; t < THREADS; t++)
			for (long b = 0; b < 64; b++)
				expect_eq(REGION[i * PAGE + t * 64 + b], 'a' + t);
	rewind_now();
}

static void child_has_its_own(long unused, long unused2)
{
	long gen = checkpoint();
	int status;
	pid_t pid;

	if (gen == GENERATIONS)
		return;
	map_at(REGION, R_PAGES, RW);
	REGION[0] = 'p';
	pid = fork();
	if (pid == 0) {
		memset(REGION + PAGE, 'T', (R_PAGES - 1) * PAGE);
		_exit(REGION[0] == 'p' ? 0 : 1);
	}
	expect(waitpid(pid, &status, 0) == pid && !status);
	expect_filled(REGION + PAGE, R_PAGES - 1, 0);
	memset(REGION, 'T', R_PAGES * PAGE);
	rewind_now();
}

#define MANY	3000L		/* 12 MB */
#define MORE	4000L

/* Removed, but still referred to. */
static long dying_groups(void)
{
	FILE *file = fopen("/cgroup/cgroup.stat", "r");
	long value, found = -1;
	char key[64];

	while (file && fscanf(file, "%63s %ld", key, &value) == 2)
		if (!strcmp(key, "nr_dying_descendants"))
			found = value;
	if (file)
		fclose(file);
	return found;
}

/* Blanks fill half of a memory cgroup; a request that needs it for something else gets it. */
static void short_of_memory(const char *name)
{
	char path[64];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		long gen;

		enter_group(name, "memory.max", "25165824");
		snprintf(path, sizeof(path), "/cgroup/%s/memory.swap.max", name);
		write_text(path, "0");
		gen = sys_checkpoint(call_flags);
		if (gen < 0 || gen == 4)
			_exit(gen == 4 ? 0 : 4);
		if (gen == 1 && keeps() && rewind_counter("blank") < MANY)
			_exit(5);
		if (gen % 2)
			memset(map_at(ELSEWHERE, MORE, RW), 'T', MORE * PAGE);
		else
			memset(map_at(REGION, MANY, RW), 'T', MANY * PAGE);
		sys_rewind(call_flags);
		_exit(6);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CASE_SKIP)
		skip("no memory cgroup");
	expect_eq(status, 0);
	snprintf(path, sizeof(path), "/cgroup/%s", name);
	expect(rmdir(path) == 0);
}

/*
 * And the groups are gone with their processes, but for one on each processor, which keeps
 * some of the last group's memory at hand until it needs another's.
 */
static void memory_is_short(long unused, long unused2)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	char name[32];

	for (long i = 0; i < processors + 2; i++) {
		snprintf(name, sizeof(name), "regions-%ld", i);
		short_of_memory(name);
	}
	for (int wait = 0; wait < 500 && dying_groups() > processors; wait++)
		usleep(10000);
	diag("  %ld groups stay", dying_groups());
	expect(dying_groups() <= processors);
}

static long reclaimable(void)
{
	usage();	/* folds what the processors have counted */
	return vmstat("nr_kernel_misc_reclaimable");
}

/* A few more are for the stack. */
static int about(long pages, long due)
{
	return pages >= due && pages < due + 16;
}

static void use_twice(long before)
{
	long gen = sys_checkpoint(call_flags);

	if (gen == 3)
		_exit(0);
	if (gen < 0 || !about(reclaimable() - before, gen && keeps() ? MANY : 0))
		_exit(1);
	memset(map_at(REGION, MANY, RW), 'T', MANY * PAGE);
	if (!about(reclaimable() - before, 0))
		_exit(2);
	sys_rewind(call_flags);
	_exit(3);
}

/* What reclaim can take away is memory that others may have: MemAvailable has to say so. */
static void count_as_available(long unused, long unused2)
{
	long before = reclaimable();
	int status;
	pid_t pid = fork();

	if (pid == 0)
		use_twice(before);
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
	expect_eq(reclaimable(), before);
}

static void use_and_exit(void)
{
	long gen = sys_checkpoint(call_flags);

	if (gen < 0 || gen == 3)
		_exit(gen != 3);
	memset(map_at(REGION, R_PAGES, RW), 'T', R_PAGES * PAGE);
	sys_rewind(call_flags);
	_exit(2);
}

static void live_and_exit(long unused) { live_in_child(use_and_exit); }

static void nothing_is_kept(long processes, long unused)
{
	expect_lives_keep_nothing(processes, live_and_exit);
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "left mapped", comes_again, LEAVE, 0, 0, 0 },
		{ "unmapped", comes_again, UNMAP, 0, 0, 0 },
		{ "unmapped in part", comes_again, UNMAP_PART, 0, 0, 0 },
		{ "moved", comes_again, MOVE, 0, 0, 0 },
		{ "unmapped, mapped again in the same request", comes_again, FREE_AND_MAP, 0, 0, 0 },
		{ "written at once: one fault a table", written_at_once, 0, 0, 0, 0 },
		{ "heap", heap_comes_again, 0, 0, 0, 0 },
		{ "arena", arena, 0, 0, 0, 0 },
		{ "a private file in its place", other_mapping, MAP_PRIVATE, 1, 0, 0 },
		{ "a shared mapping in its place", other_mapping, MAP_SHARED | MAP_ANONYMOUS, 0, 0, 0 },
		{ "only what is needed", only_what_is_needed, 0, 0, 0, 0 },
		{ "not used any more", not_used_any_more, 0, 0, 0, 0 },
		{ "a checkpoint ends it", ends_with_the_checkpoint, 0, 0, 0, 0 },
		{ "limit of pages", limit_of_pages, 0, 0, 0, 0 },
		{ "threads fault at once", threads_at_once, 0, 0, 0, 60 },
		{ "a child has its own", child_has_its_own, 0, 0, 0, 0 },
		{ "memory is short", memory_is_short, 0, 0, 0, 60 },
		{ "count as available", count_as_available, 0, 0, 0, 60 },
		{ "nothing is kept", nothing_is_kept, 60, 0, 0, 60 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
