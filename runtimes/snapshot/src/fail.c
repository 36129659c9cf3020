/* SPDX-License-Identifier: Apache-2.0 */
/* The reason of a refusal, clocks, memory. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snapshotter.h"

char reason[256];

bool refuse(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	for (char *c = reason; *c; c++) /* it becomes one line, whatever a path holds */
		if ((unsigned char)*c < ' ')
			*c = '?';
	return false;
}

u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

void *grown(void *array, size_t *room, size_t needed, size_t size)
{
	if (needed <= *room)
		return array;
	*room = needed * 2 > 64 ? needed * 2 : 64;
	array = realloc(array, *room * size);
	if (!array) {
		static const char words[] = "snapshotter: out of memory\n";

		(void)!write(2, words, sizeof(words) - 1);
		_exit(1); /* the kernel ends the launcher with us */
	}
	return array;
}
