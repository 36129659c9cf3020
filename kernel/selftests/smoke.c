// SPDX-License-Identifier: GPL-2.0
/* The least that has to work, and a look at the harness itself. */
#include <errno.h>
#include <string.h>

#include "harness.h"

static char data_page[PAGE] __attribute__((aligned(4096))) = { 1 };
static char bss_page[PAGE] __attribute__((aligned(4096)));

static void nothing(long a, long b)
{
	if (checkpoint() < GENERATIONS)
		rewind_now();
}

static void store_everywhere(long a, long b)
{
	char *page = anon(4, 'a'), *file = file_private(2, 'f'), local[64] = "local";
	long gen = checkpoint();

	if (gen == GENERATIONS)
		return;
	page[5] = 'T';
	page[2 * PAGE] = 'T';
	file[PAGE + 1] = 'T';
	data_page[7] = 'T';
	bss_page[9] = 'T';
	strcpy(local, "other");
	asm volatile("" : : "r"(local) : "memory");
	rewind_now();
}

static void untouched_page(long a, long b)
{
	char *page = anon(4, 0);
	long gen = checkpoint();

	expect_filled(page, 4, 0);
	if (gen == GENERATIONS)
		return;
	memset(page, 'T', 2 * PAGE);
	rewind_now();
}

static const struct testcase cases[] = {
	{ "nothing changed", nothing },
	{ "stores to every kind of private memory", store_everywhere },
	{ "first touch after the checkpoint", untouched_page },
};

int main(int argc, char **argv)
{
	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
