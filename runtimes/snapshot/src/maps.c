/* SPDX-License-Identifier: Apache-2.0 */
/* The regions of the launcher, from /proc/PID/maps. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snapshotter.h"

#define CHUNK 65536

static int file = -1;

bool maps_open(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/maps", launcher);
	file = open(name, O_RDONLY | O_CLOEXEC);
	return file >= 0 ? true : refuse("%s: %s", name, strerror(errno));
}

/* The text only: most often it is that of the snapshot, and need not be understood. */
bool maps_read(struct map *map)
{
	ssize_t got;

	map->text_size = 0;
	if (lseek(file, 0, SEEK_SET))
		return refuse("maps: %s", strerror(errno));
	do {
		map->text = grown(map->text, &map->text_room, map->text_size + CHUNK, 1);
		got = read(file, map->text + map->text_size, CHUNK - 1);
		if (got < 0)
			return refuse("maps: %s", strerror(errno));
		map->text_size += (size_t)got;
	} while (got);
	map->text[map->text_size] = 0;
	return map->text_size ? true : refuse("the launcher has no memory any more");
}

bool maps_same_text(const struct map *a, const struct map *b)
{
	return a->text_size == b->text_size && !memcmp(a->text, b->text, a->text_size);
}

static bool is_special(const char *path)
{
	return !strncmp(path, "[v", 2); /* vdso, vvar, vvar_vclock, vsyscall */
}

/* Understand the text; paths point into a copy of it. */
bool maps_parse(struct map *map)
{
	char *rest, *line;

	map->n = 0;
	free(map->lines);
	rest = map->lines = strdup(map->text);
	while (rest && (line = strsep(&rest, "\n")) && *line) {
		struct region r = { 0 };
		char perm[5];
		unsigned int major, minor;
		int path = 0;

		if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &r.start, &r.end, perm, &r.offset, &major, &minor,
			   &r.inode, &path) != 7)
			return refuse("maps: %s", line);
		r.device = (u64)major << 32 | minor;
		r.path = line + path;
		r.prot = (perm[0] == 'r' ? PROT_READ : 0) | (perm[1] == 'w' ? PROT_WRITE : 0) |
			 (perm[2] == 'x' ? PROT_EXEC : 0);
		r.shared = perm[3] == 's';
		r.heap = !strcmp(r.path, "[heap]");
		r.stack = !strcmp(r.path, "[stack]");
		r.kind = is_special(r.path) ? SPECIAL : r.inode ? FILE_BACKED : ANONYMOUS;
		if (r.start >= ADDRESS_END)
			continue; /* vsyscall */
		map->at = grown(map->at, &map->room, map->n + 1, sizeof(r));
		map->at[map->n++] = r;
	}
	return map->lines ? true : refuse("out of memory");
}

const struct region *map_find(const struct map *map, u64 address)
{
	size_t low = 0, high = map->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (map->at[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->n && map->at[low].start <= address ? &map->at[low] : NULL;
}
