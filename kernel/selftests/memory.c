// SPDX-License-Identifier: GPL-2.0
/*
 * Every way to write to memory, on pages in every state.
 *
 * One region of 16 pages; in generation g, page i is written when bit g of i is set.
 * So each page has its own history of written and unwritten generations, and each
 * generation is checked against the snapshot. Nothing here forks: a fork breaks the
 * sharing and hides faults of the log.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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

#define PAGES		16
#define OFFSET		512UL		/* within the page; direct I/O wants it aligned */
#define LENGTH		512

static const char *region_kind;
static char *region;
static int self_mem = -1, token_file = -1, direct = -1;
static int fill;

static char token[LENGTH] __attribute__((aligned(LENGTH)));

/* ---- ways to write ---------------------------------------------------- */

static long by_store(char *at)
{
	memcpy(at, token, LENGTH);
	return LENGTH;
}

static long by_read(char *at)
{
	return pread(token_file, at, LENGTH, 0);
}

/* In each generation: a disk's descriptor may be a reason to refuse a checkpoint. */
static void open_disk(void)
{
	static const char *const disks[] = { "/dev/vdb", "/dev/ram1" };

	for (size_t i = 0; i < ARRAY_SIZE(disks) && direct < 0; i++)
		direct = open(disks[i], O_RDWR | O_DIRECT);
}

static long by_direct_read(char *at)
{
	open_disk();
	if (direct < 0 || pwrite(direct, token, LENGTH, 0) != LENGTH)
		skip("no disk for direct I/O: %s", strerror(errno));
	return pread(direct, at, LENGTH, 0);
}

static long by_own_vm_write(char *at)
{
	struct iovec local = { token, LENGTH }, remote = { at, LENGTH };

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
}

static long by_own_mem(char *at)
{
	return pwrite(self_mem, token, LENGTH, (off_t)at);
}

static long by_other_vm_write(char *at)
{
	return other_process_vm_write(at, token, 8);
}

static long by_other_mem(char *at)
{
	return other_mem_write(at, token, 8);
}

static long by_other_ptrace(char *at)
{
	return other_ptrace_poke(at, token, 8);
}

/* Not a way to write as such: over the rewind, the pipe holds a reference to the page. */
static long by_store_and_vmsplice(char *at)
{
	struct iovec part = { at, LENGTH };
	char back[64];

	memcpy(at, token, LENGTH);
	while (other_drain(back, sizeof(back)) > 0)
		;
	return vmsplice(PIPE_FD, &part, 1, 0);
}

struct way {
	const char *name;
	long (*write)(char *at);
	int forces;	/* also writes where the mapping is read-only */
};

static const struct way ways[] = {
	{ "store", by_store, 0 },
	{ "read(2)", by_read, 0 },
	{ "O_DIRECT", by_direct_read, 0 },
	{ "process_vm_writev on itself", by_own_vm_write, 0 },
	{ "/proc/self/mem", by_own_mem, 1 },
	{ "process_vm_writev by another", by_other_vm_write, 0 },
	{ "/proc/pid/mem by another", by_other_mem, 1 },
	{ "ptrace poke", by_other_ptrace, 1 },
	{ "store then vmsplice", by_store_and_vmsplice, 0 },
};

/* ---- page states ------------------------------------------------------ */

/* What the kernel says of the region's pages; frame numbers are shown to root only. */
static void look_up(uint64_t *entries)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	expect(pread(fd, entries, PAGES * 8, (unsigned long)region / PAGE * 8) == PAGES * 8);
	close(fd);
}

#define SWAPPED(entry)	((entry) >> 62 & 1)
#define PRESENT(entry)	((entry) >> 63 & 1)
#define MARKED(entry)	((entry) >> 57 & 1)
#define FRAME(entry)	((entry) & ((1UL << 55) - 1))

static long count_swapped(void)
{
	uint64_t entries[PAGES];
	long swapped = 0;

	look_up(entries);
	for (int i = 0; i < PAGES; i++)
		swapped += SWAPPED(entries[i]);
	return swapped;
}

static void prepare_filled(void)
{
	region = anon(PAGES, fill = 'a');
}

static void prepare_absent(void)
{
	region = anon(PAGES, fill = 0);
}

static void prepare_zero_page(void)
{
	volatile char sink;

	prepare_absent();
	for (int i = 0; i < PAGES; i++)
		sink = region[i * PAGE];
	(void)sink;
}

static void prepare_file(void)
{
	region = file_private(PAGES, fill = 'f');
}

static void prepare_file_read(void)
{
	volatile char sink;

	prepare_file();
	for (int i = 0; i < PAGES; i++)
		sink = region[i * PAGE];
	(void)sink;
}

static void prepare_read_only(void)
{
	prepare_filled();
	mprotect(region, PAGES * PAGE, PROT_READ);
}

static void prepare_swap(void)
{
	if (!has_swap())
		skip("no swap");
	prepare_filled();
	for (int i = 0; i < 100 && count_swapped() < PAGES; i++)
		madvise(region, PAGES * PAGE, MADV_PAGEOUT);
	expect_eq(count_swapped(), PAGES);
}

/* Neither the checkpoint nor anything else has brought them back. */
static void still_swapped(void)
{
	expect_eq(count_swapped(), PAGES);
}

static void prepare_huge(void)
{
	region = room_for_huge();
	if (madvise(region, HUGE, MADV_HUGEPAGE))
		skip("no huge pages");
	memset(region, fill = 'h', HUGE);
	if (!number_in("/proc/self/smaps_rollup", "AnonHugePages"))
		madvise(region, HUGE, MADV_COLLAPSE);
	expect_eq(number_in("/proc/self/smaps_rollup", "AnonHugePages"), HUGE / 1024);
}

#define LARGE	"/sys/kernel/mm/transparent_hugepage/hugepages-64kB/"

/* All of the region is one folio, mapped page by page. */
static void prepare_large(void)
{
	const size_t length = PAGES * PAGE;
	unsigned long at = (unsigned long)anon(2 * PAGES, 0);
	long allocated = read_long(LARGE "stats/anon_fault_alloc");

	region = (char *)((at + length - 1) & ~(length - 1));
	expect(length == 65536 && allocated >= 0);
	expect_eq(write_text(LARGE "enabled", "always"), 0);
	memset(region, fill = 'l', length);
	expect_eq(write_text(LARGE "enabled", "never"), 0);
	expect_eq(read_long(LARGE "stats/anon_fault_alloc"), allocated + 1);
}

#define COMPOUND	(3UL << 15)	/* head or tail */

/* Armed page by page, not taken apart. */
static void still_large(void)
{
	uint64_t entries[PAGES], flags;
	int fd = open("/proc/kpageflags", O_RDONLY);

	look_up(entries);
	expect(fd >= 0);
	for (int i = 0; i < PAGES; i++) {
		expect(PRESENT(entries[i]) && FRAME(entries[i]) == FRAME(entries[0]) + i);
		expect(pread(fd, &flags, 8, FRAME(entries[i]) * 8) == 8 && flags & COMPOUND);
	}
	close(fd);
}

static long merged(void)
{
	return read_long("/proc/self/ksm_merging_pages");
}

static void prepare_ksm(void)
{
	if (write_text("/sys/kernel/mm/ksm/run", "1"))
		skip("no KSM");
	write_text("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	write_text("/sys/kernel/mm/ksm/pages_to_scan", "10000");
	prepare_filled();
	if (madvise(region, PAGES * PAGE, MADV_MERGEABLE))
		skip("no KSM");
	for (int i = 0; i < 5000 && merged() < PAGES; i++)
		usleep(1000);
	expect_eq(merged(), PAGES);
}

static void still_merged(void)
{
	expect_eq(merged(), PAGES);
}

#define HOLES	8192
static char *holes;

/* Without a second memory node: memory full of holes, so that compaction has pages to move. */
static void prepare_migration(void)
{
	prepare_filled();
	if (!access("/sys/devices/system/node/node1", F_OK))
		return;
	holes = anon(HOLES, 1);
	for (int i = 0; i < HOLES; i++)
		if (i % 5)
			madvise(holes + i * PAGE, PAGE, MADV_DONTNEED);
}

static void dirty_all(long gen)
{
	for (int i = 0; i < PAGES; i++)
		region[i * PAGE + 3] = 'D';
}

static void dirty_all_first(long gen)
{
	if (gen == 0)
		dirty_all(gen);
}

static void page_out(long gen)
{
	madvise(region, PAGES * PAGE, MADV_PAGEOUT);
	note(0, noted(0) + count_swapped());
}

static char *move_to_a_new_place(char *from, size_t length)
{
	char *to = anon(length / PAGE, 0);

	expect(mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	return to;
}

/* What is written then is the snapshot's no more, though it is in the same place of the swap. */
static void page_out_and_move(long gen)
{
	page_out(gen);
	region = move_to_a_new_place(region, PAGES * PAGE);
}

static void dirty_and_page_out(long gen)
{
	dirty_all(gen);
	page_out(gen);
}

/* With two memory nodes every page can be moved; otherwise compaction may move some. */
static int move_between_nodes(void)
{
	static int there[PAGES], status[PAGES];
	void *pages[PAGES];

	for (int i = 0; i < PAGES; i++) {
		pages[i] = region + i * PAGE;
		there[i] = 1;
	}
	if (syscall(SYS_move_pages, 0, PAGES, pages, NULL, status, 0) < 0)
		return -1;
	for (int i = 0; i < PAGES; i++)
		there[i] = status[i] == 0;
	return syscall(SYS_move_pages, 0, PAGES, pages, there, status, 2 /* MPOL_MF_MOVE */) < 0 ? -1 : 0;
}

static void migrate(long gen)
{
	uint64_t before[PAGES], after[PAGES];
	int by_compaction = access("/sys/devices/system/node/node1", F_OK);
	long moved = 0;

	look_up(before);
	if (by_compaction)
		write_text("/proc/sys/vm/compact_memory", "1");
	else if (move_between_nodes())
		fail("move_pages: %s", strerror(errno));
	look_up(after);
	for (int i = 0; i < PAGES; i++)
		moved += PRESENT(before[i]) && PRESENT(after[i]) && FRAME(before[i]) != FRAME(after[i]);
	note(0, noted(0) + moved);
	if (by_compaction && gen == GENERATIONS - 1 && !noted(0))
		skip("one memory node, and compaction moved none of the pages");
}

static void ksm_scan(long gen)
{
	long scans = read_long("/sys/kernel/mm/ksm/full_scans");

	for (int i = 0; i < 5000 && read_long("/sys/kernel/mm/ksm/full_scans") < scans + 2; i++)
		usleep(1000);
	expect(read_long("/sys/kernel/mm/ksm/full_scans") >= scans + 2);
}

/* Large no more, where it is split; the rest stays as it was. */
static void unmap_some(long gen)
{
	expect(munmap(region + 12 * PAGE, 4 * PAGE) == 0);
	expect(madvise(region + gen * PAGE, PAGE, MADV_DONTNEED) == 0);
	expect(mmap(region + 12 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == region + 12 * PAGE);
}

struct state {
	const char *name;
	void (*prepare)(void);		/* before the checkpoint */
	void (*before)(long gen);	/* in each generation, before the write ... */
	void (*after)(long gen);	/* ... and after it */
	int plain;			/* a portrait would undo the state */
	int counted;			/* note 0 must not be zero at the end */
	int read_only;
	void (*confirm)(void);		/* right after the checkpoint */
};

static const struct state states[] = {
	{ "armed", prepare_filled, NULL, NULL, 0, 0, 0 },
	{ "hot and clean", prepare_filled, dirty_all_first, NULL, 0, 0, 0 },
	{ "hot and dirty", prepare_filled, dirty_all, NULL, 0, 0, 0 },
	{ "born", prepare_absent, NULL, NULL, 0, 0, 0 },
	{ "born and kept", prepare_absent, dirty_all_first, NULL, 0, 0, 0 },
	{ "zero page", prepare_zero_page, NULL, NULL, 0, 0, 0 },
	{ "file, absent", prepare_file, NULL, NULL, 0, 0, 0 },
	{ "file, mapped", prepare_file_read, NULL, NULL, 0, 0, 0 },
	{ "file, hot", prepare_file, dirty_all_first, NULL, 0, 0, 0 },
	{ "swapped at the checkpoint", prepare_swap, NULL, NULL, 1, 0, 0, still_swapped },
	{ "swapped before the write", prepare_swap, page_out, NULL, 1, 1, 0 },
	{ "swapped and moved before the write", prepare_swap, page_out_and_move, NULL, 1, 1, 0 },
	{ "dirty and swapped", prepare_swap, dirty_and_page_out, NULL, 1, 1, 0 },
	{ "swapped after the write", prepare_swap, NULL, page_out, 1, 1, 0 },
	{ "migrated before the write", prepare_migration, migrate, NULL, 1, 1, 0 },
	{ "migrated after the write", prepare_migration, dirty_all_first, migrate, 1, 1, 0 },
	{ "KSM", prepare_ksm, NULL, NULL, 1, 0, 0, still_merged },
	{ "KSM, scanned in between", prepare_ksm, dirty_all_first, ksm_scan, 1, 0, 0 },
	{ "THP", prepare_huge, NULL, NULL, 0, 0, 0 },
	{ "THP, hot", prepare_huge, dirty_all_first, NULL, 0, 0, 0 },
	{ "large folio", prepare_large, NULL, NULL, 0, 0, 0, still_large },
	{ "large folio, hot", prepare_large, dirty_all_first, NULL, 0, 0, 0 },
	{ "large folio, hot and dirty", prepare_large, dirty_all, NULL, 0, 0, 0 },
	{ "large folio, in part unmapped", prepare_large, unmap_some, NULL, 0, 0, 0 },
	{ "large folio, in part unmapped later", prepare_large, NULL, unmap_some, 0, 0, 0 },
	{ "large folio, swapped", prepare_large, page_out, NULL, 1, 1, 0 },
	{ "large folio, swapped after the write", prepare_large, NULL, page_out, 1, 1, 0 },
	{ "large folio, migrated", prepare_large, migrate, NULL, 1, 1, 0 },
	{ "large folio, hot and migrated", prepare_large, dirty_all_first, migrate, 1, 1, 0 },
	{ "read-only mapping", prepare_read_only, NULL, NULL, 0, 0, 1 },
};

/* ---- one cell of the matrix ------------------------------------------- */

static void open_sources(void)
{
	memset(token, 'T', sizeof(token));
	self_mem = open("/proc/self/mem", O_RDWR);
	token_file = open_bytes(LENGTH, 'T');
}

static void cell(long way_index, long state_index)
{
	const struct way *way = &ways[way_index];
	const struct state *state = &states[state_index];
	long gen;

	open_sources();
	region_kind = state->name;
	state->prepare();
	gen = state->plain ? checkpoint_plain() : checkpoint();
	if (gen == 0 && state->confirm)
		state->confirm();
	expect_filled(region, PAGES, fill);
	if (gen == GENERATIONS) {
		if (state->counted && !noted(0))
			fail("the state '%s' was never reached", region_kind);
		return;
	}
	if (state->before)
		state->before(gen);
	for (int i = 0; i < PAGES; i++) {
		char *at = region + i * PAGE + OFFSET;

		if (!(i >> gen & 1))
			continue;
		errno = 0;
		if (way->write(at) <= 0)
			fail("%s failed: errno %d", way->name, errno);
		if (at[0] != 'T')
			fail("%s wrote nothing", way->name);
	}
	if (state->after)
		state->after(gen);
	rewind_now();
}

/* ---- beyond the matrix ------------------------------------------------ */

/* Who holds a page that was sent by reference must not see it change. */
static void vmsplice_reader(long a, long b)
{
	char *page = anon(1, 'a'), back[64];
	struct iovec part = { page, sizeof(back) };
	long gen = checkpoint();

	if (gen) {
		expect_eq(other_drain(back, sizeof(back)), sizeof(back));
		for (size_t i = 0; i < sizeof(back); i++)
			expect_eq(back[i], 'V');
	}
	if (gen == GENERATIONS)
		return;
	memset(page, 'V', PAGE);
	expect_eq(vmsplice(PIPE_FD, &part, 1, 0), sizeof(back));
	rewind_now();
}

/* Sent by reference and not written, the page is in no log when the next request writes to it. */
static void reader_from_before(long moved, long b)
{
	char *page = anon(1, 'a'), back[64];
	struct iovec part = { page, sizeof(back) };
	long gen = checkpoint();

	/* What has moved is not the snapshot's: given away by one, moved by the next. */
	if (moved ? gen % 2 : gen) {
		if (moved)
			page = move_to_a_new_place(page, PAGE);
		memset(page, 'S', PAGE);
		expect_eq(other_drain(back, sizeof(back)), sizeof(back));
		for (size_t i = 0; i < sizeof(back); i++)
			expect_eq(back[i], 'a');
		memset(page, 'a', PAGE);
	}
	if (gen == GENERATIONS)
		return;
	if (!moved || gen % 2 == 0)
		expect_eq(vmsplice(PIPE_FD, &part, 1, 0), sizeof(back));
	rewind_now();
}

static void allow_huge_pages_later(long a, long b)
{
	char *huge = room_for_huge();
	long gen = checkpoint();

	for (unsigned long i = 0; i < HUGE; i += PAGE)
		if (huge[i + 100])
			fail("generation %ld reads %#x", gen, huge[i + 100]);
	if (gen == GENERATIONS)
		return;
	huge[PAGE] = 'T';
	madvise(huge, HUGE, gen & 1 ? MADV_COLLAPSE : MADV_HUGEPAGE);
	memset(huge, 'T', HUGE / 2);
	rewind_now();
}

static void collapse_written(long a, long b)
{
	char *huge = room_for_huge();
	long gen;

	for (unsigned long i = 0; i < HUGE; i += 2 * PAGE)
		memset(huge + i, 'a', PAGE);
	gen = checkpoint();
	if (gen == GENERATIONS)
		return;
	for (unsigned long i = 0; i < HUGE; i += 3 * PAGE)
		huge[i] = 'T';
	madvise(huge, HUGE, MADV_COLLAPSE);
	for (unsigned long i = 0; i < HUGE; i += 5 * PAGE)
		huge[i + 9] = 'U';
	rewind_now();
}

/*
 * What goes to a disk by direct I/O must not be a page that a child shares: a copy takes its place,
 * which nothing was written to but which is not the snapshot's.
 */
static void unshared_for_a_pin(long a, long b)
{
	uint64_t before[PAGES], after[PAGES];
	pid_t pid;
	long gen;

	prepare_filled();
	gen = checkpoint_plain();
	expect_filled(region, PAGES, fill);
	if (gen == GENERATIONS)
		return;
	memset(region, 'T', PAGES * PAGE);
	look_up(before);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	open_disk();
	if (direct < 0 || pwrite(direct, region, PAGES * PAGE, 0) != (ssize_t)(PAGES * PAGE))
		skip("no disk for direct I/O: %s", strerror(errno));
	kill(pid, SIGKILL);
	expect(waitpid(pid, NULL, 0) == pid);
	look_up(after);
	for (int i = 0; i < PAGES; i++)
		expect(FRAME(before[i]) && FRAME(before[i]) != FRAME(after[i]));
	rewind_now();
}

/* With nothing between two generations that would make a processor forget what it knows of the pages. */
static void again_and_again(long generations, long b)
{
	long gen;

	prepare_filled();
	gen = sys_checkpoint(call_flags);
	expect(gen >= 0);
	expect_filled(region, PAGES, fill);
	if (gen == generations)
		return;
	for (int i = 0; i < PAGES; i++)
		region[i * PAGE + gen] = 'T';
	sys_rewind(call_flags);
}

static void many_pages(long pages, long born)
{
	char *memory = anon(pages, born ? 0 : 'm');
	long gen = checkpoint();

	if (gen == GENERATIONS)
		return;
	for (long i = gen; i < pages; i += 1 + gen)
		memory[i * PAGE + i % PAGE] = 'T';
	rewind_now();
}

/* Always the same pages, then one more each time: the log grows by one entry. */
static void one_new_page_each(long a, long b)
{
	char *memory = anon(200, 'm');
	long gen = checkpoint();

	if (gen == 40)
		return;
	for (long i = 0; i < 100 + gen; i++)
		memory[(i * 67 % 200) * PAGE] = 'T';
	rewind_now();
}

static void long_hot_then_cold(long a, long b)
{
	char *memory = anon(64, 'm');
	long gen = checkpoint();

	if (gen == 30)
		return;
	for (long i = 0; i < 64; i++)
		if (gen < 10 || gen % (i % 7 + 2) == 0)
			memory[i * PAGE + gen] = 'T';
	rewind_now();
}

/* A child makes one huge page of the file behind a private mapping, whose pages it takes away. */
static void collapse_the_file(int fd)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		mmap(region, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
		_exit(madvise(region, HUGE, MADV_COLLAPSE) ? errno : 0);
	}
	expect(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	note(0, noted(0) + (WEXITSTATUS(status) == 0));
}

static void collapse_of_a_file(long written, long b)
{
	int fd = open_bytes(HUGE, 'f');
	long gen;

	region = room_for_huge();
	expect(mmap(region, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == region);
	expect_filled(region, HUGE / PAGE, 'f');
	gen = checkpoint();
	if (gen == GENERATIONS) {
		if (!noted(0))
			skip("nothing was collapsed");
		return;
	}
	if (written)
		region[gen * PAGE] = 'T';
	collapse_the_file(fd);
	if (written)
		region[HUGE / 2] = 'T';
	rewind_now();
}

/* Shared with a child when it is written, by either of them, or moved. */
static void large_folio_forked_over(long child_writes, long b)
{
	char *elsewhere;
	int status;
	long gen;
	pid_t pid;

	prepare_large();
	elsewhere = anon(PAGES, 0);
	gen = checkpoint();
	expect_filled(region, PAGES, fill);
	if (gen == GENERATIONS)
		return;
	region[gen * PAGE] = 'T';
	pid = fork();
	if (pid == 0) {
		if (child_writes)
			memset(region, 'C', PAGES * PAGE / 2);
		if (gen & 1)
			pause();
		_exit(region[PAGES * PAGE - 1] != 'l');
	}
	for (int i = 0; i < PAGES; i += 3)
		region[i * PAGE + 7] = 'P';
	if (gen & 2)
		expect(mremap(region + 4 * PAGE, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			      elsewhere) == elsewhere);
	if (!(gen & 1)) {
		expect(waitpid(pid, &status, 0) == pid);
		expect_eq(status, 0);
	}
	rewind_now();
}

/* Many of them, each with a history of its own. */
static void large_folios(long count, long b)
{
	const size_t length = PAGES * PAGE;
	long gen, allocated;
	char *pages;

	prepare_large();
	allocated = read_long(LARGE "stats/anon_fault_alloc");
	expect_eq(write_text(LARGE "enabled", "always"), 0);
	pages = anon(count * PAGES, 'm');
	expect(read_long(LARGE "stats/anon_fault_alloc") >= allocated + count - 2);
	expect_eq(write_text(LARGE "enabled", "never"), 0);
	gen = checkpoint();
	if (gen == 2 * GENERATIONS)
		return;
	for (long i = 0; i < count; i++) {
		char *folio = pages + i * length;

		if (i >> gen & 1)
			memset(folio + (i + gen) % PAGES * PAGE, 'T', PAGE);
		if (i % 5 == gen)
			madvise(folio + i % PAGES * PAGE, (PAGES - i % PAGES) * PAGE, MADV_DONTNEED);
		if (i % 7 == gen)
			mprotect(folio + 3 * PAGE, 5 * PAGE, PROT_READ);
	}
	rewind_now();
}

struct page_range {
	uint64_t start, end, categories;
};

struct page_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof_mask, return_mask;
};

#define SCAN_PAGES	_IOWR('f', 16, struct page_scan)
#define SCAN_WRITTEN	(1 << 1)
#define SCAN_PRESENT	(1 << 3)

/* How many of the region's pages a scan calls written; -1: the kernel has no such scan. */
static long scanned(uint64_t wanted)
{
	static struct page_range ranges[PAGES];
	struct page_scan scan = {
		.size = sizeof(scan), .start = (unsigned long)region,
		.end = (unsigned long)region + PAGES * PAGE, .vec = (unsigned long)ranges,
		.vec_len = PAGES, .mask = SCAN_WRITTEN, .return_mask = wanted,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY), found = ioctl(fd, SCAN_PAGES, &scan);
	long pages = 0;

	close(fd);
	for (int i = 0; i < found; i++)
		if (ranges[i].categories & SCAN_WRITTEN)
			pages += (ranges[i].end - ranges[i].start) / PAGE;
	return found < 0 ? -1 : pages;
}

/* Without a userfaultfd every page counts as written: which are armed is not to be seen. */
static void marks_in_a_scan(long wanted, long b)
{
	long gen;

	prepare_filled();
	gen = checkpoint();
	if (scanned(wanted) < 0)
		skip("no PAGEMAP_SCAN");
	expect_eq(scanned(wanted), PAGES);
	if (gen == GENERATIONS)
		return;
	dirty_all_first(gen);
	region[gen * PAGE] = 'T';
	expect_eq(scanned(wanted), PAGES);
	rewind_now();
}

/* Bit 57 is for those whom a userfaultfd protects; nobody is. */
static void expect_no_marks(const char *when)
{
	uint64_t entries[PAGES];

	look_up(entries);
	for (int i = 0; i < PAGES; i++)
		if (MARKED(entries[i]))
			fail("page %d is marked %s", i, when);
}

/* The mark of an armed page is not to be seen, nor is one left where a page has gone. */
static void marks_in_the_map(long prepare, long b)
{
	long gen;

	((void (*)(void))prepare)();
	if (prepare == (long)prepare_file)
		memset(region, fill = 'p', PAGES * PAGE);
	expect_no_marks("before");
	gen = checkpoint_plain();
	expect_no_marks("after the checkpoint or a rewind");
	if (prepare == (long)prepare_swap && gen == 0)
		still_swapped();
	if (gen == GENERATIONS)
		return;
	region[gen * PAGE] = 'T';
	expect_no_marks("after a write");
	madvise(region + 8 * PAGE, 4 * PAGE, MADV_PAGEOUT);
	expect_no_marks("when some are swapped");
	madvise(region + 4 * PAGE, 8 * PAGE, MADV_DONTNEED);
	expect_no_marks("when some are gone");
	rewind_now();
}

#define EXTRA	32

int main(int argc, char **argv)
{
	static struct testcase cases[ARRAY_SIZE(ways) * ARRAY_SIZE(states) + EXTRA];
	size_t count = 0;

	for (size_t s = 0; s < ARRAY_SIZE(states); s++) {
		for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
			char *name;

			if (states[s].read_only && !ways[w].forces)
				continue;
			if (asprintf(&name, "%s, %s", ways[w].name, states[s].name) < 0)
				return 1;
			cases[count++] = (struct testcase){ name, cell, w, s, 0, 0 };
		}
	}
	cases[count++] = (struct testcase){ "the reader of a vmspliced page", vmsplice_reader, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "the reader of a page from before", reader_from_before, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){
		"the reader of a page from before, moved by the next", reader_from_before, 1, 0, 0, 0
	};
	cases[count++] = (struct testcase){ "huge pages allowed later", allow_huge_pages_later, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "collapse of written pages", collapse_written, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "collapse of a file", collapse_of_a_file, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "collapse of a written file", collapse_of_a_file, 1, 0, 0, 0 };
	cases[count++] = (struct testcase){ "a scan of written pages", marks_in_a_scan, SCAN_WRITTEN, 0, 0, 0 };
	cases[count++] = (struct testcase){
		"a scan of pages that are written and present", marks_in_a_scan, SCAN_WRITTEN | SCAN_PRESENT, 0, 0, 0
	};
	cases[count++] = (struct testcase){ "marks in the map of pages", marks_in_the_map, (long)prepare_filled, 0, 0, 0 };
	cases[count++] = (struct testcase){ "marks in the map of a huge page", marks_in_the_map, (long)prepare_huge, 0, 0, 0 };
	cases[count++] = (struct testcase){ "marks in the map of swapped pages", marks_in_the_map, (long)prepare_swap, 0, 0, 0 };
	cases[count++] = (struct testcase){ "marks in the map of a file", marks_in_the_map, (long)prepare_file, 0, 0, 0 };
	cases[count++] = (struct testcase){ "a large folio, then a child", large_folio_forked_over, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "a large folio, then a child that writes", large_folio_forked_over, 1, 0, 0, 0 };
	cases[count++] = (struct testcase){ "100 large folios", large_folios, 100, 0, 0, 60 };
	cases[count++] = (struct testcase){ "unshared for direct I/O", unshared_for_a_pin, 0, 0, 0, 0 };
	cases[count++] = (struct testcase){ "written again and again", again_and_again, 200, 0, 0, 0 };
	cases[count++] = (struct testcase){ "1000 pages", many_pages, 1000, 0, 0, 0 };
	cases[count++] = (struct testcase){ "1000 born pages", many_pages, 1000, 1, 0, 0 };
	cases[count++] = (struct testcase){ "10000 pages", many_pages, 10000, 0, SLOW, 120 };
	cases[count++] = (struct testcase){ "one new page each time", one_new_page_each, 0, 0, 0, 60 };
	cases[count++] = (struct testcase){ "hot, then cold", long_hot_then_cold, 0, 0, 0, 60 };
	return run_cases(argc, argv, cases, count);
}
