"""The libraries of the soak that Debian's reference tree does not have: wheels, a cached build step."""

from __future__ import annotations

import tarfile

from bench.build import wheels
from bench.build.step import Step, Work

SITE_TAR = "site.tar"
#: Where they are unpacked, in front of Debian's own packages.
SITE = "bench/site"
REQUIREMENTS = (
    "igraph==1.0.0",
    "joblib==1.6.0",
    "numpy==2.4.6",
    "opencv-python-headless==5.0.0.93",
    "scikit-learn==1.9.1",
    "scipy==1.17.1",
    "threadpoolctl==3.8.0",
)


def soak_tree_step() -> Step:
    """Products: `site.tar`, to be unpacked at the root of an initramfs that has the reference tree."""

    def build(work: Work) -> None:
        site = work.scratch / "site"
        wheels.install(work, REQUIREMENTS, site)
        with tarfile.open(work.out / SITE_TAR, "w") as tar:
            tar.add(site, SITE)

    return Step("soak-python", build, {"requirements": list(REQUIREMENTS), "version": 1})
