// SPDX-License-Identifier: GPL-2.0
/* No process that the request has started may live to see the next one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/*
 * A descendant tells its number through a pipe, then never ends by itself; after the
 * rewind the supervisor looks for that number.
 */
static int channel[2];

static void survive(void)
{
	pid_t me = getpid();

	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (write(channel[1], &me, sizeof(me)) != sizeof(me))
		_exit(1);
	for (;;)
		pause();
}

static pid_t heard(void)
{
	pid_t pid = 0;

	if (read(channel[0], &pid, sizeof(pid)) != sizeof(pid))
		fail("no descendant spoke (errno %d)", errno);
	return pid;
}

static void child(void)
{
	if (fork() == 0)
		survive();
}

static void grandchild(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0)
			survive();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void daemon_of_its_own(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		if (fork() == 0)
			survive();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void sibling(void)
{
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		survive();
	if (pid < 0) {
		pid_t none = 0;	/* refused: as good */

		if (write(channel[1], &none, sizeof(none)) < 0)
			_exit(1);
	}
}

static char stack[64 * 1024] __attribute__((aligned(64)));

static int in_the_same_memory(void *unused)
{
	survive();
	return 0;
}

static void shared_memory(void)
{
	clone(in_the_same_memory, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
}

static void shared_memory_and_descriptors(void)
{
	clone(in_the_same_memory, stack + sizeof(stack), CLONE_VM | CLONE_FILES | CLONE_FS, NULL);
}

static void shared_memory_sibling(void)
{
	if (clone(in_the_same_memory, stack + sizeof(stack), CLONE_VM | CLONE_PARENT | SIGCHLD, NULL) < 0) {
		pid_t none = 0;

		if (write(channel[1], &none, sizeof(none)) < 0)
			_exit(1);
	}
}

static void under_a_subreaper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		if (fork() == 0) {
			if (fork() == 0)
				survive();
			_exit(0);
		}
		for (;;)
			pause();
	}
}

static void stopped(void)
{
	pid_t pid = fork(), me;

	if (pid == 0) {
		me = getpid();
		if (write(channel[1], &me, sizeof(me)) != sizeof(me))
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, WUNTRACED);
}

static void zombie(void)
{
	pid_t pid = fork();
	siginfo_t info;

	if (pid == 0) {
		pid = getpid();
		if (write(channel[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		_exit(0);
	}
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
}

static void in_a_pid_namespace(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWPID))
			_exit(1);
		pid = fork();
		if (pid == 0) {
			for (;;)
				pause();
		}
		if (write(channel[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void traced(void)
{
	pid_t pid = fork();

	if (pid == 0)
		survive();
	if (fork() == 0) {
		syscall(SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, pid, 0, 0);
		for (;;)
			pause();
	}
}

static void kept_busy(void)
{
	if (fork() == 0) {
		pid_t me = getpid();

		if (write(channel[1], &me, sizeof(me)) != sizeof(me))
			_exit(1);
		for (;;)
			;
	}
}

static void one(long start, long unused)
{
	void (*begin)(void) = (void (*)(void))start;
	long gen;

	expect(pipe(channel) == 0);
	gen = checkpoint();
	if (gen && noted(0) && other_is_alive(noted(0)))
		fail("process %ld lives after rewind %ld", noted(0), gen);
	if (gen == GENERATIONS)
		return;
	begin();
	note(0, heard());
	rewind_now();
}

/* Who shares more than the memory is a reason to refuse; the caller then ends it all. */
static void refused(long start, long unused)
{
	expect(pipe(channel) == 0);
	if (checkpoint())
		fail("not refused");
	((void (*)(void))start)();
	note(0, heard());
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_reason("descriptors are shared with another process");
	expect(other_is_alive(noted(0)));
}

/* Each child forks on: a rewind has to outrun them. */
static void fork_bomb(long limit, long unused)
{
	long gen = checkpoint();

	if (gen == 3)
		return;
	for (int i = 0; i < limit; i++) {
		if (fork() == 0) {
			for (int k = 0; k < 3; k++)
				fork();
			for (;;)
				if (fork() > 0)
					usleep(1000);
				else
					pause();
		}
	}
	rewind_now();
}

static void many(long count, long unused)
{
	long gen = checkpoint();

	if (gen == 3)
		return;
	for (long i = 0; i < count; i++)
		if (fork() == 0)
			pause();
	rewind_now();
}

/* A child that writes to its copies must not change what the parent gets back. */
static void child_writes(long child_first, long unused)
{
	char *page = anon(16, 'a');
	long gen;
	pid_t pid;

	expect(pipe(channel) == 0);
	gen = checkpoint();
	if (gen == GENERATIONS)
		return;
	if (!child_first)
		memset(page, 'P', 8 * PAGE);
	pid = fork();
	if (pid == 0) {
		expect_filled(page + 8 * PAGE, 8, 'a');
		memset(page, 'C', 16 * PAGE);
		survive();
	}
	heard();
	if (child_first)
		memset(page, 'P', 12 * PAGE);
	if (gen & 1) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		page[9 * PAGE] = 'Q';
	}
	rewind_now();
}

/* The child of a checkpointed process has no checkpoint, and may take its own. */
static void child_has_none(long unused, long unused2)
{
	char *page = anon(1, 'a');
	long gen = checkpoint();
	int status;
	pid_t pid;

	if (gen == GENERATIONS)
		return;
	page[0] = 'P';
	pid = fork();
	if (pid == 0) {
		long own;

		if (sys_rewind(0) != -ENODATA)
			_exit(1);
		own = sys_checkpoint(call_flags);
		if (own < 0)
			_exit(2);
		if (page[0] != 'P' || page[1] != 'a')
			_exit(3);
		if (own == 2)
			_exit(0);
		page[1] = 'C';
		sys_rewind(call_flags);
		_exit(4);
	}
	waitpid(pid, &status, 0);
	if (status)
		fail("child: status %#x", status);
	expect_eq(page[0], 'P');
	rewind_now();
}

/* Only it keeps the segment there, which nobody can find any more. */
static void keep_the_segment(int id)
{
	if (shmat(id, NULL, 0) == (void *)-1 || shmctl(id, IPC_RMID, NULL))
		_exit(1);
	survive();
}

static void *wait_here(void *unused)
{
	for (;;)
		pause();
}

static void lose_the_segment(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	pthread_t thread;
	long gen;

	if (id < 0 || pthread_create(&thread, NULL, wait_here, NULL))
		_exit(10);
	gen = sys_checkpoint(call_flags);
	if (gen)
		_exit(11);
	if (fork() == 0)
		keep_the_segment(id);
	heard();
	_exit(sys_rewind(call_flags) ? 12 : 13);
}

/* Does a line of the kernel's log since @fd was opened tell of it? */
static int log_tells(int fd, pid_t pid)
{
	char text[8192], wanted[64];
	ssize_t n;

	snprintf(wanted, sizeof(wanted), "[%d] cannot be restored (-95), killed", pid);
	while ((n = read(fd, text, sizeof(text) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		text[n > 0 ? n : 0] = 0;
		if (strstr(text, wanted))
			return 1;
	}
	return 0;
}

/*
 * What was in order when it was looked at goes with a descendant that the rewind has killed:
 * it can neither go on then nor go back.
 */
static void lost_with_a_descendant(long unused, long unused2)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), status;
	pid_t pid;

	expect(log >= 0 && lseek(log, 0, SEEK_END) >= 0 && pipe(channel) == 0);
	pid = fork();
	if (pid == 0) {
		close(log);
		lose_the_segment();
	}
	expect(waitpid(pid, &status, 0) == pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail("status %#x", status);
	if (!log_tells(log, pid))
		fail("killed, but the kernel's log does not tell why");
}

#define AS_ROOT		"as-root"
#define SET_UID		"/tmp/as-root"

/* Execs a program that takes the rights of root, as sudo does, and stays. */
static void start_as_root(void)
{
	char *arguments[] = { SET_UID, AS_ROOT, NULL };

	if (fork())
		return;
	dup2(channel[1], 0);
	execv(SET_UID, arguments);
	_exit(1);
}

static int be_root(void)
{
	pid_t own = getpid();

	if (setresuid(0, 0, 0) || write(0, &own, sizeof(own)) != sizeof(own))
		return 1;
	for (;;)
		pause();
}

static void rewinds_without_rights(void)
{
	char reason[128] = "";

	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) || sys_checkpoint(call_flags))
		_exit(21);
	start_as_root();
	note(0, heard());
	if (sys_rewind(call_flags) != -EOPNOTSUPP)
		_exit(22);
	refusal_reason(reason, sizeof(reason));
	note(1, !strncmp(reason, "a descendant has other rights", 29));
	_exit(0);
}

/* A rewind kills only whom kill() may. */
static void descendant_of_root(long unused, long unused2)
{
	int status;
	pid_t pid;

	expect(pipe(channel) == 0);
	copy_program(SET_UID, 04755);
	pid = fork();
	if (pid == 0)
		rewinds_without_rights();
	expect(waitpid(pid, &status, 0) == pid);
	unlink(SET_UID);
	expect_eq(status, 0);
	expect(other_is_alive(noted(0)));
	expect(noted(1));
	kill(noted(0), SIGKILL);
}

#define START(function) { #function, one, (long)function, 0, 0, 0 }

/*
 * Where no ancestor is a subreaper, an orphan would go to init. The supervisor of all cases is one, so
 * this runs before it: what the case below tells is the exit status.
 */
static int orphan_status;

static void rewinds_an_orphan(void)
{
	pid_t pid, orphan;
	int fd;
	long gen;

	if (sys_rewindable())
		_exit(2);
	fd = open_bytes(sizeof(orphan), 0);
	pid = fork();
	if (pid) {
		int status;

		_exit(waitpid(pid, &status, 0) == pid && !status ? 0 : 3);
	}
	gen = sys_checkpoint(0);
	if (gen < 0)
		_exit(4);
	if (gen == 1)
		_exit(pread(fd, &orphan, sizeof(orphan), 0) != sizeof(orphan) ||
		      kill(orphan, 0) == 0);
	pid = fork();
	if (pid == 0) {
		orphan = fork();
		if (orphan == 0)
			for (;;)
				pause();
		_exit(pwrite(fd, &orphan, sizeof(orphan), 0) != sizeof(orphan));
	}
	waitpid(pid, NULL, 0);
	sys_rewind(0);
	_exit(5);
}

static void orphan_of_a_plain_family(long unused, long unused2)
{
	expect_eq(orphan_status, 0);
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		START(child), START(grandchild), START(daemon_of_its_own), START(sibling),
		START(shared_memory), START(shared_memory_sibling),
		{ "shared_memory_and_descriptors", refused, (long)shared_memory_and_descriptors, 0, 0, 0 },
		START(under_a_subreaper), START(stopped), START(zombie), START(in_a_pid_namespace),
		START(traced), START(kept_busy),
		{ "what goes with a descendant cannot be restored", lost_with_a_descendant, 0, 0, 0, 0 },
		{ "a descendant that kill() may not end", descendant_of_root, 0, 0, 0, 0 },
		{ "100 children", many, 100, 0, 0, 60 },
		{ "a fork bomb", fork_bomb, 4, 0, 0, 60 },
		{ "an orphan where nobody is a subreaper", orphan_of_a_plain_family, 0, 0, 0, 0 },
		{ "the child writes after its parent", child_writes, 0, 0, 0, 0 },
		{ "the child writes before its parent", child_writes, 1, 0, 0, 0 },
		{ "a child has no checkpoint of its own", child_has_none, 0, 0, 0, 0 },
	};
	pid_t pid;

	if (argc == 2 && !strcmp(argv[1], AS_ROOT))
		return be_root();
	pid = fork();
	if (pid == 0)
		rewinds_an_orphan();
	waitpid(pid, &orphan_status, 0);
	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
