// SPDX-License-Identifier: GPL-2.0
/*
 * Changes to the address space. The portrait compares /proc/<pid>/maps, the flags of
 * each mapping and all content, so a case is one mutation; generation g uses it g + 1
 * times, and the last case mixes all of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA		0x53564d41
#define PR_SET_VMA_ANON_NAME	0
#endif
#define NR_MSEAL	462
#define NR_MLOCK2	325

#define A_PAGES	64
#define B_PAGES	32
#define FAR	((char *)0x700040000000)

static char *a, *b, *c, *empty;	/* written anonymous, file, read-only, never touched */
static char *heap;
static unsigned long state;

static unsigned long pick(unsigned long below)
{
	return random_step(&state) % below;
}

static void write_to(char *start, unsigned long pages)
{
	for (int i = 0; i < 6; i++)
		start[pick(pages) * PAGE + pick(PAGE)] = 'T';
}

/* ---- mutations: none may fail the test by itself, earlier ones may have unmapped --- */

static void unmap_all(void)
{
	munmap(a, A_PAGES * PAGE);
}

static void unmap_middle(void)
{
	munmap(a + pick(A_PAGES - 8) * PAGE, (1 + pick(8)) * PAGE);
}

static void unmap_file(void)
{
	munmap(b, B_PAGES * PAGE);
	munmap(c, PAGE);
}

static void map_new(void)
{
	char *at = mmap(NULL, (1 + pick(100)) * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at != MAP_FAILED)
		at[5] = 'T';
}

static void map_over(void)
{
	char *at = a + pick(A_PAGES - 8) * PAGE;

	if (mmap(at, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at)
		write_to(at, 8);
}

static void map_file_over(void)
{
	int fd = open_bytes(8 * PAGE, 'o');
	char *at = a + pick(A_PAGES - 8) * PAGE;

	if (mmap(at, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == at)
		write_to(at, 8);
}

static void map_neighbours(void)
{
	mmap(a + A_PAGES * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	mmap(a - 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	a[A_PAGES * PAGE] = 'T';
	a[-1] = 'T';
}

static void map_shared(void)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at != MAP_FAILED)
		memset(at, 'T', 4 * PAGE);
}

static void protect_none(void)
{
	mprotect(a + pick(A_PAGES - 8) * PAGE, (1 + pick(8)) * PAGE, PROT_NONE);
}

static void protect_and_back(void)
{
	char *at = a + pick(A_PAGES - 8) * PAGE;

	mprotect(at, 8 * PAGE, PROT_READ);
	if (!mprotect(at, 8 * PAGE, PROT_READ | PROT_WRITE))
		write_to(at, 8);
}

static void unprotect_read_only(void)
{
	if (!mprotect(c, 4 * PAGE, PROT_READ | PROT_WRITE))
		write_to(c, 4);
}

static void make_executable(void)
{
	mprotect(a + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void move_away(void)
{
	char *at = mremap(a + 16 * PAGE, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, FAR);

	if (at != MAP_FAILED)
		write_to(at, 8);
}

static void move_away_and_back(void)
{
	if (mremap(a + 24 * PAGE, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, FAR) == MAP_FAILED)
		return;
	write_to(FAR, 8);
	if (mremap(FAR, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a + 24 * PAGE) != MAP_FAILED)
		write_to(a + 24 * PAGE, 8);
}

/* Two ranges of one mapping change places, so every page sits at another's address. */
static void exchange_ranges(void)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	if (mremap(a, 8 * PAGE, 8 * PAGE, flags, FAR) == MAP_FAILED)
		return;
	mremap(a + 8 * PAGE, 8 * PAGE, 8 * PAGE, flags, a);
	mremap(FAR, 8 * PAGE, 8 * PAGE, flags, a + 8 * PAGE);
}

static void move_without_unmapping(void)
{
	char *at = mremap(a + 32 * PAGE, 8 * PAGE, 8 * PAGE,
			  MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, FAR);

	if (at != MAP_FAILED) {
		write_to(at, 8);
		write_to(a + 32 * PAGE, 8);
	}
}

static void grow(void)
{
	char *at = mremap(empty, 16 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);

	if (at != MAP_FAILED)
		write_to(at, 64);
}

static void shrink(void)
{
	mremap(b, B_PAGES * PAGE, 4 * PAGE, 0);
}

static void heap_up(void)
{
	char *at = sbrk((1 + pick(50)) * PAGE + pick(PAGE));

	if (at != (char *)-1)
		at[0] = 'T';
}

static void heap_down(void)
{
	char *end = sbrk(-(long)((1 + pick(8)) * PAGE));

	(void)end;
}

static void heap_down_and_up(void)
{
	heap_down();
	heap_up();
}

static void dont_need(void)
{
	char *at = a + pick(A_PAGES - 8) * PAGE;

	madvise(at, 8 * PAGE, MADV_DONTNEED);
	madvise(b, 8 * PAGE, MADV_DONTNEED);
}

static void dont_need_then_write(void)
{
	char *at = a + 40 * PAGE;

	if (!madvise(at, 8 * PAGE, MADV_DONTNEED))
		write_to(at, 8);
}

static void mark_free(void)
{
	char *at = a + 48 * PAGE;

	if (!madvise(at, 8 * PAGE, MADV_FREE) && pick(2))
		write_to(at, 8);
	write_text("/proc/sys/vm/drop_caches", "3");
}

static void advise(void)
{
	static const int kinds[] = { MADV_SEQUENTIAL, MADV_DONTFORK, MADV_DONTDUMP, MADV_WIPEONFORK,
				     MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		madvise(a + 8 * i * PAGE, 4 * PAGE, kinds[i]);
}

static void populate(void)
{
	madvise(empty, 16 * PAGE, pick(2) ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	madvise(b, B_PAGES * PAGE, MADV_POPULATE_WRITE);
}

static void lock_pages(void)
{
	mlock(a, 8 * PAGE);
	syscall(NR_MLOCK2, empty, 8 * PAGE, 1 /* MLOCK_ONFAULT */);
	write_to(empty, 8);
}

static void name_area(void)
{
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, a, 8 * PAGE, "renamed");
}

/* A seal would forbid the unmapping that the rewind needs. */
static void seal_new(void)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at[0] = 'T';
	syscall(NR_MSEAL, at, 4 * PAGE, 0);
}

static void deep_stack(void)
{
	volatile char frame[64 * 1024];

	memset((void *)frame, 'T', sizeof(frame));
}

static void write_only(void)
{
	write_to(a, A_PAGES);
	write_to(heap, 30);
	write_to(empty, 16);
}

static void map_growsdown(void)
{
	char *at = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *low = mmap(at + 60 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);

	if (low != MAP_FAILED)
		low[0] = 'T';
}

#define MANY	300
static void many_mappings(void)
{
	for (int i = 0; i < MANY; i++) {
		char *at = mmap(FAR + (16 + 2 * i) * PAGE, PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		if (at != MAP_FAILED)
			at[0] = 'T';
	}
}

#define MUTATION(name) { #name, name }
static const struct { const char *name; void (*change)(void); } mutations[] = {
	MUTATION(unmap_all), MUTATION(unmap_middle), MUTATION(unmap_file), MUTATION(map_new),
	MUTATION(map_over), MUTATION(map_file_over), MUTATION(map_neighbours), MUTATION(map_shared),
	MUTATION(protect_none), MUTATION(protect_and_back), MUTATION(unprotect_read_only),
	MUTATION(make_executable), MUTATION(move_away), MUTATION(move_away_and_back),
	MUTATION(exchange_ranges), MUTATION(move_without_unmapping), MUTATION(grow), MUTATION(shrink),
	MUTATION(heap_up), MUTATION(heap_down), MUTATION(heap_down_and_up), MUTATION(dont_need),
	MUTATION(dont_need_then_write), MUTATION(mark_free), MUTATION(advise), MUTATION(populate),
	MUTATION(lock_pages), MUTATION(name_area), MUTATION(seal_new), MUTATION(deep_stack),
	MUTATION(write_only), MUTATION(map_growsdown), MUTATION(many_mappings),
};

static void prepare(void)
{
	a = mmap((char *)0x700000000000, A_PAGES * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 0; i < A_PAGES; i += 2)
		memset(a + i * PAGE, i + 1, PAGE);
	b = file_private(B_PAGES, 'b');
	for (int i = 0; i < B_PAGES; i += 4)
		b[i * PAGE] = 'B';
	c = anon(4, 'c');
	mprotect(c, 4 * PAGE, PROT_READ);
	empty = anon(16, 0);
	heap = sbrk(0);
	sbrk(40 * PAGE);
	memset(heap, 'h', 40 * PAGE);
}

static void one(long which, long unused)
{
	long gen;

	prepare();
	gen = checkpoint();
	if (gen == GENERATIONS)
		return;
	state = run_seed * 1000 + gen;
	for (long i = 0; i <= gen; i++)
		mutations[which].change();
	rewind_now();
}

/*
 * A store into what an earlier mutation took away is a fault, and how such a generation
 * ends is as good an end as any: the handler rewinds.
 */
#include <signal.h>

static void rewind_from_handler(int signal)
{
	rewind_now();
}

static void mixed(long generations, long unused)
{
	long gen;

	prepare();
	signal(SIGSEGV, rewind_from_handler);
	signal(SIGBUS, rewind_from_handler);
	gen = checkpoint();
	if (gen == generations)
		return;
	state = run_seed * 1000 + gen;
	for (unsigned long i = 0, n = 1 + pick(6); i < n; i++)
		mutations[pick(ARRAY_SIZE(mutations))].change();
	rewind_now();
}

/* At the limit of mappings there is no room to make one more before one is gone. */
static void at_map_count_limit(long unused, long unused2)
{
	long limit = read_long("/proc/sys/vm/max_map_count"), gen, made = 0;

	prepare();
	gen = checkpoint();
	if (gen == 2)
		return;
	unmap_middle();
	while (made < limit && mmap(NULL, PAGE, made & 1 ? PROT_READ : PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		made++;
	rewind_now();
}

/* A mapping of that many pages which cannot become part of another. */
static char *anon_alone(size_t pages, int fill)
{
	char *start = anon(pages + 2, fill);

	expect(mprotect(start, PAGE, PROT_NONE) == 0);
	expect(mprotect(start + (1 + pages) * PAGE, PAGE, PROT_NONE) == 0);
	return start + PAGE;
}

static long name(char *start, size_t pages, const char *name)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, start, pages * PAGE, name);
}

/* A name that is all that has changed, or that a mapping made again has to be given. */
static void names(long unused, long unused2)
{
	char *named = anon_alone(8, 'n'), *nameless = anon_alone(8, 'o');
	long gen;

	if (name(named, 8, "mine"))
		skip("no names");
	gen = checkpoint();
	expect_filled(named, 8, 'n');
	expect_filled(nameless, 8, 'o');
	if (gen == GENERATIONS)
		return;
	expect(name(nameless, 8, "token") == 0);
	if (gen & 1)
		expect(name(named, 8, gen & 2 ? "token" : NULL) == 0);
	else
		expect(munmap(named, 8 * PAGE) == 0);
	rewind_now();
}

#define MAPPINGS_LIMIT	"/proc/sys/vm/max_map_count"
#define CROWD		200	/* mappings: more than the supervisor has */

static char *gap_with_neighbours(char *at)
{
	const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, rights = PROT_READ | PROT_WRITE;

	expect(mmap(at, 4 * PAGE, rights, how, -1, 0) == at);
	expect(mmap(at + 8 * PAGE, 4 * PAGE, rights, how, -1, 0) == at + 8 * PAGE);
	return at + 4 * PAGE;
}

/* To be put back, what a request made one has to be divided, at the limit: that is no request. */
static void divided_at_the_limit(long unused, long unused2)
{
	char *two = FAR + (1UL << 32), *gap = gap_with_neighbours(two + 64 * PAGE), usual[32], now[32];
	const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	long gen, error;

	expect(mmap(two, 8 * PAGE, PROT_READ | PROT_WRITE, how, -1, 0) == two);
	memset(two, 'a', 8 * PAGE);
	expect(mprotect(two + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
	for (int i = 0; i < CROWD; i++)
		expect(mmap(two + (128 + 2 * i) * PAGE, PAGE, PROT_NONE, how, -1, 0) != MAP_FAILED);
	snprintf(usual, sizeof(usual), "%ld", read_long(MAPPINGS_LIMIT));
	gen = checkpoint();
	expect_eq(write_text(MAPPINGS_LIMIT, usual), 0);
	if (gen == GENERATIONS)
		return;
	expect(mprotect(two, 8 * PAGE, PROT_READ | PROT_WRITE) == 0);
	expect(mmap(gap, 4 * PAGE, PROT_READ | PROT_WRITE, how, -1, 0) == gap);
	snprintf(now, sizeof(now), "%d", CROWD);
	expect_eq(write_text(MAPPINGS_LIMIT, now), 0);
	error = sys_rewind(call_flags);
	write_text(MAPPINGS_LIMIT, usual);
	fail("rewind: %ld", error);
}

#define OVERCOMMIT	"/proc/sys/vm/overcommit_"
#define MUCH		(600UL << 20)	/* bytes: more than there is swap */

/* As a machine that promises no more than it has, and no memory to promise. */
static void promise(int nothing)
{
	if (nothing)
		expect_eq(write_text(OVERCOMMIT "kbytes", "1"), 0);
	else
		expect_eq(write_text(OVERCOMMIT "ratio", "50"), 0);
	expect_eq(write_text(OVERCOMMIT "memory", nothing ? "2" : "0"), 0);
}

/* What a request gave up of promised memory others have by now: a refusal, and nothing changed. */
static void not_to_be_had(long unmapping, long unused)
{
	char *much = mmap(NULL, MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *page = anon(1, 'a');
	unsigned char there;
	long gen, error;

	expect(much != MAP_FAILED);
	gen = checkpoint_plain();
	error = read_long(OVERCOMMIT "memory");
	promise(0);
	expect_eq(error, 0);
	expect_filled(page, 1, 'a');
	if (gen == GENERATIONS)
		return;
	page[5] = 'T';
	if (unmapping)
		expect(munmap(much, MUCH) == 0);
	else	/* Memory that was never written to and cannot be is not accounted for. */
		expect(mprotect(much, MUCH, PROT_READ) == 0);
	promise(1);
	error = sys_rewind(call_flags);
	promise(0);
	expect_eq(error, -ENOMEM);
	expect_eq(page[5], 'T');
	expect_eq(mincore(much, PAGE, &there), unmapping ? -1 : 0);
	rewind_now();
}

/* Next to each other and alike, but each with pages of its own: they never become one. */
static void neighbours(long unreserved, long unused)
{
	char *first = FAR + (1UL << 32), *second = first + 4 * PAGE, *third = second + 4 * PAGE;
	const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | unreserved;
	const int rights = PROT_READ | PROT_WRITE;
	long gen;

	expect(mmap(first, 4 * PAGE, rights, how, -1, 0) == first);
	expect(mmap(third, 4 * PAGE, rights, how, -1, 0) == third);
	memset(first, 'a', 4 * PAGE);
	memset(third, 'c', 4 * PAGE);
	expect(mmap(second, 4 * PAGE, rights, how, -1, 0) == second);
	gen = checkpoint();
	expect_filled(third, 4, 'c');
	if (gen == GENERATIONS)
		return;
	munmap(gen & 1 ? first : third, 4 * PAGE);
	rewind_now();
}

static long policy_at(void *address)
{
	int mode = -1;

	syscall(SYS_get_mempolicy, &mode, NULL, 0, address, 2);	/* MPOL_F_ADDR */
	return mode;
}

static long bind(char *start, unsigned long pages, int mode)
{
	unsigned long node = 1;
	int with_node = mode == 2;	/* MPOL_BIND */

	return syscall(SYS_mbind, start, pages * PAGE, mode, with_node ? &node : NULL, with_node ? 2 : 0, 0);
}

/* As OpenBLAS does with its buffers, before the checkpoint and in a request. */
static void memory_policies(long unused, long unused2)
{
	char *with = anon(16, 'a'), *without = anon(16, 'b'), *alone = anon_alone(16, 'c');
	long gen, local;

	if (bind(with, 16, 1))		/* MPOL_PREFERRED, no node: local */
		skip("no memory policies");
	local = policy_at(with);
	gen = checkpoint();
	expect_filled(with, 16, 'a');
	expect_filled(without, 16, 'b');
	for (int i = 0; i < 16; i++) {
		expect_eq(policy_at(with + i * PAGE), local);
		expect_eq(policy_at(without + i * PAGE), 0);
		expect_eq(policy_at(alone + i * PAGE), 0);
	}
	if (gen == GENERATIONS)
		return;
	memset(with, 'T', 16 * PAGE);
	memset(without, 'T', 4 * PAGE);
	expect_eq(bind(with + (4 + gen) * PAGE, 4, 0), 0);
	expect_eq(bind(without + gen * PAGE, 8, 2), 0);
	/* Nothing but its policy tells this one from what it was. */
	expect_eq(bind(alone, 16, 2), 0);
	if (gen == 1)
		munmap(with, 16 * PAGE);
	rewind_now();
}

int main(int argc, char **argv)
{
	static struct testcase cases[ARRAY_SIZE(mutations) + 10];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(mutations); i++)
		cases[count++] = (struct testcase){ mutations[i].name, one, i, 0, 0, 0 };
	cases[count++] = (struct testcase){ "memory policies", memory_policies, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "mixed", mixed, 30, 0, 0, 60 };
	cases[count++] = (struct testcase){ "mixed for long", mixed, 2000, 0, SLOW, 1200 };
	cases[count++] = (struct testcase){ "neighbours that are not one", neighbours, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "such neighbours, not accounted for", neighbours, MAP_NORESERVE, 0, 0, 0 };
	cases[count++] = (struct testcase){ "names", names, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "divided at the limit of mappings", divided_at_the_limit, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "unmapped, and no memory to be had", not_to_be_had, 1, 0, 0, 0 };
	cases[count++] = (struct testcase){ "read-only, and no memory to be had", not_to_be_had, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "at the limit of mappings", at_map_count_limit, 0, 0, SLOW, 300 };
	return run_cases(argc, argv, cases, count);
}
