/* SPDX-License-Identifier: GPL-2.0 */
/* All that another process can see of a process, for exact comparison. */
#ifndef SELFTEST_PORTRAIT_H
#define SELFTEST_PORTRAIT_H

#include <sys/types.h>

struct portrait;

struct portrait *portrait_take(pid_t pid);
void portrait_free(struct portrait *portrait);
/* Number of differences; the first few are printed as TAP diagnostics. */
int portrait_compare(const struct portrait *before, const struct portrait *after);
/* Pages compared, for a test that the comparison sees something. */
long portrait_pages(const struct portrait *portrait);

#endif
