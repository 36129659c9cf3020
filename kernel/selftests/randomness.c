// SPDX-License-Identifier: GPL-2.0
/* What must differ: pages that are wiped, never restored, so that no two requests share a seed. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "harness.h"

#define MAP_DROPPABLE	0x08

static void wiped(long flags, long unused)
{
	char *pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			   flags ? flags | MAP_ANONYMOUS : MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long gen;

	if (pages == MAP_FAILED)
		skip("no such mapping: %s", strerror(errno));
	if (!flags && madvise(pages, 4 * PAGE, MADV_WIPEONFORK))
		skip("no MADV_WIPEONFORK");
	memset(pages, 's', 2 * PAGE);
	gen = checkpoint_plain();
	if (gen)
		expect_filled(pages, 4, 0);
	if (gen == GENERATIONS)
		return;
	memset(pages + PAGE, 'T', 3 * PAGE);
	rewind_now();
}

/* The generation is what launchers seed from: it never comes twice. */
static void numbers_differ(long unused, long unused2)
{
	long bytes, gen = checkpoint();

	expect(getrandom(&bytes, sizeof(bytes), 0) == sizeof(bytes));
	for (int i = 0; i < gen; i++)
		if (noted(i) == bytes)
			fail("generation %ld drew the bytes of generation %d", gen, i);
	note(gen, bytes);
	if (gen < 8)
		rewind_now();
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "MADV_WIPEONFORK", wiped, 0, 0, 0, 0 },
		{ "MAP_DROPPABLE", wiped, MAP_DROPPABLE, 0, 0, 0 },
		{ "getrandom differs", numbers_differ, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
