/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of the launcher: stopped with ptrace, their registers, and system calls that they make for us.
 *
 * At the snapshot and at each restore the main thread stands behind the system call with which it
 * stopped itself, so the instruction before it is one that can be borrowed. Threads that were not there
 * at the snapshot leave by exit(2).
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapshotter.h"

#define XSTATE_MAX 16384
#define KERNEL_SIGSET 8
#define RED_ZONE 128
#define SCRATCH 4096ul
#define ERESTART_RESTARTBLOCK 516
#define SYSCALL_SIZE 2
#define SYSCALL_BYTES 0x050f

struct thread {
	pid_t tid;
	bool gone, stopped;
	struct user_regs_struct regs;
	u64 sigmask;
	size_t xstate_size;
	unsigned char *xstate;
};

pid_t launcher;
u64 injected_calls;
static struct thread *threads;
static size_t nthreads, thread_room;
static DIR *tasks;

static long trace(int request, pid_t tid, u64 address, u64 data)
{
	return ptrace(request, tid, (void *)address, (void *)data);
}

static struct thread *find(pid_t tid)
{
	for (size_t i = 0; i < nthreads; i++)
		if (threads[i].tid == tid)
			return &threads[i];
	return NULL;
}

static struct thread *add(pid_t tid)
{
	threads = grown(threads, &thread_room, nthreads + 1, sizeof(*threads));
	threads[nthreads] = (struct thread){ .tid = tid };
	return &threads[nthreads++];
}

static bool seize(pid_t tid)
{
	return trace(PTRACE_SEIZE, tid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC) == 0;
}

bool threads_attach(pid_t pid)
{
	char name[64];

	launcher = pid;
	if (!seize(pid))
		return refuse("ptrace of the launcher: %s", strerror(errno));
	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	tasks = opendir(name);
	if (!tasks)
		return refuse("%s: %s", name, strerror(errno));
	add(pid)->stopped = true; /* it will be when it matters */
	return true;
}

void threads_ended(pid_t tid)
{
	struct thread *thread = find(tid);

	if (thread)
		thread->gone = true;
}

u64 threads_count(void)
{
	return nthreads;
}

/* Wait until a thread stops; false when it ended. */
static bool await_stop(pid_t tid)
{
	int status;

	while (waitpid(tid, &status, __WALL) < 0)
		if (errno != EINTR)
			return false;
	return WIFSTOPPED(status);
}

/* End a thread that the request started: it makes exit(2) itself. */
static bool end_thread(pid_t tid)
{
	struct user_regs_struct regs;
	int status;

	if (trace(PTRACE_GETREGS, tid, 0, (u64)&regs))
		return errno == ESRCH ? true : refuse("registers of a new thread: %s", strerror(errno));
	regs.rip = threads[0].regs.rip - SYSCALL_SIZE;
	regs.rax = SYS_exit;
	regs.orig_rax = (u64)-1;
	regs.rdi = 0;
	trace(PTRACE_SETREGS, tid, 0, (u64)&regs);
	do {
		trace(PTRACE_CONT, tid, 0, 0);
		if (waitpid(tid, &status, __WALL) < 0)
			return errno == ECHILD ? true : refuse("a new thread does not end");
	} while (WIFSTOPPED(status));
	return true;
}

/* Stop what is listed and not stopped; the number of those, or -1. */
static int stop_listed(bool saving)
{
	struct dirent *entry;
	int stopped = 0;

	rewinddir(tasks);
	while ((entry = readdir(tasks))) {
		pid_t tid = atoi(entry->d_name);
		struct thread *thread = tid ? find(tid) : NULL;

		if (!tid || (thread && (thread->stopped || thread->gone)))
			continue;
		stopped++;
		if (!thread && !seize(tid)) {
			if (errno == ESRCH)
				continue; /* ended meanwhile */
			refuse("ptrace of a thread: %s", strerror(errno));
			return -1;
		}
		if (trace(PTRACE_INTERRUPT, tid, 0, 0) || !await_stop(tid)) {
			threads_ended(tid);
			continue;
		}
		if (!thread && saving)
			thread = add(tid);
		if (thread)
			thread->stopped = true;
		else if (!end_thread(tid))
			return -1;
	}
	return stopped;
}

static bool stop_all(bool saving)
{
	int stopped;

	do
		stopped = stop_listed(saving);
	while (stopped > 0); /* a thread may have started another before it stopped */
	return stopped == 0;
}

static bool save(struct thread *thread)
{
	static unsigned char buffer[XSTATE_MAX];
	struct iovec area = { buffer, sizeof(buffer) };

	if (trace(PTRACE_GETREGS, thread->tid, 0, (u64)&thread->regs) ||
	    trace(PTRACE_GETREGSET, thread->tid, NT_X86_XSTATE, (u64)&area) ||
	    trace(PTRACE_GETSIGMASK, thread->tid, KERNEL_SIGSET, (u64)&thread->sigmask))
		return refuse("registers of a thread: %s", strerror(errno));
	/* What the kernel keeps for restart_syscall is of one moment only. */
	if ((long)thread->regs.orig_rax >= 0 && (long)thread->regs.rax == -ERESTART_RESTARTBLOCK)
		thread->regs.rax = (u64)-EINTR;
	thread->xstate_size = area.iov_len;
	thread->xstate = malloc(area.iov_len);
	if (!thread->xstate)
		return refuse("out of memory");
	memcpy(thread->xstate, buffer, area.iov_len);
	return true;
}

bool threads_save(void)
{
	long word;

	if (!stop_all(true))
		return false;
	for (size_t i = 0; i < nthreads; i++)
		if (!threads[i].gone && !save(&threads[i]))
			return false;
	word = trace(PTRACE_PEEKTEXT, launcher, threads[0].regs.rip - SYSCALL_SIZE, 0);
	if ((word & 0xffff) != SYSCALL_BYTES)
		return refuse("the launcher did not stop in a system call");
	return true;
}

/* Stop all threads of the snapshot and end all others. */
bool threads_stop(void)
{
	threads[0].stopped = true;
	if (!stop_all(false))
		return false;
	for (size_t i = 0; i < nthreads; i++)
		if (threads[i].gone)
			return refuse("a thread of the snapshot has ended");
	return true;
}

bool threads_restore(void)
{
	for (size_t i = 0; i < nthreads; i++) {
		struct thread *thread = &threads[i];
		struct iovec area = { thread->xstate, thread->xstate_size };

		if (trace(PTRACE_SETREGS, thread->tid, 0, (u64)&thread->regs) ||
		    trace(PTRACE_SETREGSET, thread->tid, NT_X86_XSTATE, (u64)&area) ||
		    trace(PTRACE_SETSIGMASK, thread->tid, KERNEL_SIGSET, (u64)&thread->sigmask))
			return refuse("registers of a thread: %s", strerror(errno));
	}
	return true;
}

bool threads_resume(void)
{
	for (size_t i = nthreads; i-- > 0;) {
		if (threads[i].gone)
			continue;
		threads[i].stopped = false;
		if (trace(PTRACE_CONT, threads[i].tid, 0, 0))
			return refuse("a thread cannot go on: %s", strerror(errno));
	}
	return true;
}

/*
 * One step over the borrowed instruction is one system call. Signals that arrive meanwhile belong to the
 * request that is over, and are dropped.
 */
bool inject(long *result, long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	struct user_regs_struct regs = threads[0].regs;
	u64 borrowed = regs.rip - SYSCALL_SIZE;

	regs.rip = borrowed;
	regs.rax = (u64)nr;
	regs.orig_rax = (u64)-1;
	regs.rdi = a;
	regs.rsi = b;
	regs.rdx = c;
	regs.r10 = d;
	regs.r8 = e;
	regs.r9 = f;
	injected_calls++;
	if (trace(PTRACE_SETREGS, launcher, 0, (u64)&regs))
		return refuse("injected call: %s", strerror(errno));
	do {
		if (trace(PTRACE_SINGLESTEP, launcher, 0, 0) || !await_stop(launcher))
			return refuse("the launcher ended during its restore");
		if (trace(PTRACE_GETREGS, launcher, 0, (u64)&regs))
			return refuse("injected call: %s", strerror(errno));
	} while (regs.rip == borrowed);
	if (regs.rip != borrowed + SYSCALL_SIZE)
		return refuse("an injected call went astray");
	*result = (long)regs.rax;
	return true;
}

u64 scratch(const void *bytes, size_t size)
{
	u64 address = (threads[0].regs.rsp - RED_ZONE - SCRATCH) & ~63ul;

	return size <= SCRATCH && memory_write(address, bytes, size) ? address : 0;
}
