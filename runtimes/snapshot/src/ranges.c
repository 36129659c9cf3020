/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted, disjoint address ranges. */
#include "snapshotter.h"

void ranges_add(struct ranges *ranges, u64 start, u64 end)
{
	struct range *last = ranges->n ? &ranges->at[ranges->n - 1] : NULL;

	if (last && last->end == start) {
		last->end = end;
		return;
	}
	ranges->at = grown(ranges->at, &ranges->room, ranges->n + 1, sizeof(*ranges->at));
	ranges->at[ranges->n++] = (struct range){ start, end };
}

/* Calls emit for what is in a and not in b. */
bool ranges_minus(const struct ranges *a, const struct ranges *b, range_fn *emit)
{
	size_t j = 0;

	for (size_t i = 0; i < a->n; i++) {
		u64 from = a->at[i].start, end = a->at[i].end;

		while (j < b->n && b->at[j].end <= from)
			j++;
		for (size_t k = j; from < end; k++) {
			bool hit = k < b->n && b->at[k].start < end;
			u64 to = hit ? b->at[k].start : end;

			if (from < to && !emit(from, to))
				return false;
			if (!hit)
				break;
			if (b->at[k].end > from)
				from = b->at[k].end;
		}
	}
	return true;
}

u64 ranges_pages(const struct ranges *ranges)
{
	u64 sum = 0;

	for (size_t i = 0; i < ranges->n; i++)
		sum += ranges->at[i].end - ranges->at[i].start;
	return sum / PAGE;
}
