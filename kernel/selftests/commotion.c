// SPDX-License-Identifier: GPL-2.0
/*
 * Rewinds while another process disturbs the pages: moves them between memory nodes, compacts,
 * merges and unmerges, pages out, takes swap away. The subject of a case is a child of its
 * process, which makes the noise: a process with children could not checkpoint. After
 * each rewind everything must be as it was; and each noise must have been enough of one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define NR_PROCESS_MADVISE	440
#define LENGTH		64		/* bytes of a write */
#define LEAST		30		/* generations */
#define SHORTEST_MS	1500
#define LONGEST_MS	7500
#define END		"/tmp/commotion.end"	/* the subject may end once it exists */
#define KSM		"/sys/kernel/mm/ksm/"

/* ---- the subject ------------------------------------------------------- */

enum { PLAIN, OF_FILE, MERGED, BORN, LARGE, LATER, REGIONS };

/* Mapped before the fork, so that both know where; touched by the subject only. */
static struct region {
	size_t pages;
	char fill;
	char *start;
} regions[REGIONS] = {
	[PLAIN] = { 200, 'a' }, [OF_FILE] = { 64, 'f' }, [MERGED] = { 64, 'k' }, [BORN] = { 64, 0 },
	[LARGE] = { HUGE / PAGE, 'l' }, [LATER] = { 64, 0 },
};

static char token[LENGTH];
static int self_mem = -1, token_file = -1;

static void by_store(char *at) { memcpy(at, token, LENGTH); }
static void by_read(char *at) { expect_eq(pread(token_file, at, LENGTH, 0), LENGTH); }
static void by_mem(char *at) { expect_eq(pwrite(self_mem, token, LENGTH, (off_t)at), LENGTH); }

static void by_vm_write(char *at)
{
	struct iovec local = { token, LENGTH }, remote = { at, LENGTH };

	expect_eq(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), LENGTH);
}

/* Until the rewind a pipe has the page, if there is room in it. */
static void by_store_and_vmsplice(char *at)
{
	static int kept[2];
	struct iovec part = { at, LENGTH };

	if (!kept[1])
		expect(pipe(kept) == 0);
	memcpy(at, token, LENGTH);
	expect(vmsplice(kept[1], &part, 1, SPLICE_F_NONBLOCK) == LENGTH || errno == EAGAIN);
}

static void (*const ways[])(char *at) = {
	by_store, by_read, by_mem, by_vm_write, by_store_and_vmsplice,
};

static void write_at_random(unsigned long *random)
{
	const struct region *r = &regions[random_step(random) % REGIONS];
	char *at = r->start + random_step(random) % r->pages * PAGE;

	at += random_step(random) % (PAGE - LENGTH);
	ways[random_step(random) % ARRAY_SIZE(ways)](at);
	if (memcmp(at, token, LENGTH))
		fail("a write went astray");
}

static void request(long gen)
{
	unsigned long random = run_seed * 1000003 + gen;
	struct region *later = &regions[LATER];
	int writes = 20 + random_step(&random) % 200;

	later->start = mmap(later->start, later->pages * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	expect(later->start != MAP_FAILED);
	for (int i = 0; i < writes; i++)
		write_at_random(&random);
}

static long merged(void)
{
	return read_long("/proc/self/ksm_merging_pages");
}

/* While there is a checkpoint nothing is merged, so it has to be before. */
static void merge(const struct region *r)
{
	expect(madvise(r->start, r->pages * PAGE, MADV_MERGEABLE) == 0);
	for (int i = 0; i < 5000 && merged() < (long)r->pages; i++)
		usleep(1000);
	expect_eq(merged(), r->pages);
}

static void prepare_subject(int with_ksm)
{
	memset(token, 'T', sizeof(token));
	token_file = open_bytes(LENGTH, 'T');
	self_mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	memset(regions[PLAIN].start, 'a', regions[PLAIN].pages * PAGE);
	memset(regions[OF_FILE].start, 'f', regions[OF_FILE].pages / 2 * PAGE);
	memset(regions[MERGED].start, 'k', regions[MERGED].pages * PAGE);
	madvise(regions[LARGE].start, HUGE, MADV_HUGEPAGE);
	memset(regions[LARGE].start, 'l', HUGE);
	if (with_ksm)
		merge(&regions[MERGED]);
	munmap(regions[LATER].start, regions[LATER].pages * PAGE);
}

static void expect_all_as_before(long gen)
{
	for (int i = 0; i < LATER; i++) {
		const struct region *r = &regions[i];

		for (size_t k = 0; k < r->pages * PAGE; k += PAGE)
			if (r->start[k] != r->fill || memcmp(r->start + k, r->start + k + 1, PAGE - 1))
				fail("generation %ld of seed %lu: region %d, page %zu", gen, run_seed, i,
				     k / PAGE);
	}
}

/* Whoever looks at the memory holds it for a moment: a reason to refuse, which passes. */
static void rewind_patiently(void)
{
	static const char passing[] = "the memory is shared with another process";
	char reason[256];

	for (int i = 0; i < 200; i++) {
		expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
		refusal_reason(reason, sizeof(reason));
		if (strncmp(reason, passing, strlen(passing)))
			fail("refused for: %s", reason);
		note(0, noted(0) + 1);
	}
	fail("refused all the time: %s", reason);
}

static void run_subject(int reached, int with_ksm)
{
	long gen;

	prepare_subject(with_ksm);
	gen = checkpoint_plain();
	if (gen == 0)
		expect_eq(write(reached, "c", 1), 1);
	expect_all_as_before(gen);
	if (gen >= LEAST && !access(END, F_OK)) {
		diag("  %ld rewinds, %ld refused for a moment", gen, noted(0));
		_exit(CASE_PASS);
	}
	request(gen);
	rewind_patiently();
}

/* ---- kinds of noise: each returns how much of it there was -------------- */

#define KNOWN	(200 + 64 + 64 + 64 + HUGE / PAGE)	/* pages of the regions that stay */

static long move_pages(pid_t pid)
{
	static int before[KNOWN], there[KNOWN], after[KNOWN], node;
	static void *pages[KNOWN];
	long count = 0, moved = 0;

	node = !node;
	for (int r = 0; r < LATER; r++)
		for (size_t i = 0; i < regions[r].pages; i++, count++) {
			pages[count] = regions[r].start + i * PAGE;
			there[count] = node;
		}
	if (syscall(SYS_move_pages, pid, count, pages, NULL, before, 0) < 0 ||
	    syscall(SYS_move_pages, pid, count, pages, there, after, 4 /* MPOL_MF_MOVE_ALL */) < 0)
		return 0;
	for (long i = 0; i < count; i++)
		moved += before[i] == !node && after[i] == node;
	return moved;
}

#define HOLES	8192
static char *holes;

/* Memory full of holes, or there is nothing to compact. */
static void make_holes(void)
{
	if (!holes)
		holes = anon(HOLES, 0);
	for (int i = 0; i < HOLES; i++)
		holes[i * PAGE] = 1;
	for (int i = 0; i < HOLES; i++)
		if (i % 5)
			madvise(holes + i * PAGE, PAGE, MADV_DONTNEED);
}

static long compact(pid_t pid)
{
	long before = vmstat("pgmigrate_success");

	make_holes();
	write_text("/proc/sys/vm/compact_memory", "1");
	return vmstat("pgmigrate_success") - before;
}

static char *twin;	/* pages of this process that are merged with those of the subject */

static void start_ksm(void)
{
	write_text(KSM "sleep_millisecs", "1");
	write_text(KSM "pages_to_scan", "10000");
	write_text(KSM "run", "1");
}

/* Not before the fork: the subject would have it too. */
static void make_twin(void)
{
	twin = anon(regions[MERGED].pages, 'k');
	expect(madvise(twin, regions[MERGED].pages * PAGE, MADV_MERGEABLE) == 0);
}

static void stop_ksm(void)
{
	write_text(KSM "run", "0");
}

/* Merge, write to what was merged, and now and then take everything apart. */
static long merge_and_split(pid_t pid)
{
	static int round;
	static long scans;
	long now = read_long(KSM "full_scans"), turns = scans ? now - scans : 0;

	scans = now;
	if (!twin)
		make_twin();
	if (++round % 128 == 0) {
		write_text(KSM "run", "2");
		write_text(KSM "run", "1");
	}
	if (round % 16 == 0)
		memset(twin, 'k', regions[MERGED].pages / 2 * PAGE);
	return merged() > 0 ? turns : 0;
}

static long advise(pid_t pid, int advice)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	long bytes = 0;

	expect(fd >= 0);
	for (int r = 0; r < REGIONS; r++) {
		struct iovec part = { regions[r].start, regions[r].pages * PAGE };
		long done = syscall(NR_PROCESS_MADVISE, fd, &part, 1, advice, 0);

		bytes += done > 0 ? done : 0;
	}
	close(fd);
	return bytes / PAGE;
}

static long cold(pid_t pid)
{
	return advise(pid, MADV_COLD);
}

static long page_out(pid_t pid)
{
	long before = vmstat("pswpout");

	advise(pid, MADV_PAGEOUT);
	return vmstat("pswpout") - before;
}

static void swap_on(void)
{
	syscall(SYS_swapon, swap_device(), 0);
}

/* Counts only when pages of the subject had to be brought back. */
static long swap_off_and_on(pid_t pid)
{
	char path[32];
	long there;

	advise(pid, MADV_PAGEOUT);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	there = number_in(path, "VmSwap");
	if (syscall(SYS_swapoff, swap_device()))
		return 0;
	swap_on();
	return there > 0;
}

static const struct noise {
	const char *name, *needs;	/* a file */
	void (*begin)(void);
	long (*make)(pid_t pid);
	void (*end)(void);
	long enough;
	int in_swap;
} noises[] = {
	{ "move_pages", "/sys/devices/system/node/node1", NULL, move_pages, NULL, 1000, 0 },
	{ "compaction", "/proc/sys/vm/compact_memory", make_holes, compact, NULL, 100, 0 },
	{ "KSM", KSM "run", start_ksm, merge_and_split, stop_ksm, 8, 0 },
	{ "MADV_COLD", "/proc/self", NULL, cold, NULL, 2000, 0 },
	{ "MADV_PAGEOUT", "/proc/swaps", NULL, page_out, NULL, 300, 1 },
	{ "swapoff and swapon", "/proc/swaps", NULL, swap_off_and_on, swap_on, 2, 1 },
};

#define KSM_NOISE	(1 << 2)
#define ALL_NOISE	((1 << ARRAY_SIZE(noises)) - 1)

/* ---- a case ------------------------------------------------------------ */

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void map_regions(void)
{
	for (int i = 0; i < REGIONS; i++)
		regions[i].start = i == OF_FILE ? file_private(regions[i].pages, 'f') :
				   i == LARGE ? room_for_huge() : anon(regions[i].pages, 0);
}

/* Those of the wanted kinds that this machine has. */
static long possible(long wanted)
{
	long kinds = 0;

	for (size_t i = 0; i < ARRAY_SIZE(noises); i++)
		if (wanted >> i & 1 && !access(noises[i].needs, F_OK) &&
		    (!noises[i].in_swap || has_swap()))
			kinds |= 1 << i;
	return kinds;
}

static int enough(long kinds, const long *made)
{
	for (size_t i = 0; i < ARRAY_SIZE(noises); i++)
		if (kinds >> i & 1 && made[i] < noises[i].enough)
			return 0;
	return 1;
}

static int has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == pid;
}

static void disturb(pid_t pid, long kinds, long *made)
{
	const char *patience = getenv("REWIND_PATIENCE");
	long begin = now_ms(), spent = 0, longest = LONGEST_MS * (patience ? atol(patience) : 1);
	unsigned long random = run_seed;

	while (!has_ended(pid)) {
		size_t i = random_step(&random) % ARRAY_SIZE(noises);

		if (kinds >> i & 1) {
			made[i] += noises[i].make(pid);
			usleep(random_step(&random) % 2000);
		}
		spent = now_ms() - begin;
		if (spent > longest || (spent > SHORTEST_MS && enough(kinds, made)))
			close(open(END, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
}

static void call_each(long kinds, int end)
{
	for (size_t i = 0; i < ARRAY_SIZE(noises); i++) {
		void (*function)(void) = end ? noises[i].end : noises[i].begin;

		if (kinds >> i & 1 && function)
			function();
	}
}

static pid_t start_subject(long kinds)
{
	int reached[2];
	char byte;
	pid_t pid;

	expect(pipe(reached) == 0);
	pid = fork();
	if (pid == 0) {
		close(reached[0]);
		run_subject(reached[1], kinds & KSM_NOISE);
	}
	close(reached[1]);
	if (read(reached[0], &byte, 1) != 1)
		fail("no checkpoint");
	close(reached[0]);
	return pid;
}

static void rewinds_among(long wanted, long unused)
{
	long kinds = possible(wanted), made[ARRAY_SIZE(noises)] = { 0 };
	int status;
	pid_t pid;

	if (!kinds)
		skip("this machine does not have it");
	unlink(END);
	map_regions();
	call_each(kinds, 0);
	pid = start_subject(kinds);
	disturb(pid, kinds, made);
	call_each(kinds, 1);
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
	for (size_t i = 0; i < ARRAY_SIZE(noises); i++)
		if (kinds >> i & 1)
			diag("  %s: %ld", noises[i].name, made[i]);
	if (!enough(kinds, made))
		fail("too little noise");
}

int main(int argc, char **argv)
{
	struct testcase cases[ARRAY_SIZE(noises) + 1];
	size_t count = 0;

	for (; count < ARRAY_SIZE(noises); count++)
		cases[count] = (struct testcase){
			noises[count].name, rewinds_among, 1 << count, 0, 0, 60
		};
	cases[count++] = (struct testcase){ "all at once", rewinds_among, ALL_NOISE, 0, 0, 60 };
	return run_cases(argc, argv, cases, count);
}
