"""The programs that soak.py takes through generations, each with the libraries that it is known for.

A program is a function that imports what it needs and returns its answer function: seed in, text out, a
pure function of the seed in a fresh process. All pools of threads that it uses are up after one call.
"""

# ruff: noqa: INP001, PLC0415, S311  (part of a program of its own, alone in a guest)
from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

Answer = Callable[[int], str]


def numpy() -> Answer:
    """Products on a threaded BLAS, in a process whose own objects change as well."""
    import numpy as np

    cache: dict[str, object] = {str(i): [i, str(i) * 3] for i in range(20000)}
    big = np.arange(500_000, dtype=float)

    def answer(seed: int) -> str:
        dice = random.Random(seed)
        rows = np.random.RandomState(seed).rand(120, 200)
        product = rows @ rows.T
        square = big[:250_000].reshape(500, 500)
        words = re.findall(r"\d+", " ".join(sorted(cache)[:500]))
        for _ in range(dice.randrange(100)):
            cache[str(dice.randrange(40000))] = "x" * dice.randrange(2000)
        big[: dice.randrange(1, 20000)] = 7
        kept = [bytearray(dice.randrange(1, 200_000)) for _ in range(dice.randrange(1, 12))]
        sums = [f"{product.sum():.6f}", f"{big.sum():.3f}", f"{(square @ square)[3, 5]:.3f}"]
        return json.dumps([len(kept), words[:9], sums, len(cache)])

    return answer


def sklearn() -> Answer:
    """Models fitted and asked: OpenMP (k-means, gradient boosting) and BLAS pools side by side."""
    from sklearn.cluster import KMeans
    from sklearn.datasets import make_classification
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    def answer(seed: int) -> str:
        rows, classes = make_classification(120, 8, random_state=seed)
        models = (
            LogisticRegression(),
            RandomForestClassifier(5, random_state=seed),
            HistGradientBoostingClassifier(max_iter=2, random_state=seed),
            KMeans(3, n_init=1, random_state=seed),
        )
        return json.dumps([model.fit(rows, classes).predict(rows).tolist() for model in models])

    return answer


def opencv() -> Answer:
    """A picture drawn, blurred, searched for edges and features, packed and unpacked; its own threads."""
    import cv2
    import numpy as np

    cv2.setNumThreads(4)

    def answer(seed: int) -> str:
        dice = random.Random(seed)
        picture = np.zeros((240, 320, 3), np.uint8)
        for _ in range(40):
            corner = (dice.randrange(320), dice.randrange(240))
            colour = tuple(dice.randrange(256) for _ in range(3))
            cv2.circle(picture, corner, dice.randrange(5, 40), colour, -1)
        soft = cv2.GaussianBlur(picture, (9, 9), 0)
        edges = cv2.Canny(cv2.cvtColor(soft, cv2.COLOR_BGR2GRAY), 40, 120)
        small = cv2.resize(soft, (90, 70), interpolation=cv2.INTER_AREA)
        packed = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
        back = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        features = len(cv2.ORB_create(50).detect(picture, None))
        return json.dumps([int(soft.sum()), int(edges.sum()), len(packed), int(back.sum()), features])

    return answer


def igraph() -> Answer:
    """A graph grown, ranked and divided into communities."""
    import igraph as ig

    def answer(seed: int) -> str:
        random.seed(seed)  # igraph draws from Python's generator
        graph = ig.Graph.Barabasi(400, 3)
        ranks = sorted(graph.pagerank(), reverse=True)[:5]
        parts = graph.community_multilevel().sizes()
        return json.dumps([[f"{rank:.9f}" for rank in ranks], parts, graph.diameter(), graph.girth()])

    return answer


PROGRAMS: dict[str, Callable[[], Answer]] = {
    "numpy": numpy,
    "sklearn": sklearn,
    "opencv": opencv,
    "igraph": igraph,
}
