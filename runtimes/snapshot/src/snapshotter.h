/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user-level snapshotter: stops a process, keeps what its memory, layout and registers are, and
 * puts it back. One process is handled at a time, so the state is global and has one owner per file.
 *
 * Every function that can fail returns false and has said why with refuse().
 */
#ifndef SNAPSHOTTER_H
#define SNAPSHOTTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define PAGE 4096ul
#define ADDRESS_END 0x7ffffffff000ul
#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

typedef uint64_t u64;

/* fail.c: the reason of a refusal, clocks, memory */
extern char reason[256];
bool refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
u64 now_ns(void);
void *grown(void *array, size_t *room, size_t needed, size_t size);

/* ranges.c: sorted, disjoint address ranges */
struct range {
	u64 start, end;
};
struct ranges {
	struct range *at;
	size_t n, room;
};
typedef bool range_fn(u64 start, u64 end);
void ranges_add(struct ranges *ranges, u64 start, u64 end);
bool ranges_minus(const struct ranges *a, const struct ranges *b, range_fn *emit);
u64 ranges_pages(const struct ranges *ranges);

/* threads.c: stopping, registers, injected system calls */
extern pid_t launcher;
bool threads_attach(pid_t pid);
bool threads_save(void);
bool threads_stop(void);
bool threads_restore(void);
bool threads_resume(void);
void threads_ended(pid_t tid);
u64 threads_count(void);
/* A system call in the stopped launcher; its result, or -errno. */
bool inject(long *result, long nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);
/* Put bytes below the launcher's stack, for an injected call to read; returns their address or 0. */
u64 scratch(const void *bytes, size_t size);
extern u64 injected_calls;

/* maps.c: the regions of the launcher */
enum kind { ANONYMOUS, FILE_BACKED, SPECIAL };
struct region {
	u64 start, end, offset, inode, device;
	int prot;
	enum kind kind;
	bool shared, heap, stack;
	const char *path;
};
struct map {
	struct region *at;
	size_t n, room;
	char *text, *lines;
	size_t text_size, text_room;
};
extern struct map saved_map;
bool maps_open(void);
bool maps_read(struct map *map);
bool maps_parse(struct map *map);
bool maps_same_text(const struct map *a, const struct map *b);
const struct region *map_find(const struct map *map, u64 address);

/* layout.c: saved_map made real again */
bool layout_restore(void);

/* track.c: which pages were written */
enum tracker { COMPARE, SOFT_DIRTY, USERFAULT };
extern enum tracker tracker;
extern const char *const tracker_names[];
struct found {
	struct ranges intact; /* populated by the process itself and not written since */
	struct ranges fresh;  /* populated by the process itself and perhaps written since */
};
extern struct found found;
bool track_open(int control_there, int control_here);
bool track_available(enum tracker which);
bool track_choose(const char *wanted);
bool track_scan(void);
bool track_rearm(const struct ranges *written);
bool track_region(u64 start, u64 end);

/* pages.c: the copy */
extern u64 copied_pages, written_pages, zeroed_pages;
bool pages_open(void);
bool pages_save(void);
bool pages_restore(void);
const struct ranges *pages_written(void);
bool page_rewrite(u64 *address);
bool memory_read(u64 address, void *into, size_t size);
bool memory_write(u64 address, const void *from, size_t size);

/* kernel_state.c: brk, children, descriptors, signal actions, working folder, umask */
bool state_save(void);
bool state_restore_brk(bool *right);
bool state_restore(void);
bool children_end(void);

#endif
