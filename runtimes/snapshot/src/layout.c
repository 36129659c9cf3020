/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The regions made again as they were at the snapshot.
 *
 * Two sorted lists, that of the snapshot and that of now, are walked in step; where they differ, a call
 * is injected: munmap for what is too much, mmap for what is missing or something else, mprotect for
 * other rights. Contents come afterwards. Then the regions are read again, and must agree.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapshotter.h"

struct map saved_map;
static struct map now;

static bool same_memory(const struct region *a, const struct region *b, u64 at)
{
	if (a->kind != b->kind || a->shared != b->shared)
		return false;
	if (a->kind == SPECIAL)
		return a->start == b->start && a->end == b->end && !strcmp(a->path, b->path);
	return a->inode == b->inode && a->device == b->device &&
	       (a->kind == ANONYMOUS || a->offset + (at - a->start) == b->offset + (at - b->start));
}

static bool unmap(u64 start, u64 end)
{
	long result;

	if (!inject(&result, SYS_munmap, start, end - start, 0, 0, 0, 0))
		return false;
	return result == 0 ? true : refuse("munmap at %lx: %s", start, strerror((int)-result));
}

static bool protect(const struct region *want, u64 start, u64 end)
{
	long result;

	if (!inject(&result, SYS_mprotect, start, end - start, (u64)want->prot, 0, 0, 0))
		return false;
	return result == 0 ? true : refuse("mprotect at %lx: %s", start, strerror((int)-result));
}

/* Map again what the request has unmapped or replaced; the check that follows sees whether a path is still the same file. */
static bool rebuild(const struct region *want, u64 start, u64 end)
{
	u64 flags = MAP_PRIVATE | MAP_FIXED | (want->prot ? 0 : MAP_NORESERVE);
	long fd = -1, result, closed;
	u64 offset = 0;

	if (want->kind == SPECIAL || want->shared || want->stack)
		return refuse("%.100s at %lx cannot be mapped again", *want->path ? want->path : "memory", start);
	if (want->kind == ANONYMOUS) {
		flags |= MAP_ANONYMOUS;
	} else {
		u64 path = scratch(want->path, strlen(want->path) + 1);

		if (!path || !inject(&fd, SYS_open, path, O_RDONLY | O_CLOEXEC, 0, 0, 0, 0))
			return false;
		offset = want->offset + (start - want->start);
		if (fd < 0)
			return refuse("%.100s: %s", want->path, strerror((int)-fd));
	}
	if (!inject(&result, SYS_mmap, start, end - start, (u64)want->prot, flags, (u64)fd, offset))
		return false;
	if (fd >= 0 && !inject(&closed, SYS_close, (u64)fd, 0, 0, 0, 0, 0))
		return false;
	if ((u64)result != start)
		return refuse("mmap at %lx: %s", start, strerror((int)-result));
	return track_region(want->start, want->end);
}

enum difference { SAME, EXTRA, MISSING, OTHER, RIGHTS };

static enum difference differ(const struct region *want, const struct region *have, u64 at)
{
	if (!want || !have)
		return have ? EXTRA : want ? MISSING : SAME;
	if (!same_memory(want, have, at))
		return OTHER;
	return want->prot == have->prot ? SAME : RIGHTS;
}

/* Walk both lists; mend what differs, or with `check` refuse it. */
static bool sweep(bool check)
{
	size_t i = 0, j = 0;
	u64 at = 0;

	while (i < saved_map.n || j < now.n) {
		const struct region *s = i < saved_map.n ? &saved_map.at[i] : NULL;
		const struct region *c = j < now.n ? &now.at[j] : NULL;
		bool in_s = s && s->start <= at, in_c = c && c->start <= at;
		u64 end = ADDRESS_END;
		enum difference what;
		bool done = true;

		if (s && (in_s ? s->end : s->start) < end)
			end = in_s ? s->end : s->start;
		if (c && (in_c ? c->end : c->start) < end)
			end = in_c ? c->end : c->start;
		what = differ(in_s ? s : NULL, in_c ? c : NULL, at);
		if (what != SAME && check)
			return refuse("the layout at %lx could not be restored", at);
		if (what == EXTRA)
			done = unmap(at, end);
		else if (what == MISSING || what == OTHER)
			done = rebuild(s, at, end);
		else if (what == RIGHTS)
			done = protect(s, at, end);
		if (!done)
			return false;
		at = end;
		i += in_s && s->end == at;
		j += in_c && c->end == at;
	}
	return true;
}

/* The same regions, told in another text (split otherwise): compare faster with the new one from now on. */
static void take_text(void)
{
	saved_map.text = grown(saved_map.text, &saved_map.text_room, now.text_size + 1, 1);
	memcpy(saved_map.text, now.text, now.text_size + 1);
	saved_map.text_size = now.text_size;
}

bool layout_restore(void)
{
	bool brk_right;

	/* First, because it also unmaps or maps the heap's end, if nothing is in its way. */
	if (!state_restore_brk(&brk_right) || !maps_read(&now))
		return false;
	if (brk_right && maps_same_text(&saved_map, &now))
		return true;
	if (!maps_parse(&now) || !sweep(false) || (!brk_right && !state_restore_brk(&brk_right)))
		return false;
	if (!brk_right)
		return refuse("the program break could not be restored");
	if (!maps_read(&now) || !maps_parse(&now) || !sweep(true))
		return false;
	take_text();
	return true;
}
