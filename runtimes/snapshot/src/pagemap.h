/* SPDX-License-Identifier: Apache-2.0 */
/* What headers older than Linux 6.8 lack of <linux/fs.h> and <linux/userfaultfd.h>. */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include <linux/userfaultfd.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define IS_WPALLOWED (1u << 0)
#define IS_WRITTEN (1u << 1)
#define IS_FILE (1u << 2)
#define IS_PRESENT (1u << 3)
#define IS_SWAPPED (1u << 4)
#define IS_PFNZERO (1u << 5)
#define IS_SOFT_DIRTY (1u << 7)

#define SCAN_WP_MATCHING (1u << 0)

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)

#define FEATURE_WP_UNPOPULATED (1u << 13)
#define FEATURE_WP_ASYNC (1u << 15)
#define USER_MODE_ONLY 1

#endif
