// SPDX-License-Identifier: GPL-2.0
/* The contract of the three calls: who may, what is refused, which errno, and misuse. */
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
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define SIBLING_ONLY	"sibling-only"		/* argument: make one, which ends at once */
#define CHECKPOINT_ONLY	"checkpoint-only"	/* argument: try one, and exit with its errno */

#define REWIND_ONLY	"rewind-only"		/* the same with a rewind */

#define SYSCTL	"/proc/sys/vm/rewind"

/* ---- permission ------------------------------------------------------- */

/*
 * These run in a child of the subject: rewindable() marks the parent of its caller too,
 * and the supervisor must stay without permission until all of them are through.
 */
static void apart(long body, long unused)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		((void (*)(void))body)();
		_exit(CASE_PASS);
	}
	waitpid(pid, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : CASE_FAIL);
}

static void not_permitted(void)
{
	expect_eq(sys_checkpoint(0), -EPERM);
	expect_eq(sys_rewind(0), -ENODATA);
	/* Nor does asking for it permit the one who asks. */
	expect_eq(sys_rewindable(), 0);
	expect_eq(sys_checkpoint(0), -EPERM);
}

static int status_of(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		body();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void needs_permission(void)
{
	if (sys_checkpoint(0) != -EPERM)
		_exit(1);
}

static void uses_permission(void)
{
	long gen = sys_checkpoint(0);

	if (gen == 0)
		sys_rewind(0);
	_exit(gen == 1 ? 0 : 1);
}

/* Before the harness itself calls rewindable(); so this process starts without. */
static void permits_later_children(void)
{
	expect_eq(status_of(needs_permission), 0);
	expect_eq(sys_rewindable(), 0);
	expect_eq(status_of(uses_permission), 0);
}

static void only_permit(void)
{
	_exit(sys_rewindable() ? 1 : 0);
}

static void permits_its_parents_children(void)
{
	expect_eq(status_of(needs_permission), 0);
	expect_eq(status_of(only_permit), 0);
	expect_eq(status_of(uses_permission), 0);
}

static void permit_as_another_user(void)
{
	if (setresuid(1000, 1000, 1000))
		_exit(9);
	_exit(sys_rewindable() ? 1 : 0);
}

static void not_for_a_parent_of_another_user(void)
{
	expect_eq(status_of(permit_as_another_user), 0);
	expect_eq(status_of(needs_permission), 0);
}

static void permit_in_a_namespace(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		_exit(9);
	pid = fork();
	if (pid == 0)
		only_permit();
	waitpid(pid, &status, 0);
	/* Process 1 of the namespace must not have marked us, its parent outside. */
	_exit(status);
}

static void permit_in_a_user_namespace(void)
{
	/* The user stays the same one; only the namespace is another. */
	if (unshare(CLONE_NEWUSER))
		_exit(9);
	only_permit();
}

static void not_for_a_parent_in_another_user_namespace(void)
{
	expect_eq(status_of(permit_in_a_user_namespace), 0);
	expect_eq(status_of(needs_permission), 0);
}

static void not_for_a_parent_outside_the_namespace(void)
{
	expect_eq(status_of(permit_in_a_namespace), 0);
	expect_eq(status_of(needs_permission), 0);
}

/* ---- errno ------------------------------------------------------------ */

static void no_checkpoint(long unused, long unused2)
{
	expect_eq(sys_rewind(0), -ENODATA);
	expect_eq(sys_rewind(1), -ENODATA);
}

static void unknown_flags(long unused, long unused2)
{
	static const unsigned long bad[] = { 1UL << 7, 1UL << 12, 1UL << 31, 1UL << 32, 1UL << 63, ~3UL };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_eq(sys_checkpoint(bad[i]), -EINVAL);
		expect_eq(sys_rewind(bad[i]), -EINVAL);
	}
}

static void low_bits_are_ignored(long unused, long unused2)
{
	long gen = sys_checkpoint(1);

	if (gen < 0)
		fail("checkpoint(1): %ld", gen);
	if (gen == 4)
		return;
	sys_rewind(gen & 3);
	fail("rewind(%ld) returned", gen & 3);
}

static void every_flag(long flags, long unused)
{
	char *page = anon(20, 'a');
	long gen;

	call_flags = flags;
	gen = checkpoint();
	if (gen == GENERATIONS)
		return;
	memset(page + gen * PAGE, 'T', 9 * PAGE);
	munmap(anon(8, 'x'), 4 * PAGE);
	rewind_now();
}

static void second_checkpoint_replaces(long unused, long unused2)
{
	char *page = anon(2, 'a');
	long gen = checkpoint();

	if (gen == 0) {
		page[0] = 'b';
		gen = checkpoint();
		expect_eq(page[0], 'b');
		if (gen == GENERATIONS)
			return;
		page[0] = 'T';
		page[PAGE] = 'T';
		rewind_now();
	}
	fail("the first checkpoint came back as generation %ld", gen);
}

static void many_checkpoints(long unused, long unused2)
{
	char *page = anon(50, 'a');

	for (int i = 0; i < 60; i++) {
		page[i % 50 * PAGE] = i;
		if (checkpoint() == 0 && i % 3 == 0) {
			page[(i * 7 % 50) * PAGE + 9] = 'T';
			rewind_now();
		}
	}
}

static void switched_off(long unused, long unused2)
{
	long gen;

	if (access(SYSCTL, F_OK))
		fail("no %s", SYSCTL);
	expect_eq(write_text(SYSCTL, "0"), 0);
	gen = sys_checkpoint(0);
	note(1, sys_rewindable());
	expect_eq(write_text(SYSCTL, "1"), 0);
	expect_eq(gen, -EPERM);
	expect_eq(noted(1), -EPERM);
	gen = sys_checkpoint(0);
	if (gen == 0)
		sys_rewind(0);
	expect_eq(gen, 1);
}

/* What there was stays, and is of no use until it is on again. */
static void switched_off_later(long unused, long unused2)
{
	char *page = anon(1, 'a');
	long gen = checkpoint(), error;

	if (read_long(SYSCTL) != 1) {
		write_text(SYSCTL, "1");
		fail("rewound while it was switched off");
	}
	if (gen == GENERATIONS)
		return;
	page[5] = 'T';
	expect_eq(write_text(SYSCTL, "0"), 0);
	error = sys_rewind(call_flags);
	expect_eq(write_text(SYSCTL, "1"), 0);
	expect_eq(error, -EPERM);
	expect_eq(page[5], 'T');
	rewind_now();
}

static int has_symbol(const char *name)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	char line[512], wanted[64];
	int found = 0, lines = 0;

	expect(file);
	snprintf(wanted, sizeof(wanted), " %s\n", name);
	for (; !found && fgets(line, sizeof(line), file); lines++)
		found = !!strstr(line, wanted);
	fclose(file);
	expect(found || lines > 1000);
	return found;
}

/* Hashes of all pages are for a kernel that was built for it; any other knows no such flag. */
static void verifying(long unused, long unused2)
{
	char *page = anon(4, 'a');
	int can = has_symbol("rewind_verify");
	long gen = sys_checkpoint(RF_VERIFY);

	expect(has_symbol("rewind_replay"));
	if (!can) {
		expect_eq(gen, -EINVAL);
		expect(checkpoint_plain() == 0);
		expect_eq(sys_rewind(RF_VERIFY), -EINVAL);
		return;
	}
	expect(gen >= 0);
	expect_filled(page, 4, 'a');
	expect_eq(rewind_counter("verify_bad"), 0);
	if (gen == GENERATIONS)
		return;
	memset(page, 'T', 2 * PAGE);
	expect_eq(sys_rewind(RF_VERIFY), 0);
}

/* ---- misuse ----------------------------------------------------------- */

static volatile int recursions;

static void recursion(int signal)
{
	long error = sys_checkpoint(call_flags);

	recursions++;
	if (error < 0 && error != -EBUSY)
		_exit(CASE_FAIL);
}

static void checkpoint_from_handlers(long unused, long unused2)
{
	signal(SIGALRM, recursion);
	for (int i = 0; i < 200; i++) {
		ualarm(50 + i, 0);
		long gen = sys_checkpoint(call_flags);

		expect(gen >= 0 || gen == -EBUSY);
	}
	expect(recursions > 0);
}

/* It has the memory of its parent, and no checkpoint: that is the parent's, if there is one. */
static void vfork_child(long checkpointed, long unused)
{
	long gen = checkpointed ? checkpoint_plain() : 0, errors[2] = { 1, 1 };
	volatile long *out = errors;
	pid_t pid;

	if (gen == GENERATIONS)
		return;
	pid = vfork();
	if (pid == 0) {
		out[0] = sys_checkpoint(call_flags);
		out[1] = sys_rewind(call_flags);
		_exit(0);
	}
	expect(waitpid(pid, NULL, 0) == pid);
	expect_eq(out[0], -EOPNOTSUPP);
	expect_eq(out[1], -ENODATA);
	expect_reason("the memory is shared with another process");
	if (checkpointed)
		rewind_now();
	expect_eq(sys_rewind(call_flags), -ENODATA);
	expect_eq(sys_checkpoint(call_flags), 0);
}

/* Of its parent's it knows nothing; it may have one of its own. */
static void child_has_none(long unused, long unused2)
{
	char *page = anon(1, 'a');
	long gen = checkpoint(), own;
	int status;
	pid_t pid;

	if (gen == GENERATIONS)
		return;
	page[5] = 'T';
	pid = fork();
	if (pid == 0) {
		expect_eq(rewind_counter("checkpointed"), 0);
		expect_eq(sys_rewind(call_flags), -ENODATA);
		own = sys_checkpoint(call_flags);
		expect(own >= 0);
		expect(page[5] == 'T' && page[6] == 'a');
		page[6] = 'C';
		if (own < 2)
			rewind_now();
		_exit(CASE_PASS);
	}
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
	expect(page[5] == 'T' && page[6] == 'a');
	rewind_now();
}

static void expect_traced(long error)
{
	expect_eq(error, -EOPNOTSUPP);
	expect_reason("a thread is being traced");
}

/* Asks to be traced before its checkpoint; the tracer lets go at the second stop. */
static void traced_first(void)
{
	expect_eq(ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
	raise(SIGSTOP);
	expect_traced(sys_checkpoint(call_flags));
	expect_eq(sys_rewind(call_flags), -ENODATA);
	raise(SIGSTOP);
	expect_eq(sys_checkpoint(call_flags), 0);
	_exit(CASE_PASS);
}

/* And after it: the rewind is refused and changes nothing, until the tracer lets go. */
static void traced_later(void)
{
	char *page = anon(1, 'a');
	long gen = sys_checkpoint(call_flags);

	expect(gen >= 0);
	expect_filled(page, 1, 'a');
	if (gen)
		_exit(CASE_PASS);
	page[5] = 'T';
	expect_eq(ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
	raise(SIGSTOP);
	expect_traced(sys_rewind(call_flags));
	expect_eq(page[5], 'T');
	raise(SIGSTOP);
	rewind_now();
}

static void under_ptrace(long body, long unused)
{
	int status, stops = 0;
	pid_t pid = fork();

	if (pid == 0)
		((void (*)(void))body)();
	expect(waitpid(pid, &status, 0) == pid);
	/* Each system call stops it, too. */
	for (int i = 0; i < 100 && WIFSTOPPED(status) && stops < 2; i++) {
		stops += WSTOPSIG(status) == SIGSTOP;
		ptrace(stops < 2 ? PTRACE_SYSCALL : PTRACE_DETACH, pid, NULL, NULL);
		if (stops < 2)
			expect(waitpid(pid, &status, 0) == pid);
	}
	expect_eq(stops, 2);
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
}

static pthread_barrier_t barrier;

/* One wins, and ends the others; while it is at work they are busy. */
static void *rewind_at_once(void *unused)
{
	long error;

	pthread_barrier_wait(&barrier);
	error = sys_rewind(call_flags);
	if (error != -EBUSY) {
		char reason[256];

		refusal_reason(reason, sizeof(reason));
		fail("rewind: %s; reason: %s", strerror(-error), reason);
	}
	for (;;)
		pause();
}

static void all_threads_at_once(long count, long unused)
{
	long gen;

	pthread_barrier_init(&barrier, NULL, count);
	gen = checkpoint();
	if (gen == 20)
		return;
	for (long i = 0; i < count; i++) {
		pthread_t thread;

		expect(pthread_create(&thread, NULL, rewind_at_once, NULL) == 0);
	}
	for (;;)
		pause();
}

static void *checkpoint_at_once(void *unused)
{
	long gen;

	pthread_barrier_wait(&barrier);
	gen = sys_checkpoint(call_flags);
	return (void *)gen;
}

static void checkpoints_at_once(long count, long unused)
{
	pthread_t threads[16];
	void *result;

	pthread_barrier_init(&barrier, NULL, count);
	for (long i = 0; i < count; i++)
		expect(pthread_create(&threads[i], NULL, checkpoint_at_once, NULL) == 0);
	for (long i = 0; i < count; i++) {
		pthread_join(threads[i], &result);
		if ((long)result && (long)result != -EBUSY)
			fail("checkpoint in a thread: %ld", (long)result);
	}
}

static volatile long begun, seen_busy, over;

static void *beside_a_rewind(void *unused)
{
	pid_t pid = vfork();

	if (pid == 0) {
		while (!begun)
			usleep(1000);
		usleep(200000);
		seen_busy = sys_checkpoint(call_flags);
		while (!over)
			usleep(1000);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	for (;;)
		pause();
}

/* A thread that waits for its vfork child keeps a rewind waiting for two seconds. */
static void busy_with_another(long unused, long unused2)
{
	pthread_t thread;

	if (checkpoint_plain())
		fail("rewound without an answer");
	expect(pthread_create(&thread, NULL, beside_a_rewind, NULL) == 0);
	usleep(50000);
	begun = 1;
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_eq(seen_busy, -EBUSY);
	over = 1;
}

#define RESULTS	"CRBX"	/* a checkpoint, back from a rewind, busy, anything else */

/* A byte for each call, in a file whose offset the supervisor shares. */
static void tell_result(long result, int rewinds)
{
	char what = RESULTS[3];

	if (result == -EBUSY)
		what = RESULTS[2];
	else if (!rewinds && result >= 0)
		what = RESULTS[result > 0];
	if (what == RESULTS[3]) {
		char reason[256];

		refusal_reason(reason, sizeof(reason));
		fail("%s: %ld; reason: %s", rewinds ? "rewind" : "checkpoint", result, reason);
	}
	if (write(LOG_FD, &what, 1) != 1)
		fail("no log");
}

static void count_results(long *counts)
{
	static char bytes[1 << 16];
	ssize_t n;

	memset(counts, 0, 3 * sizeof(*counts));
	for (off_t at = 0; (n = pread(LOG_FD, bytes, sizeof(bytes), at)) > 0; at += n)
		for (ssize_t i = 0; i < n; i++)
			counts[strchr(RESULTS, bytes[i]) - RESULTS]++;
}

static void *call_one(void *rewinds)
{
	pthread_barrier_wait(&barrier);
	for (;;) {
		long result = rewinds ? sys_rewind(call_flags) : sys_checkpoint(call_flags);

		tell_result(result, !!rewinds);
		if (result == -EBUSY)
			usleep(100);
	}
}

/* Some take checkpoints and some rewind, to whichever was the last; all in each other's way. */
static void both_at_once(long count, long least)
{
	pthread_t thread;
	long counts[3];

	pthread_barrier_init(&barrier, NULL, count + 1);
	for (long i = 0; i < count; i++)
		expect(pthread_create(&thread, NULL, call_one, (void *)(i & 1)) == 0);
	usleep(10000);
	checkpoint_plain();
	pthread_barrier_wait(&barrier);
	do {
		usleep(1000);
		count_results(counts);
	} while (counts[0] < least || counts[1] < least || counts[2] < least);
	diag("  %ld checkpoints, %ld rewinds, %ld times busy", counts[0], counts[1], counts[2]);
}

static void at_the_limit_of_processes(long unused, long unused2)
{
	char *page = anon(4, 'a');
	long gen;

	enter_group("pids", "pids.max", "4");
	gen = checkpoint();
	if (gen == GENERATIONS)
		return;
	page[5] = 'T';
	for (int i = 0; i < 20; i++)
		if (fork() == 0)
			pause();
	rewind_now();
}

#define GROUP	"/cgroup/memory/"
#define HALF	300	/* pages */

enum { FULL = 40, REFUSED, WRONG };	/* exit status */

static void set_limit(long bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", bytes);
	write_text(GROUP "memory.max", text);
}

/* One half of the pages is written, the other given back. */
static void live_within(long spare_pages)
{
	char *pages;
	long gen;

	enter_group("memory", "memory.max", "max");
	write_text(GROUP "memory.swap.max", "0");
	pages = anon(2 * HALF, 'a');
	set_limit(read_long(GROUP "memory.current") + spare_pages * (long)PAGE);
	gen = sys_checkpoint(call_flags);
	if (gen < 0)
		_exit(gen == -ENOMEM ? REFUSED : WRONG);
	for (long i = 0; i < 2 * HALF * (long)PAGE; i++)
		if (pages[i] != 'a')
			_exit(WRONG);
	if (gen == 3)
		_exit(FULL);
	for (long i = 0; i < HALF; i++)
		pages[i * PAGE + 5] = 'T';
	madvise(pages + HALF * PAGE, HALF * PAGE, MADV_DONTNEED);
	gen = sys_rewind(call_flags);
	/* Nothing was changed, then. */
	for (long i = 0; i < HALF; i++)
		if (pages[i * PAGE + 5] != 'T' || pages[(HALF + i) * PAGE])
			_exit(WRONG);
	_exit(gen == -ENOMEM || gen == -EOPNOTSUPP ? REFUSED : WRONG);
}

/*
 * The log is charged. However much it lacks, the process rewinds fully, or is refused, or is
 * killed; it never sees memory that is neither of the request nor of the checkpoint.
 */
static void at_the_limit_of_memory(long step, long unused)
{
	const struct usage before = usage();
	long full = 0, refused = 0, killed = 0;

	for (long spare = 0; spare <= 1000; spare += step) {
		int status;
		pid_t pid;

		pid = fork();
		if (pid == 0)
			live_within(spare);
		expect(waitpid(pid, &status, 0) == pid);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			killed++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == FULL)
			full++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
			refused++;
		else
			fail("with %ld pages to spare: status %#x", spare, status);
	}
	diag("  %ld full, %ld refused, %ld killed", full, refused, killed);
	expect(full > 0 && refused + killed > 0);
	/* What killing takes in a debug kernel hides the memory; the objects are counted. */
	for (int wait = 0; wait < 500 && strcmp(usage().live, before.live); wait++)
		usleep(10000);
	if (strcmp(usage().live, before.live))
		fail("objects %s (before: %s)", usage().live, before.live);
}

static int can_be_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY), good = fd >= 0 && read(fd, &byte, 1) == 1;

	close(fd);
	return good;
}

static void sealed(long unused, long unused2)
{
	char *page = anon(1, 'a');
	long gen = sys_checkpoint(call_flags | RF_SEAL);

	expect(gen >= 0);
	expect_filled(page, 1, 'a');
	expect_eq(sys_checkpoint(call_flags), -EPERM);
	expect_eq(sys_checkpoint(call_flags | RF_SEAL), -EPERM);
	if (gen == GENERATIONS)
		return;
	memset(page, 'T', PAGE);
	rewind_now();
}

/* How this program ends with @argument when it is executed over a checkpoint: a wait status. */
static int status_of_exec(long flags, char *argument)
{
	char *arguments[] = { "/selftests/abi", argument, NULL };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (sys_checkpoint(flags))
			_exit(9);
		execv(arguments[0], arguments);
		_exit(8);
	}
	expect(waitpid(pid, &status, 0) == pid);
	return status;
}

static void exec_drops_it(long unused, long unused2)
{
	int status = status_of_exec(call_flags, REWIND_ONLY);

	expect(WIFEXITED(status));
	expect_eq(WEXITSTATUS(status), ENODATA);
}

/* A program that took no checkpoint has the system's own rules for children again. */
static void exec_ends_the_family(long unused, long unused2)
{
	int status;

	expect_eq(status_of_exec(call_flags, SIBLING_ONLY), 0);
	expect(waitpid(-1, &status, 0) > 0);
	expect_eq(status, 0);
}

/* What a request executes in place of the launcher may not take one of its own. */
static void seal_outlives_exec(long seal, long unused)
{
	int status = status_of_exec(seal, CHECKPOINT_ONLY);

	expect(WIFEXITED(status));
	expect_eq(WEXITSTATUS(status), seal ? EPERM : 0);
}

enum { AS_ROOT = 1, NO_NEW_PRIVILEGES = 2 };

/* The errno that a checkpoint gives in the program of that mode, run by another user. */
static int errno_in_program(mode_t mode, long how)
{
	static const char path[] = "/tmp/program";
	char *arguments[] = { (char *)path, CHECKPOINT_ONLY, NULL };
	int status;
	pid_t pid;

	copy_program(path, mode);
	pid = fork();
	if (pid == 0) {
		if (how & NO_NEW_PRIVILEGES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			_exit(90);
		if (!(how & AS_ROOT) && (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)))
			_exit(91);
		execv(path, arguments);
		_exit(92);
	}
	expect(waitpid(pid, &status, 0) == pid);
	unlink(path);
	expect(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Who gets more rights by an exec than whoever gave the permission does not have that permission. */
static void permission_after_exec(long mode, long how)
{
	int gains = mode & (S_ISUID | S_ISGID) && !how;

	expect_eq(errno_in_program(mode, how), gains ? EPERM : 0);
}

static void sealing_is_no_flag_of_rewind(long unused, long unused2)
{
	expect(checkpoint_plain() == 0);
	expect_eq(sys_rewind(RF_SEAL), -EINVAL);
}

/* The last request's counters are information; a child would tell them. */
static void hidden_from_itself(long unused, long unused2)
{
	static const char path[] = "/proc/sys/vm/rewind_hide_self";
	char own[64];
	int status;
	pid_t pid;

	expect(sys_checkpoint(call_flags) == 0);
	snprintf(own, sizeof(own), "/proc/%d/rewind", getpid());
	expect_eq(write_text(path, "1"), 0);
	note(1, can_be_read(own));
	pid = fork();
	if (pid == 0)
		_exit(can_be_read(own));
	waitpid(pid, &status, 0);
	expect_eq(write_text(path, "0"), 0);
	expect_eq(noted(1), 0);
	expect_eq(status, 0);
	expect(can_be_read(own));
}

/* Another user's child: no right to trace it without CAP_SYS_PTRACE. */
static void give_up_tracing(void)
{
	struct { unsigned int version; int pid; } head = { 0x20080522, 0 };
	struct { unsigned int effective, permitted, inheritable; } sets[2];

	expect_eq(syscall(SYS_capget, &head, sets), 0);
	sets[0].effective &= ~(1U << 19);
	expect_eq(syscall(SYS_capset, &head, sets), 0);
}

static int read_state_of(pid_t pid, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/rewind", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n < 0 ? -errno : 0;
}

static void parent_sees_the_generation(long unused, long unused2)
{
	char text[2048], byte;
	int ready[2], status;
	pid_t child, sibling;
	long gen;

	expect_eq(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		gen = setuid(65534) ? -1 : sys_checkpoint(call_flags);
		if (gen >= 0 && gen < 2)
			sys_rewind(call_flags);
		if (gen != 2 || write(ready[1], "2", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	expect_eq(read(ready[0], &byte, 1), 1);
	give_up_tracing();
	expect_eq(read_state_of(child, text, sizeof(text)), 0);
	if (strcmp(text, "checkpointed 1\ngeneration 2\n"))
		fail("a parent reads: %s", text);
	sibling = fork();
	if (sibling == 0)
		_exit(read_state_of(child, text, sizeof(text)) != -EACCES);
	expect(waitpid(sibling, &status, 0) == sibling);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	expect_eq(status, 0);
}

#define APART(name, body) { name, apart, (long)body, 0, UNPERMITTED, 0 }

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		APART("548 without permission is EPERM", not_permitted),
		APART("550 permits children started later", permits_later_children),
		APART("550 permits the parent's children", permits_its_parents_children),
		APART("550 does not mark another user's parent", not_for_a_parent_of_another_user),
		APART("550 does not mark a parent in another user namespace",
		      not_for_a_parent_in_another_user_namespace),
		APART("550 does not mark a parent outside the namespace",
		      not_for_a_parent_outside_the_namespace),
		{ "549 without a checkpoint is ENODATA", no_checkpoint, 0, 0, 0, 0 },
		{ "unknown flags are EINVAL", unknown_flags, 0, 0, 0, 0 },
		{ "the low two bits are ignored", low_bits_are_ignored, 0, 0, 0, 0 },
		{ "no reuse", every_flag, RF_NO_REUSE, 0, 0, 0 },
		{ "no reuse of regions", every_flag, RF_NO_REGION_REUSE, 0, 0, 0 },
		{ "full walk", every_flag, RF_FULL_WALK, 0, 0, 0 },
		{ "all ablations", every_flag, RF_NO_REUSE | RF_NO_REGION_REUSE | RF_FULL_WALK, 0, 0, 0 },
		{ "a second checkpoint replaces the first", second_checkpoint_replaces, 0, 0, 0, 0 },
		{ "60 checkpoints", many_checkpoints, 0, 0, 0, 60 },
		{ "the sysctl switches it off", switched_off, 0, 0, 0, 0 },
		{ "the sysctl switches it off later", switched_off_later, 0, 0, 0, 0 },
		{ "hashes of pages are for debug kernels", verifying, 0, 0, 0, 0 },
		{ "checkpoint from signal handlers", checkpoint_from_handlers, 0, 0, 0, 0 },
		{ "from a vfork child", vfork_child, 1, 0, 0, 0 },
		{ "from a vfork child, and no checkpoint before", vfork_child, 0, 0, 0, 0 },
		{ "a child has no checkpoint", child_has_none, 0, 0, 0, 0 },
		{ "checkpoint under ptrace", under_ptrace, (long)traced_first, 0, 0, 0 },
		{ "rewind under ptrace", under_ptrace, (long)traced_later, 0, 0, 0 },
		{ "rewind in all threads at once", all_threads_at_once, 8, 0, 0, 60 },
		{ "at the limit of processes", at_the_limit_of_processes, 0, 0, 0, 0 },
		{ "at the limit of memory", at_the_limit_of_memory, 50, 0, 0, 60 },
		{ "at every limit of memory", at_the_limit_of_memory, 10, 0, SLOW, 300 },
		{ "checkpoint in all threads at once", checkpoints_at_once, 8, 0, 0, 30 },
		{ "checkpoint and rewind in threads at once", both_at_once, 6, 20, 0, 60 },
		{ "busy while another rewinds", busy_with_another, 0, 0, 0, 0 },
		{ "exec drops the checkpoint", exec_drops_it, 0, 0, 0, 0 },
		{ "exec ends what holds for children", exec_ends_the_family, 0, 0, 0, 0 },
		{ "a sealed checkpoint cannot be replaced", sealed, 0, 0, 0, 0 },
		{ "a seal outlives exec", seal_outlives_exec, RF_SEAL, 0, 0, 0 },
		{ "without a seal exec is as before", seal_outlives_exec, 0, 0, 0, 0 },
		{ "a set-uid program has no permission", permission_after_exec, 04755, 0, 0, 0 },
		{ "a set-gid program has no permission", permission_after_exec, 02755, 0, 0, 0 },
		{ "another user's program keeps it", permission_after_exec, 0755, 0, 0, 0 },
		{ "a set-uid program of the same user keeps it", permission_after_exec, 04755, AS_ROOT, 0, 0 },
		{ "a set-uid program that gains nothing keeps it", permission_after_exec, 04755,
		  NO_NEW_PRIVILEGES, 0, 0 },
		{ "counters are hidden from a process and its children", hidden_from_itself, 0, 0, 0, 0 },
		{ "sealing is no flag of rewind", sealing_is_no_flag_of_rewind, 0, 0, 0, 0 },
		{ "a parent sees the generation, and no more", parent_sees_the_generation, 0, 0, 0, 0 },
	};

	if (argc == 2 && !strcmp(argv[1], CHECKPOINT_ONLY))
		return -sys_checkpoint(0);
	if (argc == 2 && !strcmp(argv[1], REWIND_ONLY))
		return -sys_rewind(0);
	if (argc == 2 && !strcmp(argv[1], SIBLING_ONLY))
		return syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) < 0;
	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
