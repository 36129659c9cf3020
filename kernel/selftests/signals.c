// SPDX-License-Identifier: GPL-2.0
/* Signals and timers: masks, dispositions, what is pending, alternate stack. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static volatile sig_atomic_t delivered;

static void count(int signal)
{
	delivered++;
}

static void block(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	expect(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
}

static void mask(void) { block(SIGUSR2); block(SIGTERM); }
static void disposition(void) { signal(SIGUSR1, count); signal(SIGTERM, SIG_IGN); }
static void disposition_flags(void)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESETHAND | SA_NODEFER };

	sigfillset(&action.sa_mask);
	expect(sigaction(SIGUSR2, &action, NULL) == 0);
}

static void ignored_child(void) { signal(SIGCHLD, SIG_IGN); }

static void pending(void)
{
	block(SIGUSR1);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR2);
}

static void pending_real_time(void)
{
	union sigval value = { .sival_int = 7 };

	block(SIGRTMIN + 3);
	for (int i = 0; i < 20; i++)
		expect(sigqueue(getpid(), SIGRTMIN + 3, value) == 0);
}

static void alternate_stack(void)
{
	stack_t stack = { .ss_sp = anon(16, 0), .ss_size = 16 * PAGE };

	expect(sigaltstack(&stack, NULL) == 0);
}

static void no_alternate_stack(void)
{
	stack_t stack = { .ss_flags = SS_DISABLE };

	expect(sigaltstack(&stack, NULL) == 0);
}

static void interval_timer(void)
{
	struct itimerval soon = { { 0, 2000 }, { 0, 1000 } };

	expect(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

/* Its signal is ignored, so nobody starts it again: an interval is all that is left of it. */
static void expired_timer(void)
{
	struct itimerval left;

	interval_timer();
	do
		expect(getitimer(ITIMER_REAL, &left) == 0);
	while (left.it_value.tv_usec);
	expect(left.it_interval.tv_usec == 2000);
}

/* An interval without a time says nothing but itself. */
static void interval_alone(void)
{
	struct itimerval never = { { 0, 2000 }, { 0, 0 } }, left;

	for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		expect(setitimer(which, &never, NULL) == 0);
		expect(getitimer(which, &left) == 0 && left.it_interval.tv_usec == 2000);
	}
}

static void cpu_timers(void)
{
	struct itimerval soon = { { 0, 2000 }, { 0, 1000 } };

	expect(setitimer(ITIMER_VIRTUAL, &soon, NULL) == 0);
	expect(setitimer(ITIMER_PROF, &soon, NULL) == 0);
}

static void alarm_clock(void) { alarm(1); }

static void posix_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec soon = { { 0, 1000000 }, { 0, 1000000 } };
	timer_t timer;

	expect(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	expect(timer_settime(timer, 0, &soon, NULL) == 0);
}

static void many_posix_timers(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	for (int i = 0; i < 50; i++)
		expect(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
}

static void one(long change, long unused)
{
	struct itimerval left;
	stack_t stack = { .ss_sp = anon(8, 's'), .ss_size = 8 * PAGE };
	sigset_t set;
	long gen;

	signal(SIGUSR1, count);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGALRM, SIG_IGN);
	signal(SIGVTALRM, SIG_IGN);
	signal(SIGPROF, SIG_IGN);
	sigaltstack(&stack, NULL);
	gen = checkpoint();
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		expect(getitimer(which, &left) == 0);
		if (left.it_value.tv_sec || left.it_value.tv_usec || left.it_interval.tv_usec)
			fail("interval timer %d runs after rewind %ld", which, gen);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	if (delivered)
		fail("a signal of an earlier request arrived");
	if (gen == GENERATIONS)
		return;
	((void (*)(void))change)();
	rewind_now();
}

/* A rewind from a handler leaves that handler for good, on whichever stack it ran. */
static void rewind_in_handler(int signal)
{
	rewind_now();
}

static void from_handler(long on_alternate_stack, long unused)
{
	struct sigaction action = { .sa_handler = rewind_in_handler,
				    .sa_flags = on_alternate_stack ? SA_ONSTACK : 0 };
	stack_t stack = { .ss_sp = anon(8, 's'), .ss_size = 8 * PAGE };
	char *page = anon(1, 'a');
	long gen;

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	gen = checkpoint();
	if (gen == GENERATIONS)
		return;
	page[7] = 'T';
	raise(SIGUSR1);
	fail("the handler returned");
}

/* A checkpoint in a handler is a point like any other. */
static void checkpoint_in_handler(int signal)
{
	long gen = checkpoint();

	if (gen < GENERATIONS)
		rewind_now();
}

static void within_handler(long unused, long unused2)
{
	signal(SIGUSR1, checkpoint_in_handler);
	raise(SIGUSR1);
}

/* The order to stop comes from outside: no rewind may swallow it. */
static void order_from_outside(long unused, long unused2)
{
	sigset_t waiting;
	long gen;

	block(SIGTERM);
	gen = checkpoint_plain();
	if (gen == 0) {
		expect(other_kill(SIGTERM) == 0);
		rewind_now();
	}
	sigpending(&waiting);
	if (!sigismember(&waiting, SIGTERM))
		fail("SIGTERM from outside was dropped");
}

/* Is that thread in that system call, asleep? */
static int is_in_call(pid_t pid, long number)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	return read_long(path) == number;
}

static volatile int started;

/* It waits for a child that shares its memory, where no signal but SIGKILL reaches it. */
static void *wait_for_vfork(void *unused)
{
	if (vfork() == 0) {
		started = 1;
		for (;;)
			pause();
	}
	return NULL;
}

static void kill_when_in_rewind(pid_t pid)
{
	while (!is_in_call(pid, NR_REWIND))
		usleep(1000);
	kill(pid, SIGKILL);
	_exit(0);
}

/* Killed while it waits for a thread that does not come: not when the time for that is up. */
static void killed_in_rendezvous(long unused, long unused2)
{
	pthread_t thread;
	pid_t self = getpid();

	expect(checkpoint_plain() == 0);
	expect(pthread_create(&thread, NULL, wait_for_vfork, NULL) == 0);
	while (!started)
		usleep(1000);
	if (fork() == 0)
		kill_when_in_rewind(self);
	rewind_now();
}

static void timer_before_the_checkpoint(long unused, long unused2)
{
	struct itimerval hour = { { 0, 0 }, { 3600, 0 } }, left;
	long gen;

	expect(setitimer(ITIMER_REAL, &hour, NULL) == 0);
	gen = checkpoint_plain();
	expect(getitimer(ITIMER_REAL, &left) == 0);
	if (left.it_value.tv_sec < 3000)
		fail("the timer has %ld s left after rewind %ld", left.it_value.tv_sec, gen);
	if (gen == 3)
		return;
	hour.it_value.tv_sec = gen == 1 ? 0 : 5;
	setitimer(ITIMER_REAL, &hour, NULL);
	rewind_now();
}

static void expired_before_the_checkpoint(long unused, long unused2)
{
	struct itimerval none = { 0 }, left;
	long gen;

	signal(SIGALRM, SIG_IGN);
	expired_timer();
	gen = checkpoint();
	expect(getitimer(ITIMER_REAL, &left) == 0);
	if (left.it_value.tv_usec || left.it_interval.tv_usec != 2000)
		fail("interval %ld us after rewind %ld", (long)left.it_interval.tv_usec, gen);
	if (gen == 3)
		return;
	none.it_value.tv_sec = gen == 1 ? 0 : 5;
	setitimer(ITIMER_REAL, &none, NULL);
	rewind_now();
}

/* A signal that a timer of the request has left pending is the request's. */
static void signal_of_a_timer(long unused, long unused2)
{
	struct itimerval soon = { { 0, 0 }, { 0, 1000 } };
	sigset_t set, pending;
	long gen;

	signal(SIGALRM, count);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	gen = checkpoint();
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	if (delivered)
		fail("a signal of an earlier request arrived after rewind %ld", gen);
	if (gen == GENERATIONS)
		return;
	sigprocmask(SIG_BLOCK, &set, NULL);
	expect(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGALRM));
	rewind_now();
}

#define CHANGE(function) { #function, one, (long)function, 0, 0, 0 }

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		CHANGE(mask), CHANGE(disposition), CHANGE(disposition_flags), CHANGE(ignored_child),
		CHANGE(pending), CHANGE(pending_real_time), CHANGE(alternate_stack),
		CHANGE(no_alternate_stack), CHANGE(interval_timer), CHANGE(expired_timer),
		CHANGE(interval_alone), CHANGE(cpu_timers), CHANGE(alarm_clock), CHANGE(posix_timer),
		CHANGE(many_posix_timers),
		{ "rewind from a handler", from_handler, 0, 0, 0, 0 },
		{ "rewind from a handler on the alternate stack", from_handler, 1, 0, 0, 0 },
		{ "checkpoint within a handler", within_handler, 0, 0, 0, 0 },
		{ "SIGTERM from outside", order_from_outside, 0, 0, 0, 0 },
		{ "SIGKILL in the rendezvous", killed_in_rendezvous, 0, 0, EXPECT_SIGKILL, 0 },
		{ "a signal that a timer has sent", signal_of_a_timer, 0, 0, 0, 0 },
		{ "a timer that ran at the checkpoint", timer_before_the_checkpoint, 0, 0, 0, 0 },
		{ "a timer that had expired at the checkpoint", expired_before_the_checkpoint, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
