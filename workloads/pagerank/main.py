"""PageRank of a scale-free graph (SeBS 501.graph-pagerank)."""

from __future__ import annotations

import os
import random
from typing import Any

# A container has one core: igraph's OpenMP threads only spin there (forty times slower on a busy
# machine), and a forked child would wait for threads that it has not got.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import igraph

EDGES_PER_VERTEX = 10


#: Nobody's data, for a call before the checkpoint (runtimes/rewind-warm).
WARM_UP = {"size": 50, "seed": 1}


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Generate a graph of `size` vertices from `seed` and rank it; `result` is SeBS's own answer."""
    size, seed = int(args["size"]), int(args["seed"])
    random.seed(seed)  # igraph draws from Python's generator
    graph = igraph.Graph.Barabasi(size, EDGES_PER_VERTEX)
    ranks = graph.pagerank()
    return {
        "result": ranks[0],
        "vertices": graph.vcount(),
        "edges": graph.ecount(),
        "first": ranks[:16],
        # covers every vertex, and its place
        "weighted": sum(index * rank for index, rank in enumerate(ranks)),
        "sum": sum(ranks),
    }
