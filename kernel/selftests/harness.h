/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Harness of the REWIND self-tests.
 *
 * Every case runs in a child process, the subject.  Its parent, the supervisor,
 * owns everything that must outlive a rewind: the results, a notebook, and a
 * portrait of the subject (all of its memory and every piece of state that
 * /proc shows), taken when checkpoint() returns for the first time and compared
 * each time it returns again.  So a case only has to cause a change:
 *
 *	char *page = anon(1, 'a');
 *	long gen = checkpoint();
 *
 *	if (gen < 3) {
 *		page[5] = 'T';
 *		rewind_now();
 *	}
 *
 * Between the return of the system call and the comparison the subject changes
 * no byte of its memory; the generation travels in a register.
 *
 * Results are TAP 13 on standard output.
 */
#ifndef SELFTEST_HARNESS_H
#define SELFTEST_HARNESS_H

#include <stddef.h>
#include <sys/types.h>

#include "rewind.h"

#define PAGE		4096UL
#define HUGE		(2UL << 20)	/* bytes of a huge page */
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define GENERATIONS	4	/* what most cases run */
#define CONTROL_FD	3
#define LOG_FD		4	/* a file whose description the supervisor shares */
#define PIPE_FD		5	/* the supervisor reads the other end */

/* Exit status of a subject, as in kselftest.h. */
enum { CASE_PASS = 0, CASE_FAIL = 1, CASE_SKIP = 4 };

enum {
	UNPERMITTED	= 1,	/* run before anyone has called rewindable() */
	EXPECT_SIGKILL	= 2,	/* the subject is to die by SIGKILL */
	EXPECT_SIGSEGV	= 4,
	SLOW		= 8,	/* not in the short slice */
};

struct testcase {
	const char *name;
	void (*body)(long a, long b);
	long a, b;
	unsigned int flags;
	unsigned int limit_s;	/* 0: 20 s of the guest's time */
};

int run_cases(int argc, char **argv, const struct testcase *cases, size_t count);

/* In the subject: */

/* Checkpoint and have the supervisor take, later compare, the portrait. */
long checkpoint(void);
/* The same without portrait: for a subject with running threads or swapped pages. */
long checkpoint_plain(void);
/* Does not return; a failed system call fails the case. */
void rewind_now(void) __attribute__((noreturn));
/* The flags that cases pass to both calls (-f, or REWIND_FLAGS). */
extern unsigned long call_flags;
/* Seed of this run (-s, or 1); print it with every failure that depends on it. */
extern unsigned long run_seed;

void fail_at(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void diag(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define fail(...)	fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define expect(cond) \
	do { if (!(cond)) fail("expected: %s (errno %d)", #cond, errno); } while (0)
#define expect_eq(have, want) \
	do { \
		long have_ = (long)(have), want_ = (long)(want); \
		if (have_ != want_) \
			fail("%s is %ld, not %ld", #have, have_, want_); \
	} while (0)

/* The supervisor's notebook: survives rewinds.  16 slots per case, zero at first. */
void note(int slot, long value);
long noted(int slot);

/* Things that only another process can do to the subject. */
long other_process_vm_write(void *address, const void *bytes, size_t length);
long other_mem_write(void *address, const void *bytes, size_t length);
long other_ptrace_poke(void *address, const void *bytes, size_t length);
long other_kill(int signal);
long other_is_alive(pid_t pid);
/* Bytes waiting in the pipe that PIPE_FD writes to. */
long other_drain(void *bytes, size_t length);

/* Helpers */
char *anon(size_t pages, int fill);		/* private, every page touched; fill 0: untouched */
char *room_for_huge(void);			/* the same, untouched: HUGE bytes at their own alignment */
char *file_private(size_t pages, int fill);	/* MAP_PRIVATE of a new tmpfs file */
void expect_filled(const char *start, size_t pages, int fill);
int open_bytes(size_t length, int fill);	/* a tmpfs file of that content */
long number_in(const char *path, const char *key);	/* after the key in its line, or -1 */
long vmstat(const char *key);			/* -1: no such counter */
long meminfo_kb(const char *key);
long read_long(const char *path);		/* -1: cannot be read */
int write_text(const char *path, const char *text);
long refusal_reason(char *text, size_t size);	/* the `refusal` line of /proc/<pid>/rewind */
void expect_reason(const char *reason);		/* of the last refusal: exactly that */
long refusal_reason_of(const char *path, char *text, size_t size);
long rewind_counter(const char *key);		/* a number in /proc/self/rewind, or -1 */
int has_swap(void);
void loopback_up(void);
/* A socket with a port of its own on the loopback interface, which is left in @to. */
struct sockaddr_in;
int bound(int type, struct sockaddr_in *to);
const char *swap_device(void);
/*
 * One that is no descendant, if it is started before the checkpoint: it runs @life, if any, then
 * sleeps for good.
 */
pid_t start_stranger(void (*life)(void *), void *with);
/* What sched_setattr() takes: the C library has none, and the kernel's header collides with it. */
struct attributes {
	unsigned int size, policy;
	unsigned long flags;
	int nice;
	unsigned int priority;
	unsigned long runtime, deadline, period;
	unsigned int clamp_min, clamp_max;
};
long set_attributes(struct attributes *attributes);	/* of the calling thread */
/*
 * A file system of one file, which whoever has it open waits for: its device.  All requests are
 * answered up to the first of a kind, whose number is returned.
 */
#define SERVED_PAGES	32	/* in one write */
int mount_served(const char *path);
unsigned long serve_until(int device, unsigned int kind, unsigned int open_flags);
void answer_served(int device, unsigned long number, const void *what, size_t size);
void copy_program(const char *to, mode_t mode);	/* the running one */
/* Make a cgroup with a limit and enter it; skips the case where there are none. */
void enter_group(const char *name, const char *file, const char *limit);
struct usage {
	long used_kb;			/* without page cache and slab */
	long slab_kb;
	char live[64];			/* objects of the facility */
};
struct usage usage(void);
struct usage settled_usage(void);	/* what caches hold back given up first: slow */
void expect_nothing_kept(const struct usage *before, long processes);
/* A child that runs @life, which ends it with status 0. */
void live_in_child(void (*life)(void));
/* @live is called once for each process, which begins and ends there. */
void expect_lives_keep_nothing(long processes, void (*live)(long number));
unsigned long random_step(unsigned long *state);

#endif
