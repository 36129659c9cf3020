/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy of the launcher's pages, and writing it back.
 *
 * Copied is what the process has of its own: pages of private regions that are neither the file's nor
 * zero. Everything else that turns up at a restore is discarded, so that the kernel gives the file's
 * page or zeros again. Shared writable memory has no dirty bits that can be trusted (other processes
 * write to it too): it is copied whole and compared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "snapshotter.h"

#define CHUNK (1ul << 20)
#define BATCH 1024
/* Up to so many pages are zeroed; more are discarded by a call in the launcher, which costs as much. */
#define ZEROED_PAGES 16
#define SHARED_MAX (64ul << 20)

struct shared_copy {
	u64 start, size;
	char *bytes;
};

u64 copied_pages, written_pages, zeroed_pages;

static int mem = -1;
static char *arena, chunk[CHUNK], zeros[ZEROED_PAGES * PAGE];
static struct ranges copied, written;
static u64 *offsets; /* in the arena, of each range of copied */
static size_t offset_room;
static struct shared_copy *shared;
static size_t nshared, shared_room;

static struct iovec from[BATCH], to[BATCH];
static size_t batched, batched_bytes;

bool pages_open(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/mem", launcher);
	mem = open(name, O_RDWR | O_CLOEXEC);
	return mem >= 0 ? true : refuse("%s: %s", name, strerror(errno));
}

bool memory_read(u64 address, void *into, size_t size)
{
	struct iovec here = { into, size }, there = { (void *)address, size };

	if (process_vm_readv(launcher, &here, 1, &there, 1, 0) == (ssize_t)size)
		return true;
	if (pread(mem, into, size, (off_t)address) == (ssize_t)size) /* whatever its protection */
		return true;
	return refuse("memory at %lx cannot be read: %s", address, strerror(errno));
}

bool memory_write(u64 address, const void *bytes, size_t size)
{
	if (pwrite(mem, bytes, size, (off_t)address) == (ssize_t)size)
		return true;
	return refuse("memory at %lx cannot be written: %s", address, strerror(errno));
}

const struct ranges *pages_written(void)
{
	return &written;
}

static bool flush(void)
{
	size_t n = batched, bytes = batched_bytes;

	batched = batched_bytes = 0;
	if (n && process_vm_writev(launcher, from, n, to, n, 0) != (ssize_t)bytes)
		return refuse("process_vm_writev: %s", strerror(errno));
	return true;
}

static bool write_back(const struct region *region, u64 address, void *bytes, size_t size)
{
	ranges_add(&written, address, address + size);
	if (!(region->prot & PROT_WRITE))
		return memory_write(address, bytes, size);
	if (batched == BATCH && !flush())
		return false;
	from[batched] = (struct iovec){ bytes, size };
	to[batched++] = (struct iovec){ (void *)address, size };
	batched_bytes += size;
	return true;
}

static bool is_zero(const char *page)
{
	const u64 *words = (const u64 *)page;

	for (size_t i = 0; i < PAGE / sizeof(*words); i += 8)
		if (words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] | words[i + 5] | words[i + 6] |
		    words[i + 7])
			return false;
	return true;
}

static void copy_page(u64 address, const char *page)
{
	size_t before = copied.n;

	memcpy(arena + copied_pages * PAGE, page, PAGE);
	ranges_add(&copied, address, address + PAGE);
	if (copied.n != before) {
		offsets = grown(offsets, &offset_room, copied.n, sizeof(*offsets));
		offsets[before] = copied_pages * PAGE;
	}
	copied_pages++;
}

static bool copy_range(u64 start, u64 end)
{
	for (u64 at = start; at < end;) {
		const struct region *region = map_find(&saved_map, at);
		u64 stop = region && region->end < end ? region->end : end;
		size_t size = stop - at < CHUNK ? stop - at : CHUNK;

		if (!region)
			return refuse("memory at %lx is in no region", at);
		if (!region->shared && region->kind != SPECIAL) {
			if (!memory_read(at, chunk, size))
				return false;
			for (size_t i = 0; i < size; i += PAGE)
				if (!is_zero(chunk + i))
					copy_page(at + i, chunk + i);
		}
		at += size;
	}
	return true;
}

static bool copy_shared(const struct region *region)
{
	struct shared_copy copy = { region->start, region->end - region->start, NULL };
	static size_t total;

	total += copy.size;
	if (total > SHARED_MAX)
		return refuse("the action shares more than %lu MB of writable memory", SHARED_MAX >> 20);
	copy.bytes = malloc(copy.size);
	if (!copy.bytes || !memory_read(copy.start, copy.bytes, copy.size))
		return refuse("shared memory cannot be copied: %.100s", region->path);
	shared = grown(shared, &shared_room, nshared + 1, sizeof(copy));
	shared[nshared++] = copy;
	copied_pages += 0;
	return true;
}

/* With the tracker `compare`: all pages of the process's own count as fresh. */
bool pages_save(void)
{
	size_t size;

	if (!track_scan())
		return false;
	size = ranges_pages(&found.fresh) * PAGE + PAGE;
	arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		return refuse("no memory for the copy");
	for (size_t i = 0; i < found.fresh.n; i++)
		if (!copy_range(found.fresh.at[i].start, found.fresh.at[i].end))
			return false;
	for (size_t i = 0; i < saved_map.n; i++)
		if (saved_map.at[i].shared && (saved_map.at[i].prot & PROT_WRITE) && !copy_shared(&saved_map.at[i]))
			return false;
	return copied.n ? true : refuse("the launcher has no memory of its own");
}

/* Write the last copied page as it is: something to try a tracker on. */
bool page_rewrite(u64 *address)
{
	*address = copied.at[copied.n - 1].end - PAGE;
	return memory_write(*address, arena + (copied_pages - 1) * PAGE, PAGE);
}

static char *copy_of(u64 address)
{
	size_t low = 0, high = copied.n;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (copied.at[middle].start <= address)
			low = middle;
		else
			high = middle;
	}
	return arena + offsets[low] + (address - copied.at[low].start);
}

static bool compare(const struct region *region, u64 address, char *bytes, size_t size)
{
	if (!memory_read(address, chunk, size))
		return false;
	for (size_t i = 0; i < size; i += PAGE) {
		if (!memcmp(chunk + i, bytes + i, PAGE))
			continue;
		written_pages++;
		if (!write_back(region, address + i, bytes + i, PAGE))
			return false;
	}
	return true;
}

static bool restore_copied(u64 start, u64 end)
{
	for (u64 at = start; at < end;) {
		const struct region *region = map_find(&saved_map, at);
		u64 stop = region->end < end ? region->end : end;
		size_t size = stop - at < CHUNK ? stop - at : CHUNK;

		if (tracker == COMPARE) {
			if (!compare(region, at, copy_of(at), size))
				return false;
		} else {
			written_pages += size / PAGE;
			if (!write_back(region, at, copy_of(at), size))
				return false;
		}
		at += size;
	}
	return true;
}

static bool restore_other(u64 start, u64 end)
{
	for (u64 at = start; at < end;) {
		const struct region *region = map_find(&saved_map, at);
		u64 stop = region && region->end < end ? region->end : end;
		size_t size = stop - at;
		long result;

		if (!region)
			return refuse("memory at %lx is in no region", at);
		if (!region->shared && region->kind != SPECIAL) {
			zeroed_pages += size / PAGE;
			if (region->kind == ANONYMOUS && size <= sizeof(zeros) && (region->prot & PROT_WRITE)) {
				if (!write_back(region, at, zeros, size))
					return false;
			} else {
				if (!inject(&result, SYS_madvise, at, size, MADV_DONTNEED, 0, 0, 0))
					return false;
				if (result)
					return refuse("memory at %lx cannot be discarded: %s", at, strerror((int)-result));
				ranges_add(&written, at, stop);
			}
		}
		at = stop;
	}
	return true;
}

static bool restore_shared(void)
{
	for (size_t i = 0; i < nshared; i++)
		for (u64 done = 0; done < shared[i].size; done += CHUNK) {
			u64 at = shared[i].start + done;
			size_t size = shared[i].size - done < CHUNK ? shared[i].size - done : CHUNK;

			if (!memory_read(at, chunk, size))
				return false;
			if (memcmp(chunk, shared[i].bytes + done, size) && !memory_write(at, shared[i].bytes + done, size))
				return false;
		}
	return true;
}

bool pages_restore(void)
{
	written.n = 0;
	written_pages = zeroed_pages = 0;
	batched = batched_bytes = 0;
	return ranges_minus(&copied, &found.intact, restore_copied) &&
	       ranges_minus(&found.fresh, &copied, restore_other) && flush() && restore_shared();
}
