"""The ranks of `pagerank` without igraph: the graph grown anew, the ranks by power iteration.

The growth is the Barabasi-Albert model with the draws in igraph's order: a vertex links to ten
different older ones, each chosen with weight (degree + 1) by one `random()`; weights are
integers, so the choice is exact. SeBS states one value: seed 42, size 10 000, rank of vertex 0
0.00121224809.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

EDGES_PER_VERTEX = 10
DAMPING = 0.85
CONVERGED = 1e-15


def expected(params: dict[str, Any]) -> dict[str, Any]:
    """Ranks of the graph of `size` vertices grown from `seed`."""
    size = int(params["size"])
    edges = _grow(size, random.Random(params["seed"]))
    ranks = _rank(size, edges)
    return {
        "result": float(ranks[0]),
        "vertices": size,
        "edges": len(edges),
        "first": ranks[:16].tolist(),
        "weighted": float(np.arange(size) @ ranks),
        "sum": 1.0,
    }


def _grow(size: int, draw: random.Random) -> list[tuple[int, int]]:
    edges: list[tuple[int, int]] = []
    weights = _Weights(size)
    weights.set(0, 1)
    for new in range(1, size):
        before: dict[int, int] = {}  # vertex chosen by `new` -> its weight
        if new <= EDGES_PER_VERTEX:
            before = {old: weights.of[old] for old in range(new)}
        else:
            for _ in range(EDGES_PER_VERTEX):
                old = weights.find(draw.random() * weights.total)
                before[old] = weights.of[old]
                weights.set(old, 0)  # not to be chosen twice
        for old, weight in before.items():
            weights.set(old, weight + 1)
            edges.append((new, old))
        weights.set(new, len(before) + 1)
    return edges


class _Weights:
    """Integer weights of vertices with their prefix sums (a Fenwick tree)."""

    def __init__(self, size: int) -> None:
        self.of = [0] * size
        self.tree = [0] * (size + 1)
        self.total = 0
        self.top = 1 << (size.bit_length() - 1)

    def set(self, vertex: int, weight: int) -> None:
        change = weight - self.of[vertex]
        self.of[vertex] = weight
        self.total += change
        place = vertex + 1
        while place < len(self.tree):
            self.tree[place] += change
            place += place & -place

    def find(self, value: float) -> int:
        """The vertex in whose share of [0, total) `value` lies."""
        place, step = 0, self.top
        while step:
            probe = place + step
            if probe < len(self.tree) and self.tree[probe] <= value:
                place = probe
                value -= self.tree[probe]
            step >>= 1
        return place


def _rank(size: int, edges: list[tuple[int, int]]) -> NDArray[np.float64]:
    pairs = np.array(edges)
    source = np.concatenate([pairs[:, 0], pairs[:, 1]])  # each edge both ways
    target = np.concatenate([pairs[:, 1], pairs[:, 0]])
    degree = np.bincount(source, minlength=size)
    ranks = np.full(size, 1 / size)
    while True:
        flow = np.bincount(target, weights=(ranks / degree)[source], minlength=size)
        following = (1 - DAMPING) / size + DAMPING * flow
        if np.abs(following - ranks).sum() < CONVERGED:
            return following
        ranks = following
