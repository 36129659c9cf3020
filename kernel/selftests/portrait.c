// SPDX-License-Identifier: GPL-2.0
/*
 * A portrait is two things: text (layout, descriptors, signals, threads, limits ...
 * as /proc shows them, without the counters that only grow) and the content of
 * every private page.
 *
 * Absent anonymous pages are taken as zero without touching them: reading them
 * through /proc/<pid>/mem would populate them and so change what is under test.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"
#include "portrait.h"

#define TEXT_SIZE	(256 * 1024)
#define MAX_AREAS	2048
#define SHOWN		6

struct area {
	unsigned long start, end;
	char **pages;			/* NULL: zero or absent */
};

struct portrait {
	char *text;
	size_t length;
	struct area *areas;
	int count;
};

static void add(struct portrait *p, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(p->text + p->length, TEXT_SIZE - p->length, format, args);
	va_end(args);
	p->length += n;
	if (p->length >= TEXT_SIZE) {
		printf("Bail out! portrait is larger than %d bytes\n", TEXT_SIZE);
		exit(CASE_FAIL);
	}
}

static size_t slurp(char *buffer, size_t size, const char *format, ...)
{
	char path[128];
	va_list args;
	size_t have = 0;
	ssize_t n;
	int fd;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	buffer[0] = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (have < size - 1 && (n = read(fd, buffer + have, size - 1 - have)) > 0)
		have += n;
	close(fd);
	buffer[have] = 0;
	return have;
}

static char scratch[512 * 1024];

/* Lines of a file that begin with none of the given words (or, with `only`, with one of them). */
static void add_lines(struct portrait *p, const char *title, const char *const *words, int only)
{
	char *line, *rest;

	for (line = strtok_r(scratch, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		int hit = 0;

		for (const char *const *word = words; *word; word++)
			hit |= !strncmp(line, *word, strlen(*word));
		if (hit == only)
			add(p, "%s: %s\n", title, line);
	}
}

static const char *const status_noise[] = {
	"State", "VmPeak", "VmSize", "VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem",
	"VmData", "VmPTE", "VmSwap", "voluntary_ctxt", "nonvoluntary_ctxt", "HugetlbPages",
	"SigQ", "TracerPid", "FDSize", NULL
};
static const char *const vm_flags[] = { "VmFlags", "ProtectionKey", NULL };
static const char *const nothing[] = { NULL };

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Numeric names in a /proc folder, sorted. */
static int numbers(const char *path, int *out, int size)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)) && count < size)
		if (isdigit(entry->d_name[0]))
			out[count++] = atoi(entry->d_name);
	closedir(dir);
	qsort(out, count, sizeof(*out), by_number);
	return count;
}

static void add_descriptors(struct portrait *p, pid_t pid)
{
	static int fds[1024];
	static const char *const noise[] = { "mnt_id", "ino", NULL };
	char path[64], link[512];
	int count;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	count = numbers(path, fds, ARRAY_SIZE(fds));
	for (int i = 0; i < count; i++) {
		char title[32];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fds[i]);
		n = readlink(path, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = 0;
		add(p, "fd %d: %s\n", fds[i], link);
		slurp(scratch, sizeof(scratch), "/proc/%d/fdinfo/%d", pid, fds[i]);
		snprintf(title, sizeof(title), "fd %d", fds[i]);
		add_lines(p, title, noise, 0);
	}
}

static void add_threads(struct portrait *p, pid_t pid)
{
	static int tids[1024];
	char path[64];
	int count;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	count = numbers(path, tids, ARRAY_SIZE(tids));
	for (int i = 0; i < count; i++) {
		struct sched_param param = { 0 };
		cpu_set_t set;
		char title[32];

		snprintf(title, sizeof(title), "thread %d", i);
		add(p, "%s: tid %d\n", title, tids[i]);
		slurp(scratch, sizeof(scratch), "/proc/%d/task/%d/status", pid, tids[i]);
		add_lines(p, title, status_noise, 0);
		slurp(scratch, sizeof(scratch), "/proc/%d/task/%d/children", pid, tids[i]);
		add(p, "%s: children %s\n", title, scratch);
		CPU_ZERO(&set);
		sched_getaffinity(tids[i], sizeof(set), &set);
		sched_getparam(tids[i], &param);
		add(p, "%s: nice %d policy %d priority %d cpus %lx\n", title,
		    getpriority(PRIO_PROCESS, tids[i]), sched_getscheduler(tids[i]),
		    param.sched_priority, (unsigned long)set.__bits[0]);
	}
}

static void add_link(struct portrait *p, pid_t pid, const char *name)
{
	char path[64], link[512];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = 0;
	add(p, "%s: %s\n", name, link);
}

static void add_files(struct portrait *p, pid_t pid)
{
	static const char *const whole[] = {
		"limits", "timers", "personality", "oom_score_adj", "coredump_filter",
		"timerslack_ns", "comm", "cmdline", "environ", "cgroup", "auxv"
	};

	for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
		size_t n = slurp(scratch, sizeof(scratch), "/proc/%d/%s", pid, whole[i]);

		for (size_t k = 0; k < n; k++)
			if (!scratch[k])
				scratch[k] = ' ';
		add_lines(p, whole[i], nothing, 0);
	}
	add_link(p, pid, "cwd");
	add_link(p, pid, "root");
	add_link(p, pid, "exe");
}

/* Session, group, terminal, priorities and the ends of code, data, heap and arguments. */
static void add_stat(struct portrait *p, pid_t pid)
{
	static const int kept[] = { 4, 5, 6, 7, 18, 19, 20, 26, 27, 28, 38, 40, 41,
				    45, 46, 47, 48, 49, 50, 51 };
	char *field, *rest;
	int number = 3;

	slurp(scratch, sizeof(scratch), "/proc/%d/stat", pid);
	field = strrchr(scratch, ')');
	if (!field)
		return;
	for (field = strtok_r(field + 2, " ", &rest); field; field = strtok_r(NULL, " ", &rest)) {
		for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
			if (kept[i] == number)
				add(p, "stat field %d: %s\n", number, field);
		number++;
	}
}

static void take_pages(struct area *area, int mem, int pagemap, int anonymous)
{
	unsigned long count = (area->end - area->start) / PAGE;
	uint64_t *entries = calloc(count, sizeof(*entries));
	static char page[PAGE];
	static const char zero[PAGE];

	area->pages = calloc(count, sizeof(*area->pages));
	if (pread(pagemap, entries, count * 8, area->start / PAGE * 8) != (ssize_t)count * 8)
		memset(entries, 0xff, count * 8);
	for (unsigned long i = 0; i < count; i++) {
		if (anonymous && !(entries[i] & (3ULL << 62)))
			continue;
		if (pread(mem, page, PAGE, area->start + i * PAGE) != (ssize_t)PAGE)
			continue;
		if (!memcmp(page, zero, PAGE))
			continue;
		area->pages[i] = malloc(PAGE);
		memcpy(area->pages[i], page, PAGE);
	}
	free(entries);
}

static void take_memory(struct portrait *p, pid_t pid)
{
	static char maps[256 * 1024];
	char path[64], *line, *rest;
	int mem, pagemap;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	slurp(maps, sizeof(maps), "/proc/%d/maps", pid);
	p->areas = calloc(MAX_AREAS, sizeof(*p->areas));
	for (line = strtok_r(maps, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct area *area = &p->areas[p->count];
		unsigned long inode = 0;
		char rights[8];

		if (sscanf(line, "%lx-%lx %7s %*x %*s %lu", &area->start, &area->end, rights, &inode) < 4)
			continue;
		add(p, "maps: %s\n", line);
		if (rights[3] != 'p' || strstr(line, "[vvar") || strstr(line, "[vsyscall]"))
			continue;
		/* The vDSO has no inode, but absent pages of it are not zero. */
		take_pages(area, mem, pagemap, inode == 0 && !strstr(line, "[vdso]"));
		if (++p->count == MAX_AREAS)
			break;
	}
	close(mem);
	close(pagemap);
}

/* The soft-dirty flag of a mapping is a trace, not a content. */
static void forget_soft_dirty(char *text)
{
	for (char *at = text; (at = strstr(at, " sd")); )
		memmove(at, at + 3, strlen(at + 3) + 1);
}

struct portrait *portrait_take(pid_t pid)
{
	struct portrait *p = calloc(1, sizeof(*p));

	p->text = malloc(TEXT_SIZE);
	take_memory(p, pid);
	slurp(scratch, sizeof(scratch), "/proc/%d/smaps", pid);
	forget_soft_dirty(scratch);
	add_lines(p, "smaps", vm_flags, 1);
	add_descriptors(p, pid);
	add_threads(p, pid);
	add_stat(p, pid);
	add_files(p, pid);
	return p;
}

void portrait_free(struct portrait *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->count; i++) {
		for (unsigned long k = 0; k < (p->areas[i].end - p->areas[i].start) / PAGE; k++)
			free(p->areas[i].pages[k]);
		free(p->areas[i].pages);
	}
	free(p->areas);
	free(p->text);
	free(p);
}

static int compare_text(const char *before, const char *after)
{
	int differences = 0;

	while (*before || *after) {
		size_t a = strcspn(before, "\n"), b = strcspn(after, "\n");

		if (a != b || memcmp(before, after, a)) {
			if (++differences <= SHOWN)
				printf("#   was:  %.*s\n#   is:   %.*s\n", (int)a, before, (int)b, after);
		}
		before += a + (before[a] == '\n');
		after += b + (after[b] == '\n');
	}
	return differences;
}

static int compare_page(const char *before, const char *after, unsigned long address, int shown)
{
	static const char zero[PAGE];
	int byte = 0;

	before = before ?: zero;
	after = after ?: zero;
	if (!memcmp(before, after, PAGE))
		return 0;
	while (before[byte] == after[byte])
		byte++;
	if (shown < SHOWN)
		printf("#   page %#lx differs: byte %d was %#x, is %#x\n", address, byte,
		       (unsigned char)before[byte], (unsigned char)after[byte]);
	return 1;
}

int portrait_compare(const struct portrait *before, const struct portrait *after)
{
	int differences = compare_text(before->text, after->text);

	if (before->count != after->count)
		return differences + 1;
	for (int i = 0; i < before->count; i++) {
		const struct area *a = &before->areas[i], *b = &after->areas[i];

		if (a->start != b->start || a->end != b->end)
			return differences + 1;
		for (unsigned long k = 0; k < (a->end - a->start) / PAGE; k++)
			differences += compare_page(a->pages[k], b->pages[k],
						    a->start + k * PAGE, differences);
	}
	if (differences)
		printf("#   %d differences\n", differences);
	return differences;
}

long portrait_pages(const struct portrait *p)
{
	long pages = 0;

	for (int i = 0; i < p->count; i++)
		pages += (p->areas[i].end - p->areas[i].start) / PAGE;
	return pages;
}
