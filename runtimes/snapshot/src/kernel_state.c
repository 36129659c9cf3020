/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel keeps for the launcher and is restored: program break, signal actions, umask, working
 * folder. Children are ended, new descriptors closed. A descriptor that is gone, or leads elsewhere,
 * cannot be restored.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapshotter.h"

#define SIGNALS 64
#define KERNEL_SIGSET 8
#define LINK_MAX_SIZE 128

struct action {
	u64 handler, flags, restorer, mask; /* as rt_sigaction has it */
};

struct status {
	u64 ignored, caught;
	unsigned int umask;
};

struct descriptor {
	int number;
	bool seen;
	char target[LINK_MAX_SIZE];
};

static u64 saved_brk;
static struct status saved_status;
static struct action actions[SIGNALS + 1];
static char folder[PATH_MAX];
static struct descriptor *descriptors;
static size_t ndescriptors, descriptor_room;
static int process = -1, status_file = -1;
static DIR *fds;

static bool read_status(struct status *status)
{
	static char text[4096];
	ssize_t size = pread(status_file, text, sizeof(text) - 1, 0);
	char *mask, *ignored, *caught;

	if (size <= 0)
		return refuse("status: %s", strerror(errno));
	text[size] = 0;
	mask = strstr(text, "\nUmask:");
	ignored = strstr(text, "\nSigIgn:");
	caught = strstr(text, "\nSigCgt:");
	if (!mask || !ignored || !caught)
		return refuse("status: a line is missing");
	status->umask = (unsigned int)strtoul(mask + 7, NULL, 8);
	status->ignored = strtoull(ignored + 8, NULL, 16);
	status->caught = strtoull(caught + 8, NULL, 16);
	return true;
}

static bool read_folder(char *into)
{
	ssize_t size = readlinkat(process, "cwd", into, PATH_MAX - 1);

	if (size < 0)
		return refuse("working folder: %s", strerror(errno));
	into[size] = 0;
	return true;
}

/* The next open descriptor of the launcher; false at the end. */
static bool next_descriptor(struct descriptor *found)
{
	struct dirent *entry;
	ssize_t size;

	do
		entry = readdir(fds);
	while (entry && entry->d_name[0] == '.');
	if (!entry)
		return false;
	found->number = atoi(entry->d_name);
	size = readlinkat(dirfd(fds), entry->d_name, found->target, sizeof(found->target) - 1);
	found->target[size > 0 ? size : 0] = 0;
	return true;
}

static struct descriptor *find_descriptor(int number)
{
	for (size_t i = 0; i < ndescriptors; i++)
		if (descriptors[i].number == number)
			return &descriptors[i];
	return NULL;
}

static bool open_all(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d", launcher);
	process = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	status_file = openat(process, "status", O_RDONLY | O_CLOEXEC);
	snprintf(name, sizeof(name), "/proc/%d/fd", launcher);
	fds = opendir(name);
	return process >= 0 && status_file >= 0 && fds ? true : refuse("%s: %s", name, strerror(errno));
}

static bool save_actions(void)
{
	u64 set = saved_status.ignored | saved_status.caught;
	long result;

	for (int n = 1; n <= SIGNALS; n++) {
		u64 at;

		if (!(set >> (n - 1) & 1))
			continue;
		at = scratch(&actions[n], sizeof(actions[n]));
		if (!at || !inject(&result, SYS_rt_sigaction, (u64)n, 0, at, KERNEL_SIGSET, 0, 0) ||
		    !memory_read(at, &actions[n], sizeof(actions[n])))
			return false;
		if (result)
			return refuse("action of signal %d: %s", n, strerror((int)-result));
	}
	return true;
}

bool state_save(void)
{
	struct descriptor descriptor = { 0 };
	long result;

	if (!open_all() || !inject(&result, SYS_brk, 0, 0, 0, 0, 0, 0))
		return false;
	saved_brk = (u64)result;
	/* Orphans of the request become children of the launcher, so that one call finds all. */
	if (!inject(&result, SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, 0))
		return false;
	if (!inject(&result, SYS_wait4, (u64)-1, 0, WNOHANG | __WALL, 0, 0, 0))
		return false;
	if (result != -ECHILD)
		return refuse("the action's import has started a process");
	if (!read_status(&saved_status) || !save_actions() || !read_folder(folder))
		return false;
	while (next_descriptor(&descriptor)) {
		descriptors = grown(descriptors, &descriptor_room, ndescriptors + 1, sizeof(descriptor));
		descriptors[ndescriptors++] = descriptor;
	}
	return true;
}

bool state_restore_brk(bool *right)
{
	long result;

	if (!inject(&result, SYS_brk, saved_brk, 0, 0, 0, 0, 0))
		return false;
	*right = (u64)result == saved_brk;
	return true;
}

static bool restore_actions(const struct status *status)
{
	u64 changed = (status->ignored ^ saved_status.ignored) | (status->caught ^ saved_status.caught);
	long result;

	for (int n = 1; changed && n <= SIGNALS; n++) {
		u64 at;

		if (!(changed >> (n - 1) & 1))
			continue;
		at = scratch(&actions[n], sizeof(actions[n]));
		if (!at || !inject(&result, SYS_rt_sigaction, (u64)n, at, 0, KERNEL_SIGSET, 0, 0))
			return false;
		if (result)
			return refuse("action of signal %d: %s", n, strerror((int)-result));
	}
	return true;
}

static bool restore_folder(void)
{
	static char now[PATH_MAX];
	long result;
	u64 at;

	if (!read_folder(now))
		return false;
	if (!strcmp(now, folder))
		return true;
	at = scratch(folder, strlen(folder) + 1);
	if (!at || !inject(&result, SYS_chdir, at, 0, 0, 0, 0, 0))
		return false;
	return result == 0 ? true : refuse("working folder %.100s: %s", folder, strerror((int)-result));
}

static bool restore_descriptors(void)
{
	struct descriptor now = { 0 };
	size_t kept = 0;
	long result;

	rewinddir(fds);
	while (next_descriptor(&now)) {
		struct descriptor *then = find_descriptor(now.number);

		if (!then) {
			if (!inject(&result, SYS_close, (u64)now.number, 0, 0, 0, 0, 0))
				return false;
			continue;
		}
		if (strcmp(then->target, now.target))
			return refuse("descriptor %d leads elsewhere", now.number);
		kept++;
	}
	return kept == ndescriptors ? true : refuse("a descriptor of the snapshot was closed");
}

bool state_restore(void)
{
	struct status now;
	long result;

	if (!read_status(&now) || !restore_actions(&now))
		return false;
	if (now.umask != saved_status.umask && !inject(&result, SYS_umask, saved_status.umask, 0, 0, 0, 0, 0))
		return false;
	return restore_folder() && restore_descriptors();
}

static void kill_children(void)
{
	DIR *all = opendir("/proc");
	struct dirent *entry;

	while (all && (entry = readdir(all))) {
		char name[300], text[512], *after;
		int file;
		ssize_t size;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(name, sizeof(name), "/proc/%s/stat", entry->d_name);
		file = open(name, O_RDONLY | O_CLOEXEC);
		size = file < 0 ? 0 : read(file, text, sizeof(text) - 1);
		if (file >= 0)
			close(file);
		text[size > 0 ? size : 0] = 0;
		after = strrchr(text, ')'); /* then: state, parent */
		if (after && strlen(after) > 4 && atoi(after + 4) == launcher)
			kill(atoi(entry->d_name), SIGKILL);
	}
	if (all)
		closedir(all);
}

/* End and reap all descendants; those of an ended child become the launcher's own. */
bool children_end(void)
{
	long result;

	for (;;) {
		if (!inject(&result, SYS_wait4, (u64)-1, 0, WNOHANG | __WALL, 0, 0, 0))
			return false;
		if (result == -ECHILD)
			return true;
		if (result != 0)
			continue;
		kill_children();
		if (!inject(&result, SYS_wait4, (u64)-1, 0, __WALL, 0, 0, 0))
			return false;
	}
}
