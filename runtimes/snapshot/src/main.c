/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshotter LAUNCHER CONTROL_HERE CONTROL_THERE READY
 *
 * The manager of one launcher, its child. The launcher stops itself with SIGSTOP at agreed points:
 *
 *     starting ── warmed: stop ─► snapshot ─► serving ── replied: stop ─► restore ─► reseeding ─┐
 *                                               ▲──────────── "ready" ◄── stop ────────────────┘
 *
 * and is told over the socket (descriptor CONTROL_HERE, in the launcher CONTROL_THERE) what happened.
 * READY is the proxy's descriptor 4, or -1; the launcher has none. What cannot be restored ends the
 * launcher, and the reason is written where "ready" would be.
 *
 * Environment: __OW_SNAPSHOT_TRACKER (auto, userfault, soft-dirty, compare), __OW_SNAPSHOT_RECORD (a file
 * that gets one line of JSON for the snapshot and for each restore).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapshotter.h"

#define ATTACHED "attached"
#define READY "ready\n"
/* A restore that takes longer hangs on something, for example a child that cannot be killed. */
#define LIMIT_S 30

static enum { STARTING, SERVING, RESEEDING } stage;
static int control = -1, control_there, ready = -1, record = -1;
static u64 generation;

static bool tell(int fd, const char *words)
{
	return fd < 0 || write(fd, words, strlen(words)) == (ssize_t)strlen(words);
}

static void retire(void)
{
	char words[sizeof(reason) + 32];

	snprintf(words, sizeof(words), "cannot restore: %s\n", reason);
	tell(2, words);
	kill(launcher, SIGKILL);
	if (ready >= 0) { /* the proxy ends us when it has read the reason, not only that we have ended */
		tell(ready, words);
		sleep(1);
	}
	exit(1);
}

static void out_of_time(int signal)
{
	static const char words[] = "cannot restore: it takes too long\n";

	(void)signal;
	(void)!write(2, words, sizeof(words) - 1);
	if (ready >= 0)
		(void)!write(ready, words, sizeof(words) - 1);
	kill(launcher, SIGKILL);
	_exit(1);
}

/* The snapshot is refused: the launcher goes on, and answers the init request with the reason. */
static void tell_refusal(void)
{
	char words[sizeof(reason) + 16];

	snprintf(words, sizeof(words), "refused %s", reason);
	if (!tell(control, words))
		retire();
}

static u64 resident_bytes(void)
{
	char text[64] = "";
	int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	u64 size, resident = 0;

	if (file >= 0 && read(file, text, sizeof(text) - 1) > 0 && sscanf(text, "%lu %lu", &size, &resident) == 2)
		resident *= PAGE;
	if (file >= 0)
		close(file);
	return resident;
}

static bool snapshot(void)
{
	const char *wanted = getenv("__OW_SNAPSHOT_TRACKER");
	u64 from = now_ns();
	char words[512];

	if (!threads_save() || !maps_open() || !pages_open() || !track_open(control_there, control) || !state_save() ||
	    !maps_read(&saved_map) || !maps_parse(&saved_map) || !pages_save() ||
	    !track_choose(wanted ? wanted : "auto"))
		return false;
	if (!maps_read(&saved_map) || !maps_parse(&saved_map)) /* registering may have joined regions */
		return false;
	if (!threads_restore())
		return false;
	snprintf(words, sizeof(words),
		 "{\"generation\": 0, \"snapshot_ns\": %lu, \"tracker\": \"%s\", \"threads\": %lu, \"regions\": %zu, "
		 "\"copied_pages\": %lu, \"manager_bytes\": %lu}\n",
		 now_ns() - from, tracker_names[tracker], threads_count(), saved_map.n, copied_pages, resident_bytes());
	tell(record, words);
	words[strlen(words) - 1] = 0;
	return tell(control, words) ? true : refuse("the control socket is closed");
}

static bool restore(void)
{
	u64 from = now_ns(), threads, layout, scan, pages, rearm, all, calls = injected_calls;
	char words[512];

	if (!threads_stop() || !children_end())
		return false;
	threads = now_ns();
	if (!state_restore() || !layout_restore())
		return false;
	layout = now_ns();
	if (!track_scan())
		return false;
	scan = now_ns();
	if (!pages_restore())
		return false;
	pages = now_ns();
	if (!track_rearm(pages_written()))
		return false;
	rearm = now_ns();
	if (!threads_restore())
		return false;
	all = now_ns();
	generation++;
	if (record >= 0) {
		snprintf(words, sizeof(words),
			 "{\"generation\": %lu, \"restore_ns\": %lu, \"threads_ns\": %lu, \"layout_ns\": %lu, "
			 "\"scan_ns\": %lu, \"pages_ns\": %lu, \"rearm_ns\": %lu, \"written_pages\": %lu, "
			 "\"zeroed_pages\": %lu, \"injected_calls\": %lu}\n",
			 generation, all - from, threads - from + all - rearm, layout - threads, scan - layout, pages - scan,
			 rearm - pages, written_pages, zeroed_pages, injected_calls - calls);
		tell(record, words);
	}
	snprintf(words, sizeof(words), "%lu", generation);
	return tell(control, words) ? true : refuse("the control socket is closed");
}

/* The launcher has stopped itself. */
static void stopped(void)
{
	alarm(LIMIT_S);
	switch (stage) {
	case STARTING:
		if (!snapshot()) {
			tell_refusal();
			threads_restore(); /* calls may have been injected already */
		}
		stage = SERVING;
		break;
	case SERVING:
		if (!restore())
			retire();
		stage = RESEEDING;
		break;
	case RESEEDING:
		tell(ready, READY);
		stage = SERVING;
		ptrace(PTRACE_CONT, launcher, NULL, NULL);
		alarm(0);
		return;
	}
	alarm(0);
	if (!threads_resume())
		retire();
}

static bool stopped_itself(pid_t tid, int status)
{
	siginfo_t info;

	return tid == launcher && status >> 8 == SIGSTOP && !ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) &&
	       info.si_code == SI_TKILL && info.si_pid == launcher;
}

static void handle_stop(pid_t tid, int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);

	if (stopped_itself(tid, status)) {
		stopped();
	} else if (event == PTRACE_EVENT_EXEC) {
		refuse("the launcher has become another program");
		retire();
	} else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
		ptrace(PTRACE_LISTEN, tid, NULL, NULL); /* stopped by a signal, until SIGCONT */
	} else {
		ptrace(PTRACE_CONT, tid, NULL, (void *)(long)(event ? 0 : signal));
	}
}

/* End as the launcher ended, so that the proxy sees how. */
static void end_alike(int status)
{
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	exit(WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	const char *path = getenv("__OW_SNAPSHOT_RECORD");
	int status;
	pid_t tid;

	if (argc != 5) {
		tell(2, "usage: snapshotter LAUNCHER CONTROL_HERE CONTROL_THERE READY\n");
		return 2;
	}
	control = atoi(argv[2]);
	control_there = atoi(argv[3]);
	ready = atoi(argv[4]);
	prctl(PR_SET_DUMPABLE, 0); /* the action runs as the same user */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, out_of_time);
	close(0);
	close(1);
	if (path)
		record = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (!threads_attach(atoi(argv[1]))) {
		tell_refusal();
		waitpid(atoi(argv[1]), &status, 0);
		return 1;
	}
	tell(control, ATTACHED);
	for (;;) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno != EINTR)
			return 1;
		if (tid > 0 && WIFSTOPPED(status))
			handle_stop(tid, status);
		else if (tid == launcher)
			end_alike(status);
		else if (tid > 0)
			threads_ended(tid);
	}
}
