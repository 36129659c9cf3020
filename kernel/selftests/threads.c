// SPDX-License-Identifier: GPL-2.0
/*
 * Threads of the checkpoint continue where they were, with the same numbers; later ones
 * end; any of them may rewind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define POOL	4

/* A pool as BLAS libraries have it: idle threads in a futex wait, woken with a job. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t job_given = PTHREAD_COND_INITIALIZER, job_done = PTHREAD_COND_INITIALIZER;
static int job, done, seen[POOL], rewinder = -1;
static pid_t numbers[POOL];
static double sums[POOL];

static void *pool_thread(void *argument)
{
	long me = (long)argument;
	double sum = me;
	int mine = 0;

	numbers[me] = syscall(SYS_gettid);
	pthread_mutex_lock(&lock);
	for (;;) {
		done++;
		pthread_cond_signal(&job_done);
		while (job == mine)
			pthread_cond_wait(&job_given, &lock);
		mine = job;
		seen[me]++;
		pthread_mutex_unlock(&lock);
		for (int i = 0; i < 1000; i++)
			sum = sum * 1.0000001 + me;
		sums[me] = sum;
		if (rewinder == me)
			rewind_now();
		pthread_mutex_lock(&lock);
	}
	return NULL;
}

static void wait_for_pool(int count)
{
	pthread_mutex_lock(&lock);
	while (done < count)
		pthread_cond_wait(&job_done, &lock);
	pthread_mutex_unlock(&lock);
}

static void run_job(void)
{
	pthread_mutex_lock(&lock);
	done = 0;
	job++;
	pthread_cond_broadcast(&job_given);
	pthread_mutex_unlock(&lock);
	wait_for_pool(POOL);
}

/* Until every other thread sleeps: the comparison wants the pool at rest. */
static void settle(void)
{
	char path[64], text[256], state;
	int running = 1;

	while (running) {
		running = 0;
		for (int i = 0; i < POOL; i++) {
			FILE *file;

			snprintf(path, sizeof(path), "/proc/self/task/%d/stat", numbers[i]);
			file = fopen(path, "r");
			expect(file);
			if (!fgets(text, sizeof(text), file))
				fail("no state of thread %d", numbers[i]);
			fclose(file);
			state = strrchr(text, ')')[2];
			running |= state != 'S';
		}
	}
}

static void start_pool(void)
{
	for (long i = 0; i < POOL; i++) {
		pthread_t thread;

		expect(pthread_create(&thread, NULL, pool_thread, (void *)i) == 0);
	}
	wait_for_pool(POOL);
	run_job();
	settle();
}

static void *spin(void *counter)
{
	for (;;)
		(*(volatile long *)counter)++;
	return NULL;
}

static void *rewind_here(void *unused)
{
	volatile char frame[20000];

	memset((void *)frame, 'T', sizeof(frame));
	rewind_now();
}

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
}

static void *come_and_go(void *unused)
{
	return NULL;
}

enum { IDLE, WORKED, WORKING, BORN_SPINNING, BORN_MANY, BY_POOL_THREAD, BY_BORN_THREAD, SOME_ENDED };

static long counter;

static void with_pool(long what, long generations)
{
	pthread_t thread;
	long gen;

	start_pool();
	gen = checkpoint();
	if (gen == generations)
		return;
	if (what != IDLE) {
		int before = seen[0];

		run_job();
		run_job();
		expect_eq(seen[0], before + 2);
	}
	switch (what) {
	case WORKING:
		pthread_mutex_lock(&lock);
		job++;
		pthread_cond_broadcast(&job_given);
		pthread_mutex_unlock(&lock);
		break;
	case BORN_SPINNING:
		pthread_create(&thread, NULL, spin, &counter);
		while (!*(volatile long *)&counter)
			;
		break;
	case BORN_MANY:
		for (int i = 0; i < 20; i++)
			pthread_create(&thread, NULL, sleep_on, NULL);
		break;
	case SOME_ENDED:
		for (int i = 0; i < 20; i++) {
			pthread_create(&thread, NULL, come_and_go, NULL);
			pthread_join(thread, NULL);
		}
		break;
	case BY_POOL_THREAD:
		rewinder = gen % POOL;
		run_job();
		pause();
		break;
	case BY_BORN_THREAD:
		pthread_create(&thread, NULL, rewind_here, NULL);
		for (;;)
			pause();
	}
	rewind_now();
}

/* A thread that runs at the checkpoint is taken back to where it ran. */
static void running_at_the_checkpoint(long unused, long unused2)
{
	static volatile long count;
	pthread_t thread;
	long gen, then;

	expect(pthread_create(&thread, NULL, spin, (void *)&count) == 0);
	while (count < 100)
		;
	gen = checkpoint_plain();
	then = count;
	while (count < then + 100)
		;
	note(0, noted(0) + 1);
	if (gen == GENERATIONS)
		return;
	for (long i = count; count < i + 20000; )
		;
	rewind_now();
}

static volatile int woken, ready;

static void *futex_sleeper(void *word)
{
	ready = 1;
	while (*(volatile int *)word == 0)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	woken = 1;
	for (;;)
		pause();
}

static void futex_wait_goes_on(long unused, long unused2)
{
	static int word;
	pthread_t thread;
	long gen;

	pthread_create(&thread, NULL, futex_sleeper, &word);
	while (!ready)
		;
	usleep(10000);
	gen = checkpoint();
	word = 1;
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	while (!woken)
		usleep(100);
	if (gen < GENERATIONS)
		rewind_now();
}

static int wire[2];
static volatile long outcome;

static void *read_a_byte(void *unused)
{
	char byte;

	ready = 1;
	outcome = read(wire[0], &byte, 1) < 0 ? -errno : byte;
	for (;;)
		pause();
}

static void *sleep_a_while(void *unused)
{
	struct timespec time = { 0, 200000000 };

	ready = 1;
	outcome = nanosleep(&time, &time) < 0 ? -errno : 'x';
	for (;;)
		pause();
}

/* A system call that a thread was in begins again, and does what it was to do. */
static void call_goes_on(long life, long unused)
{
	pthread_t thread;
	long gen;

	expect(pipe(wire) == 0);
	expect(pthread_create(&thread, NULL, (void *(*)(void *))life, NULL) == 0);
	while (!ready)
		;
	usleep(10000);
	gen = checkpoint_plain();
	expect_eq(outcome, 0);
	usleep(1000);
	if (life == (long)read_a_byte)
		expect(write(wire[1], "x", 1) == 1);
	while (!outcome)
		usleep(100);
	if (outcome != 'x')
		fail("it came to %ld after rewind %ld", outcome, gen);
	if (gen < GENERATIONS)
		rewind_now();
}

/* The mask in force is the one outside sigsuspend(), not the temporary one. */
static void nothing(int signal)
{
}

static volatile int left_mask;

static void *suspended(void *unused)
{
	sigset_t own, temporary, now;

	sigemptyset(&own);
	sigaddset(&own, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	sigfillset(&temporary);
	sigdelset(&temporary, SIGUSR1);
	ready = 1;
	sigsuspend(&temporary);
	pthread_sigmask(0, NULL, &now);
	left_mask = sigismember(&now, SIGTERM) ? 2 : 1;
	for (;;)
		pause();
}

static void sigsuspend_mask(long unused, long unused2)
{
	pthread_t thread;
	long gen;

	signal(SIGUSR1, nothing);
	pthread_create(&thread, NULL, suspended, NULL);
	while (!ready)
		;
	usleep(20000);
	gen = checkpoint_plain();
	usleep(20000);
	pthread_kill(thread, SIGUSR1);
	while (!left_mask)
		usleep(1000);
	if (left_mask != 1)
		fail("sigsuspend's temporary mask became permanent after rewind %ld", gen);
	if (gen < 2)
		rewind_now();
}

static void *leave(void *unused)
{
	ready = 1;
	while (ready == 1)
		usleep(100);
	return NULL;
}

/* A thread of the checkpoint that has ended cannot be brought back: refuse. */
static void a_thread_has_ended(long unused, long unused2)
{
	char *page = anon(1, 'a');
	pthread_t thread;
	long gen, error;

	pthread_create(&thread, NULL, leave, NULL);
	while (!ready)
		;
	usleep(10000);
	gen = checkpoint_plain();
	if (gen > 0)
		fail("rewound without a thread of the checkpoint");
	ready = 2;
	pthread_join(thread, NULL);
	page[5] = 'T';
	error = sys_rewind(call_flags);
	expect_eq(error, -EOPNOTSUPP);
	expect_reason("a thread of the checkpoint has exited");
	expect_eq(page[5], 'T');
}

static volatile int turns, started;

static void *rewind_in_turn(void *unused)
{
	long error;

	__sync_fetch_and_add(&started, 1);
	for (;;) {
		while (!turns)
			usleep(10);
		error = sys_rewind(call_flags);
		if (error != -EBUSY)
			fail("rewind: %ld", error);
	}
}

static void *sleep_for_good(void *word)
{
	__sync_fetch_and_add(&started, 1);
	for (;;)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

/* Threads of the checkpoint that rewind again the moment they are back, beside some asleep. */
static void in_turn(long count, long generations)
{
	static int word;
	pthread_t thread;
	long gen;

	for (long i = 0; i < count; i++) {
		pthread_create(&thread, NULL, rewind_in_turn, NULL);
		pthread_create(&thread, NULL, sleep_for_good, &word);
	}
	while (started < 2 * count)
		usleep(1000);
	usleep(10000);
	gen = checkpoint_plain();
	if (gen == generations)
		return;
	turns = 1;
	rewind_in_turn(NULL);
}

static void *rewind_when_told(void *unused)
{
	__sync_fetch_and_add(&started, 1);
	while (!turns)
		;
	rewind_now();
}

/* Whoever is back before the caller of the rewind is through with all that sleep is not told to wait. */
static void one_after_the_other(long sleepers, long generations)
{
	static int word;
	pthread_t thread;
	long gen;

	for (long i = 0; i < sleepers; i++)
		expect(pthread_create(&thread, NULL, sleep_for_good, &word) == 0);
	expect(pthread_create(&thread, NULL, rewind_when_told, NULL) == 0);
	while (started <= sleepers)
		usleep(1000);
	usleep(10000);
	gen = sys_checkpoint(call_flags);
	expect(gen >= 0);
	if (gen == generations)
		return;
	if (gen & 1)
		rewind_now();
	turns = 1;
	for (;;)
		pause();
}

#define IDLE_PRIORITY	(2 << 13 | 4)	/* best effort, the default level */

/* Changes what cannot be put back of another thread, and back, all the time. */
static void *meddle(void *unused)
{
	for (;;) {
		syscall(SYS_ioprio_set, 1, numbers[0], 2 << 13 | 7);
		syscall(SYS_ioprio_set, 1, numbers[0], IDLE_PRIORITY);
	}
}

/* Others have been looked at when the last thread comes; it can change them until then. */
static void changed_by_a_later_thread(long generations, long unused)
{
	pthread_t thread;
	long gen, tries = 0;

	start_pool();
	syscall(SYS_ioprio_set, 1, numbers[0], IDLE_PRIORITY);
	settle();
	gen = checkpoint_plain();
	if (syscall(SYS_ioprio_get, 1, numbers[0]) != IDLE_PRIORITY)
		fail("priority %ld after rewind %ld", syscall(SYS_ioprio_get, 1, numbers[0]), gen);
	if (gen == generations)
		return;
	expect(pthread_create(&thread, NULL, meddle, NULL) == 0);
	while (sys_rewind(call_flags) == -EOPNOTSUPP && ++tries < 1000)
		usleep(random_step(&run_seed) % 200);
	fail("refused %ld times", tries);
}

static pthread_t main_thread;

/* What is left of it has no memory any more, but the process has. */
static void wait_for_its_end(void)
{
	char text[256] = "";

	while (!strstr(text, ") Z ")) {
		FILE *file = fopen("/proc/self/stat", "r");

		expect(file && fgets(text, sizeof(text), file));
		fclose(file);
	}
}

static void *checkpoint_alone(void *unused)
{
	pthread_join(main_thread, NULL);
	wait_for_its_end();
	expect_eq(sys_checkpoint(call_flags), -EOPNOTSUPP);
	expect_reason("the main thread has exited");
	_exit(CASE_PASS);
}

/* It stays among the threads until the last of them ends: not to be waited for. */
static void without_the_main_thread(long unused, long unused2)
{
	pthread_t thread;

	main_thread = pthread_self();
	pthread_create(&thread, NULL, checkpoint_alone, NULL);
	pthread_exit(NULL);
}

static void *stop_sharing(void *flags)
{
	if (syscall(SYS_unshare, (long)flags))
		return NULL;
	for (;;)
		pause();
}

static void a_thread_unshared(long flags, long unused)
{
	pthread_t thread;
	long gen = checkpoint_plain(), error;

	if (gen > 0)
		return;	/* it ended: it was younger than the checkpoint */
	pthread_create(&thread, NULL, stop_sharing, (void *)flags);
	usleep(20000);
	error = sys_rewind(call_flags);
	expect_eq(error, -EOPNOTSUPP);
	expect_reason("a thread has its own descriptors or directory");
}

static int never_ends(void *unused)
{
	for (;;)
		pause();
	return 0;
}

/* A later thread's end clears a word for who waits for it; here that is memory of the checkpoint. */
static void word_of_a_later_thread(long unused, long unused2)
{
	static char own_stack[32768] __attribute__((aligned(64)));
	int *word = (int *)anon(1, 'w');
	const int how = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	long gen = checkpoint();

	expect_filled((char *)word, 1, 'w');
	if (gen == GENERATIONS)
		return;
	expect(clone(never_ends, own_stack + sizeof(own_stack), how | CLONE_CHILD_CLEARTID, NULL,
		     NULL, NULL, word) > 0);
	rewind_now();
}

static void *rewind_as_a_later_thread(void *unused)
{
	sys_rewind(call_flags);
	_exit(3);
}

static void life_of_a_later_thread(void)
{
	pthread_t thread;
	long gen = sys_checkpoint(call_flags);

	if (gen)
		_exit(gen != 1);
	pthread_create(&thread, NULL, rewind_as_a_later_thread, NULL);
	for (;;)
		pause();
}

static void live_with_a_later_thread(long unused) { live_in_child(life_of_a_later_thread); }

static void later_threads_go(long processes, long unused)
{
	expect_lives_keep_nothing(processes, live_with_a_later_thread);
}

static volatile pid_t vfork_child;

static void *wait_for_vfork(void *unused)
{
	pid_t pid = vfork();

	if (pid == 0) {
		vfork_child = getpid();
		for (;;)
			pause();
	}
	waitpid(pid, NULL, 0);
	vfork_child = 0;
	return NULL;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Nothing but the child's end wakes such a thread: given up after two seconds, all as it was. */
static void a_thread_waits_for_vfork(long unused, long unused2)
{
	char *page = anon(1, 'a');
	long gen = checkpoint_plain(), begin;
	pthread_t thread;

	expect_filled(page, 1, 'a');
	if (gen)
		return;
	expect(pthread_create(&thread, NULL, wait_for_vfork, NULL) == 0);
	while (!vfork_child)
		usleep(1000);
	page[5] = 'T';
	begin = now_ms();
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	begin = now_ms() - begin;
	if (begin < 1900 || begin > 4000)
		fail("refused after %ld ms", begin);
	expect_reason("a thread does not answer");
	expect_eq(page[5], 'T');
	kill(vfork_child, SIGKILL);
	while (vfork_child)
		usleep(1000);
	rewind_now();
}

/* ---- disturbed from outside -------------------------------------------- */

/*
 * The subject is a child of its process, which stops it, freezes it and sends it signals
 * while it rewinds again and again. Each queued signal comes once and in its order, also
 * one that waited through a rewind: it is nobody's in the process.
 */
#define END	"/tmp/threads.end"	/* the subject may end once it exists */
#define FREEZER	"/cgroup/frozen/"
#define QUEUED	(SIGRTMIN + 2)
#define SAME	64			/* pages */

enum { STOPS = 1, SIGNALS = 2, FREEZES = 4 };

static int report[2];

static void tell(int number, siginfo_t *info, void *context)
{
	if (number == QUEUED && write(report[1], &info->si_value.sival_int, sizeof(int)) != sizeof(int))
		_exit(CASE_FAIL);
}

static void tell_too(int number, siginfo_t *info, void *context)
{
	tell(number, info, context);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigfillset(&action.sa_mask);
	expect(sigaction(number, &action, NULL) == 0);
}

static void expect_handlers(void)
{
	const int numbers[] = { SIGUSR1, QUEUED };
	struct sigaction now;
	sigset_t mask;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		expect(sigaction(numbers[i], NULL, &now) == 0);
		expect(now.sa_sigaction == tell && sigismember(&now.sa_mask, SIGHUP) == 1);
	}
	expect(sigaction(SIGUSR2, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	expect(sigprocmask(0, NULL, &mask) == 0 && !sigismember(&mask, QUEUED));
}

/* Who is stopped does not answer; who is looked at is not alone with its memory. */
static void rewind_in_spite(void)
{
	char reason[256];

	for (int i = 0; i < 1000; i++) {
		expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
		refusal_reason(reason, sizeof(reason));
		if (strncmp(reason, "a thread does not answer", 24) &&
		    strncmp(reason, "the memory is shared with", 25))
			fail("refused for '%s'", reason);
	}
	fail("refused all the time");
}

static void keep_rewinding(int kinds)
{
	static int word;
	char *pages = anon(SAME, 's');
	sigset_t all, none;
	pthread_t thread;
	long gen;

	if (kinds & FREEZES)
		enter_group("frozen", "cgroup.freeze", "0");
	handle(SIGUSR1, tell);
	handle(QUEUED, tell);
	sigfillset(&all);
	sigemptyset(&none);
	/* Signals are for the thread that rewinds. */
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < 2; i++)
		expect(pthread_create(&thread, NULL, sleep_for_good, &word) == 0);
	expect(pthread_create(&thread, NULL, spin, &counter) == 0);
	sigprocmask(SIG_SETMASK, &none, NULL);
	gen = sys_checkpoint(call_flags);
	expect(gen >= 0);
	expect_filled(pages, SAME, 's');
	expect_handlers();
	if (gen && !access(END, F_OK))
		_exit(CASE_PASS);
	memset(pages + gen % SAME * PAGE, 'T', PAGE);
	handle(SIGUSR1, tell_too);
	handle(QUEUED, tell_too);
	signal(SIGUSR2, SIG_IGN);
	memset(pages + gen * 7 % SAME * PAGE, 'U', PAGE);
	sigprocmask(SIG_SETMASK, &all, NULL);
	rewind_in_spite();
}

static long generation_of(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/rewind", pid);
	return number_in(path, "generation");
}

/* Still there, and not standing still. */
static void expect_progress(pid_t pid)
{
	long then = generation_of(pid);
	int status;

	for (int i = 0; i < 20000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			fail("ended with status %#x after rewind %ld", status, then);
		if (generation_of(pid) > then)
			return;
		usleep(500);
	}
	fail("no rewind after %ld", then);
}

/* Comes to a full stop, if it does not take long; another time it is let go before. */
static int stop_for_a_while(pid_t pid, int wait)
{
	int status, stopped = 0;

	expect(kill(pid, SIGSTOP) == 0);
	for (int i = 0; i < wait && !stopped; i++) {
		usleep(1000);
		stopped = waitpid(pid, &status, WNOHANG | WUNTRACED) == pid && WIFSTOPPED(status);
	}
	expect(kill(pid, SIGCONT) == 0);
	return stopped;
}

static int freeze_for_a_while(int wait)
{
	int frozen = 0;

	expect_eq(write_text(FREEZER "cgroup.freeze", "1"), 0);
	for (int i = 0; i < wait && !frozen; i++) {
		usleep(1000);
		frozen = number_in(FREEZER "cgroup.events", "frozen") == 1;
	}
	expect_eq(write_text(FREEZER "cgroup.freeze", "0"), 0);
	return frozen;
}

static int told, sent;

static void hear_them(void)
{
	int value;

	while (read(report[0], &value, sizeof(value)) == sizeof(value)) {
		if (value != told)
			fail("signal %d came when %d was to", value, told);
		told++;
	}
}

static void send_some(pid_t pid, int count)
{
	while (count--) {
		union sigval value = { .sival_int = sent };

		kill(pid, SIGUSR1);
		sent += sigqueue(pid, QUEUED, value) == 0;
		hear_them();
	}
}

static void disturbed(long kinds, long rounds)
{
	unsigned long random = run_seed;
	int stopped = 0, frozen = 0, status;
	long generations;
	pid_t pid;

	unlink(END);
	expect(pipe2(report, O_NONBLOCK) == 0);
	pid = fork();
	if (pid == 0) {
		close(report[0]);
		keep_rewinding(kinds);
	}
	while (generation_of(pid) < 0)
		usleep(1000);
	for (long i = 0; i < rounds; i++) {
		if (kinds & SIGNALS)
			send_some(pid, random_step(&random) % 50);
		if (kinds & STOPS)
			stopped += stop_for_a_while(pid, random_step(&random) % 2 * 20);
		if (kinds & FREEZES)
			frozen += freeze_for_a_while(random_step(&random) % 2 * 20);
		usleep(random_step(&random) % 2000);
		if (i % 4 == 0)
			expect_progress(pid);
	}
	for (int i = 0; i < 10000 && told < sent; i++) {
		usleep(1000);
		hear_them();
	}
	expect_eq(told, sent);
	expect_progress(pid);
	generations = generation_of(pid);
	close(open(END, O_CREAT | O_WRONLY, 0600));
	expect(waitpid(pid, &status, 0) == pid);
	unlink(END);
	expect_eq(status, 0);
	diag("  %ld rewinds, %d stops, %d times frozen, %d signals queued", generations, stopped, frozen, sent);
	expect(!(kinds & STOPS) || stopped > 0);
	expect(!(kinds & FREEZES) || frozen > 0);
	expect(!(kinds & SIGNALS) || sent > rounds);
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "an idle pool", with_pool, IDLE, 6, 0, 60 },
		{ "a pool that has worked", with_pool, WORKED, 6, 0, 60 },
		{ "a pool at work", with_pool, WORKING, 6, 0, 60 },
		{ "a later thread that spins", with_pool, BORN_SPINNING, 6, 0, 60 },
		{ "20 later threads", with_pool, BORN_MANY, 6, 0, 60 },
		{ "later threads that have ended", with_pool, SOME_ENDED, 6, 0, 60 },
		{ "rewind by a thread of the pool", with_pool, BY_POOL_THREAD, 6, 0, 60 },
		{ "the word of a later thread", word_of_a_later_thread, 0, 0, 0, 0 },
		{ "400 later threads that rewind", later_threads_go, 400, 0, 0, 60 },
		{ "rewind by a later thread", with_pool, BY_BORN_THREAD, 6, 0, 60 },
		{ "a thread that runs at the checkpoint", running_at_the_checkpoint, 0, 0, 0, 60 },
		{ "a futex wait goes on", futex_wait_goes_on, 0, 0, 0, 0 },
		{ "a read goes on", call_goes_on, (long)read_a_byte, 0, 0, 0 },
		{ "a sleep goes on", call_goes_on, (long)sleep_a_while, 0, 0, 0 },
		{ "the mask outside sigsuspend", sigsuspend_mask, 0, 0, 0, 0 },
		{ "a thread of the checkpoint has ended", a_thread_has_ended, 0, 0, 0, 0 },
		{ "all threads rewind in turn", in_turn, 4, 300, 0, 60 },
		{ "a rewind right after another thread's", one_after_the_other, 60, 200, 0, 60 },
		{ "the main thread has exited before the checkpoint", without_the_main_thread, 0, 0, 0, 0 },
		{ "changed by a later thread", changed_by_a_later_thread, 500, 0, 0, 60 },
		{ "a later thread unshared its files", a_thread_unshared, 0x400, 0, 0, 0 },
		{ "a thread that waits for a vfork child", a_thread_waits_for_vfork, 0, 0, 0, 0 },
		{ "stopped and continued from outside", disturbed, STOPS, 100, 0, 60 },
		{ "a storm of signals from outside", disturbed, SIGNALS, 100, 0, 60 },
		{ "frozen and thawed from outside", disturbed, FREEZES, 100, 0, 60 },
		{ "all of this from outside", disturbed, STOPS | SIGNALS | FREEZES, 100, 0, 60 },
		{ "much of this from outside", disturbed, STOPS | SIGNALS | FREEZES, 600, SLOW, 300 },
		{ "an idle pool, 200 generations", with_pool, WORKED, 200, SLOW, 300 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
