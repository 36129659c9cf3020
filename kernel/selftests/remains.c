// SPDX-License-Identifier: GPL-2.0
/*
 * What a request might leave behind where it is easily forgotten: in work that the kernel has
 * put off, in signals, locks and futexes, in page tables and in the log itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define LOCKED	"/tmp/locked"

static volatile int started;

/* Its last reference to the file goes as work put off, while it is still busy. */
static void *map_over_a_locked_file(void *unused)
{
	int fd = open(LOCKED, O_RDWR);
	char *at;

	expect(fd >= 0 && flock(fd, LOCK_EX) == 0);
	at = mmap(NULL, 16 * HUGE, PROT_READ, MAP_PRIVATE, fd, 0);
	expect(at != MAP_FAILED);
	close(fd);
	started = 1;
	mmap(at, 16 * HUGE, PROT_READ | PROT_WRITE,
	     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	for (;;)
		pause();
}

/* A file that only a later thread had open is closed when it ends. */
static void file_of_a_later_thread(long unused, long unused2)
{
	int fd = open(LOCKED, O_RDWR | O_CREAT | O_TRUNC, 0600);
	pthread_t thread;
	long gen;

	expect(fd >= 0 && ftruncate(fd, 16 * HUGE) == 0);
	close(fd);
	gen = checkpoint_plain();
	fd = open(LOCKED, O_RDWR);
	if (flock(fd, LOCK_EX | LOCK_NB))
		fail("a file of an earlier request is still open after rewind %ld", gen);
	close(fd);
	if (gen == 6)
		return;
	expect(pthread_create(&thread, NULL, map_over_a_locked_file, NULL) == 0);
	while (!started)
		usleep(100);
	usleep(1000 * gen);
	/* While it maps all that, it cannot answer: that is refused, if it takes long. */
	while (sys_rewind(call_flags) == -EOPNOTSUPP)
		;
	fail("rewind() gave another error");
}

/* A connection that nobody reads from, full, and to linger for an hour when it is closed. */
static int full_connection(void)
{
	struct linger hour = { 1, 3600 };
	struct sockaddr_in to;
	int listener = bound(SOCK_STREAM, &to), fd;
	static char bytes[65536];

	expect(listen(listener, 4) == 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	expect(connect(fd, (void *)&to, sizeof(to)) == 0);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	expect(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hour, sizeof(hour)) == 0);
	return fd;
}

/* Nobody waits for what a request has not got rid of. */
static void lingering_socket(long unused, long unused2)
{
	long gen = checkpoint_plain();

	if (gen == 3)
		return;
	full_connection();
	rewind_now();
}

static void *read_for_ever(void *fd)
{
	char byte;

	started = 1;
	for (;;)
		if (read((long)fd, &byte, 1) < 0)
			pause();
}

/* The last reference is a reader's: it would linger before it could answer. */
static void lingering_reader(long unused, long unused2)
{
	long gen = checkpoint_plain(), fd;
	pthread_t thread;

	if (gen == 2)
		return;
	fd = full_connection();
	expect(pthread_create(&thread, NULL, read_for_ever, (void *)fd) == 0);
	while (!started)
		usleep(100);
	usleep(20000);
	close(fd);
	for (int i = 0; i < 20; i++) {
		long error = sys_rewind(call_flags);

		if (error != -EOPNOTSUPP)
			fail("rewind() gave %ld", error);
	}
	fail("the thread never answers");
}

static int door, other_door;

static void *wait_at_the_door(void *unused)
{
	for (;;)
		syscall(SYS_futex, &door, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

/* A thread left asleep has to wait for what it waited for, not for what a request liked. */
static void moved_to_another_futex(long unused, long unused2)
{
	pthread_t thread;
	long gen, woken = 0;

	expect(pthread_create(&thread, NULL, wait_at_the_door, NULL) == 0);
	usleep(20000);
	gen = checkpoint_plain();
	for (int i = 0; i < 100 && !woken; i++) {
		usleep(2000);
		woken = syscall(SYS_futex, &door, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	if (!woken)
		fail("nobody waits any more after rewind %ld", gen);
	if (gen == 5)
		return;
	usleep(20000);
	expect(syscall(SYS_futex, &door, FUTEX_CMP_REQUEUE_PRIVATE, 0, 1, &other_door, 0) == 1);
	rewind_now();
}

static int is_pending(int signal)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, signal);
}

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

/* The order to stop finds the request's own signal in its place. */
static void order_to_stop(long unused, long unused2)
{
	block_all();
	if (checkpoint_plain() == 0) {
		expect(kill(getpid(), SIGTERM) == 0);
		expect(other_kill(SIGTERM) == 0);
		rewind_now();
	}
	if (!is_pending(SIGTERM))
		fail("SIGTERM from outside was dropped");
}

static void own_signal(long number, long from_a_child)
{
	long gen;
	pid_t pid;

	block_all();
	gen = checkpoint_plain();
	if (is_pending(number))
		fail("a signal of an earlier request is pending after rewind %ld", gen);
	if (gen == GENERATIONS)
		return;
	pid = from_a_child ? fork() : 0;
	if (pid == 0)
		kill(from_a_child ? getppid() : getpid(), number);
	if (from_a_child && pid == 0)
		_exit(0);
	if (pid)
		waitpid(pid, NULL, 0);
	expect(is_pending(number));
	rewind_now();
}

/* One namespace is not as good as another that has come to lie at the same address. */
static void new_namespaces(long unused, long unused2)
{
	if (unshare(CLONE_NEWUTS))
		skip("no namespaces");
	if (checkpoint_plain())
		fail("a rewind left the process in a namespace of the request");
	for (int i = 0; i < 64; i++) {
		expect(unshare(CLONE_NEWUTS) == 0);
		expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
		expect_reason("namespaces");
	}
}

enum { FLOCK, DESCRIPTION, LEASE };

static void take(int fd, int kind)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (kind == FLOCK)
		expect(flock(fd, LOCK_EX) == 0);
	else if (kind == DESCRIPTION)
		expect(fcntl(fd, F_OFD_SETLK, &whole) == 0);
	else
		expect(fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
}

static void lock_of_a_description(long kind, long before)
{
	int fd = open(LOCKED, O_RDWR | O_CREAT, 0600);

	expect(fd >= 0);
	if (before) {
		take(fd, kind);
		expect_eq(sys_checkpoint(call_flags), -EOPNOTSUPP);
		expect_reason(kind == LEASE ? "descriptor with signal-driven I/O" : "file lock");
		return;
	}
	if (checkpoint_plain())
		fail("a rewind left a lock");
	take(fd, kind);
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	/* Its holder is to be told of it by a signal. */
	expect_reason(kind == LEASE ? "descriptor with signal-driven I/O" : "file lock or lease");
}

/* The log is no larger than what there is to put back. */
static void log_of_much_ado(long moving, long unused)
{
	char *area = anon(64, 'a'), *home = anon(64, 0);
	long gen = checkpoint(), size;

	if (gen == 2)
		return;
	for (int i = 0; i < 3000; i++) {
		if (moving) {
			char *to = i & 1 ? area : home;

			mremap(i & 1 ? home : area, 64 * PAGE, 64 * PAGE,
			       MREMAP_MAYMOVE | MREMAP_FIXED, to);
		} else {
			char *at = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			memset(at, 'T', 64 * PAGE);
			munmap(at, 64 * PAGE);
		}
	}
	size = rewind_counter("log_bytes");
	if (size > 1024 * 1024)
		fail("%ld bytes for a log of a few hundred pages", size);
	rewind_now();
}

/* Far apart in a mapping too large to be walked page by page. */
static void sparse_mapping(long unused, long unused2)
{
	const unsigned long far[] = { 0, 3UL << 21, 5UL << 30, (7UL << 39) + PAGE, (80UL << 40) };
	char *at = mmap(NULL, (80UL << 40) + HUGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long gen;

	if (at == MAP_FAILED)
		skip("no address space for it");
	for (size_t i = 0; i < ARRAY_SIZE(far); i++)
		at[far[i]] = 'a' + i;
	gen = checkpoint_plain();
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		if (at[far[i]] != (char)('a' + i) || at[far[i] + HUGE / 2])
			fail("page %zu is %#x and %#x after rewind %ld", i, at[far[i]],
			     at[far[i] + HUGE / 2], gen);
		at[far[i]] = 'T';
		at[far[i] + HUGE / 2] = 'T';
	}
	if (gen < GENERATIONS)
		rewind_now();
}

static long smaps_kb(const char *at, const char *key)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long start = 0, value;
	char line[256], name[64];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%*x %*4s", &start) == 1 && strchr(line, '-'))
			continue;
		if (start == (unsigned long)at && sscanf(line, "%63[^:]: %lu kB", name, &value) == 2 &&
		    !strcmp(name, key)) {
			fclose(file);
			return value;
		}
	}
	if (file)
		fclose(file);
	return -1;
}

/* A page of a file that moves in memory is not written to: its file system would not know why. */
static void page_of_a_file_moves(long unused, long unused2)
{
	int fd = open("/tmp/clean", O_RDWR | O_CREAT | O_TRUNC, 0600), node, status = -1;
	char *at;

	expect(fd >= 0 && ftruncate(fd, PAGE) == 0);
	at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	expect(*(volatile char *)at == 0);
	if (checkpoint_plain() == 1)
		return;
	if (smaps_kb(at, "Private_Dirty") != 0)
		skip("a new page of a file is dirty here");
	for (node = 1; node >= 0; node--) {
		void *page = at;

		if (syscall(SYS_move_pages, 0, 1, &page, &node, &status, 2 /* MPOL_MF_MOVE */) || status != node)
			skip("the page does not move: %d", status);
	}
	expect_eq(smaps_kb(at, "Private_Dirty"), 0);
	rewind_now();
}

/* What may not be made any more may be made again. */
static void writable_code(long unused, long unused2)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(page != MAP_FAILED);
	memset(page, 'a', PAGE);
	if (prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0))
		skip("no PR_SET_MDWE");
	if (checkpoint() == GENERATIONS)
		return;
	munmap(page, PAGE);
	rewind_now();
}

static struct rseq area __attribute__((aligned(32)));

/* The processor that restored memory names is one of the past. */
static void processor_of_the_past(long unused, long unused2)
{
	cpu_set_t both, second;
	unsigned int cpu, named;
	long gen;

	CPU_ZERO(&both);
	CPU_SET(0, &both);
	second = both;
	expect(sched_setaffinity(0, sizeof(both), &both) == 0);
	CPU_SET(1, &both);
	CPU_ZERO(&second);
	CPU_SET(1, &second);
	if (syscall(SYS_rseq, &area, 32, 0, 0x53053053))
		skip("no rseq: %s", strerror(errno));
	if (sched_setaffinity(0, sizeof(both), &both))
		skip("one processor");
	gen = checkpoint_plain();
	named = *(volatile __u32 *)&area.cpu_id;
	expect(syscall(SYS_getcpu, &cpu, NULL, NULL) == 0);
	if (gen && named != cpu && cpu == 1)
		fail("processor %u instead of %u after rewind %ld", named, cpu, gen);
	if (gen == GENERATIONS)
		return;
	expect(sched_setaffinity(0, sizeof(second), &second) == 0);
	rewind_now();
}

static volatile int answer;

static void *wait_for_a_signal(void *unused)
{
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	started = 1;
	number = sigtimedwait(&set, NULL, &(struct timespec){ 10, 0 });
	answer = number < 0 ? -errno : number;
	return NULL;
}

static int half[2];

static void *wait_for_a_byte(void *unused)
{
	struct timeval limit = { 10, 0 };
	char byte;

	expect(setsockopt(half[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	started = 1;
	answer = recv(half[0], &byte, 1, 0) == 1 ? SIGUSR1 : -errno;
	return NULL;
}

/* A rewind that is refused has changed nothing: also no system call has noticed. */
static void refused_without_a_trace(long waiter, long unused)
{
	int fd = open(LOCKED, O_RDWR | O_CREAT, 0600);
	pthread_t thread;

	block_all();
	expect(socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0);
	expect(pthread_create(&thread, NULL, (void *(*)(void *))waiter, NULL) == 0);
	while (!started)
		usleep(100);
	usleep(20000);
	expect(checkpoint_plain() == 0);
	usleep(20000);
	expect(flock(fd, LOCK_EX) == 0);
	for (int i = 0; i < 5; i++)
		expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_eq(answer, 0);
	expect(write(half[1], "x", 1) == 1);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	expect_eq(answer, SIGUSR1);
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "a file that a later thread had open", file_of_a_later_thread, 0, 0, 0, 0 },
		{ "a socket that lingers", lingering_socket, 0, 0, 0, 0 },
		{ "a reader of a socket that lingers", lingering_reader, 0, 0, 0, 60 },
		{ "a sleeper moved to another futex", moved_to_another_futex, 0, 0, 0, 0 },
		{ "SIGTERM from outside beside the request's", order_to_stop, 0, 0, 0, 0 },
		{ "the request's own stop signal", own_signal, SIGTSTP, 0, 0, 0 },
		{ "the request's own SIGCONT", own_signal, SIGCONT, 0, 0, 0 },
		{ "a signal of a child", own_signal, SIGUSR1, 1, 0, 0 },
		{ "namespaces, again and again", new_namespaces, 0, 0, 0, 0 },
		{ "flock taken before", lock_of_a_description, FLOCK, 1, 0, 0 },
		{ "flock taken later", lock_of_a_description, FLOCK, 0, 0, 0 },
		{ "lock of a description taken before", lock_of_a_description, DESCRIPTION, 1, 0, 0 },
		{ "lock of a description taken later", lock_of_a_description, DESCRIPTION, 0, 0, 0 },
		{ "lease taken before", lock_of_a_description, LEASE, 1, 0, 0 },
		{ "lease taken later", lock_of_a_description, LEASE, 0, 0, 0 },
		{ "the log of a thousand mappings", log_of_much_ado, 0, 0, 0, 60 },
		{ "the log of a thousand moves", log_of_much_ado, 1, 0, 0, 60 },
		{ "a sparse mapping", sparse_mapping, 0, 0, 0, 0 },
		{ "a clean page of a file that moves", page_of_a_file_moves, 0, 0, 0, 0 },
		{ "memory that may not be made any more", writable_code, 0, 0, 0, 0 },
		{ "rseq names the processor", processor_of_the_past, 0, 0, 0, 0 },
		{ "a refusal that nobody notices", refused_without_a_trace, (long)wait_for_a_signal, 0, 0, 0 },
		{ "a refusal that no receiver notices", refused_without_a_trace, (long)wait_for_a_byte, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
