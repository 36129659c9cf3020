/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages were written since the last restore.
 *
 * The ioctl PAGEMAP_SCAN walks the page tables once and tells ranges. What "written" is comes from
 * - userfault: asynchronous write protection. The descriptor is made in the launcher by an injected call
 *   and then given to us, so that the action has none of it. Pages are protected again range by range.
 * - soft-dirty: /proc/PID/clear_refs, which walks all memory each time.
 * - compare: nothing; every page of the copy is compared.
 *
 * A bit alone would miss pages that were discarded (MADV_DONTNEED) and read again, and regions mapped
 * anew. So a copied page counts as intact only while it is present, the process's own (not the file's,
 * not the zero page) and known to be unwritten; all else is written back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pagemap.h"
#include "snapshotter.h"

#define SCAN_ROOM 4096
#define ROUNDS 3
/* More ranges than this are protected in one walk of everything. */
#define FEW_RANGES 32

const char *const tracker_names[] = { "compare", "soft-dirty", "userfault" };
enum tracker tracker = COMPARE;
struct found found;

static int pagemap = -1, clear_refs = -1, userfault = -1;
static bool all_again; /* a region was registered: protect everything */

static int open_proc(const char *what, int flags)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/%s", launcher, what);
	return open(name, flags | O_CLOEXEC);
}

static bool categorise(const struct scan_region *r)
{
	bool swapped = r->categories & IS_SWAPPED;
	bool own = (r->categories & IS_PRESENT) && !(r->categories & (IS_FILE | IS_PFNZERO));
	bool clean = false;

	if (tracker == USERFAULT)
		clean = (r->categories & IS_WPALLOWED) && !(r->categories & IS_WRITTEN);
	else if (tracker == SOFT_DIRTY)
		clean = !(r->categories & IS_SOFT_DIRTY);
	if (own && clean)
		ranges_add(&found.intact, r->start, r->end);
	if ((own || swapped) && !clean)
		ranges_add(&found.fresh, r->start, r->end);
	if (tracker == USERFAULT && own && !(r->categories & IS_WPALLOWED)) {
		const struct region *region = map_find(&saved_map, r->start);

		if (region && (region->prot & PROT_WRITE)) /* mapped anew: register it again */
			return track_region(region->start, region->end);
	}
	return true;
}

bool track_scan(void)
{
	static struct scan_region output[SCAN_ROOM];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.end = ADDRESS_END,
		.vec = (u64)output,
		.vec_len = SCAN_ROOM,
		.category_anyof_mask = IS_PRESENT | IS_SWAPPED,
		.return_mask = IS_WPALLOWED | IS_WRITTEN | IS_FILE | IS_PRESENT | IS_SWAPPED | IS_PFNZERO |
			       IS_SOFT_DIRTY,
	};
	long n;

	found.intact.n = found.fresh.n = 0;
	do {
		n = ioctl(pagemap, SCAN_IOCTL, &arg);
		if (n < 0)
			return refuse("PAGEMAP_SCAN (Linux 6.8 or newer): %s", strerror(errno));
		for (long i = 0; i < n; i++)
			if (!categorise(&output[i]))
				return false;
		/* walk_end cannot be used: the kernel leaves a stale one after more than 512 ranges. */
		arg.start = n ? output[n - 1].end : ADDRESS_END;
	} while (n == SCAN_ROOM);
	return true;
}

static bool protect(u64 start, u64 end)
{
	struct scan_arg arg = {
		.size = sizeof(arg),
		.flags = SCAN_WP_MATCHING,
		.start = start,
		.end = end,
		.category_mask = IS_WRITTEN,
		.return_mask = IS_WRITTEN,
	};

	return ioctl(pagemap, SCAN_IOCTL, &arg) >= 0 ? true : refuse("PAGEMAP_SCAN: %s", strerror(errno));
}

bool track_rearm(const struct ranges *written)
{
	if (tracker == SOFT_DIRTY && (written->n || found.fresh.n))
		return write(clear_refs, "4", 1) == 1 ? true : refuse("clear_refs: %s", strerror(errno));
	if (tracker != USERFAULT)
		return true;
	if (all_again || written->n > FEW_RANGES) {
		all_again = false;
		return protect(0, ADDRESS_END);
	}
	for (size_t i = 0; i < written->n; i++)
		if (!protect(written->at[i].start, written->at[i].end))
			return false;
	return true;
}

bool track_region(u64 start, u64 end)
{
	struct uffdio_register arg = { .range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP };

	if (tracker != USERFAULT)
		return true;
	all_again = true;
	return ioctl(userfault, UFFDIO_REGISTER, &arg) == 0 ? true : refuse("userfaultfd: %s", strerror(errno));
}

/* Have the launcher send its descriptor `fd` over the socket that both know, and close it. */
static int fetch_descriptor(long fd, int control_there, int control_here)
{
	struct {
		struct msghdr header;
		struct iovec area;
		struct cmsghdr control;
		int fd;
	} message = { .control = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS }, .fd = (int)fd };
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec area = { &byte, 1 };
	struct msghdr received = { .msg_iov = &area, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	u64 at = scratch(&message, sizeof(message));
	int mine = -1;
	long result;

	message.area = (struct iovec){ (void *)at, 1 };
	message.header.msg_iov = (void *)(at + offsetof(typeof(message), area));
	message.header.msg_iovlen = 1;
	message.header.msg_control = (void *)(at + offsetof(typeof(message), control));
	message.header.msg_controllen = sizeof(message.control) + sizeof(int);
	if (!at || !scratch(&message, sizeof(message)))
		return -1;
	if (inject(&result, SYS_sendmsg, (u64)control_there, at, 0, 0, 0, 0) && result == 1 &&
	    recvmsg(control_here, &received, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&received))
		memcpy(&mine, CMSG_DATA(CMSG_FIRSTHDR(&received)), sizeof(mine));
	if (!inject(&result, SYS_close, (u64)fd, 0, 0, 0, 0, 0))
		return -1;
	return mine;
}

/* A kernel without userfaultfd, or a filter against it, is no error: there are other trackers. */
bool track_open(int control_there, int control_here)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED };
	long fd;

	pagemap = open_proc("pagemap", O_RDONLY);
	if (pagemap < 0)
		return refuse("pagemap: %s", strerror(errno));
	clear_refs = open_proc("clear_refs", O_WRONLY);
	if (!inject(&fd, SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY, 0, 0, 0, 0, 0))
		return false;
	if (fd < 0)
		return true;
	userfault = fetch_descriptor(fd, control_there, control_here);
	if (userfault >= 0 && ioctl(userfault, UFFDIO_API, &api)) {
		close(userfault);
		userfault = -1;
	}
	return true;
}

static bool holds(const struct ranges *ranges, u64 address)
{
	for (size_t i = 0; i < ranges->n; i++)
		if (ranges->at[i].start <= address && address < ranges->at[i].end)
			return true;
	return false;
}

static bool overlaps(const struct ranges *ranges, const struct region *region)
{
	for (size_t i = 0; i < ranges->n; i++)
		if (ranges->at[i].start < region->end && region->start < ranges->at[i].end)
			return true;
	return false;
}

/* Register what can be written, and what holds pages of the process's own. */
static bool register_all(void)
{
	tracker = COMPARE;
	if (!track_scan())
		return false;
	tracker = USERFAULT;
	for (size_t i = 0; i < saved_map.n; i++) {
		const struct region *r = &saved_map.at[i];

		if (r->shared || r->kind == SPECIAL)
			continue;
		if (((r->prot & PROT_WRITE) || overlaps(&found.fresh, r)) && !track_region(r->start, r->end))
			return false;
	}
	return true;
}

/* Arm a tracker, prove on one page that it tells a write, and take its time; 0 when it does not work. */
static u64 try_out(enum tracker which)
{
	struct range page = { 0 };
	struct ranges one = { &page, 1, 1 };
	u64 best = 0;

	if ((which == USERFAULT && (userfault < 0 || !register_all())) || (which == SOFT_DIRTY && clear_refs < 0))
		return 0;
	tracker = which;
	all_again = which == USERFAULT;
	if (!track_rearm(&one) || !page_rewrite(&page.start) || !track_scan() || holds(&found.intact, page.start))
		return 0;
	page.end = page.start + PAGE;
	if (!track_rearm(&one) || !track_scan() || !holds(&found.intact, page.start))
		return 0;
	for (int i = 0; i < ROUNDS; i++) {
		u64 from = now_ns(), took;

		if (!page_rewrite(&page.start) || !track_scan() || !track_rearm(&one))
			return 0;
		took = now_ns() - from;
		if (!best || took < best)
			best = took;
	}
	return best;
}

/* `wanted` is a tracker's name, or "auto" for the fastest that works. */
bool track_choose(const char *wanted)
{
	bool any = !strcmp(wanted, "auto");
	u64 soft = any || !strcmp(wanted, tracker_names[SOFT_DIRTY]) ? try_out(SOFT_DIRTY) : 0;
	u64 fault = any || !strcmp(wanted, tracker_names[USERFAULT]) ? try_out(USERFAULT) : 0;

	tracker = fault && (!soft || fault <= soft) ? USERFAULT : soft ? SOFT_DIRTY : COMPARE;
	if (tracker != USERFAULT && userfault >= 0) {
		close(userfault); /* ends all registrations */
		userfault = -1;
	}
	if (tracker == SOFT_DIRTY && write(clear_refs, "4", 1) != 1)
		return refuse("clear_refs: %s", strerror(errno));
	if (!any && strcmp(wanted, tracker_names[tracker]))
		return refuse("the tracker '%.20s' does not work here", wanted);
	return true;
}
