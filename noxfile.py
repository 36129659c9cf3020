"""Everything one types: `nox -s reproduce`, `nox -s tests`, `nox -l` for the rest.

All sessions share one environment in .nox/env, with the versions of requirements.lock.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
ENV = ROOT / ".nox" / "env"
PYTHON_TOO_OLD = """\
rewind-bench needs Python 3.11 or newer; this one is {version}. One of these brings its own:
    uvx --python 3.12 nox -s reproduce
    pipx run --python python3.12 nox -s reproduce"""

nox.options.sessions = ["lint", "tests"]
nox.options.error_on_external_run = False


def environment(session: nox.Session) -> Path:
    """Make or refresh the shared environment; returns its bin folder."""
    if sys.version_info < (3, 11):
        session.error(PYTHON_TOO_OLD.format(version=sys.version.split()[0]))
    wanted = hashlib.sha256(
        b"\0".join(
            [
                sys.version.encode(),
                *((ROOT / f).read_bytes() for f in ("requirements.lock", "pyproject.toml")),
            ]
        )
    ).hexdigest()
    stamp = ENV / "complete"
    bin_dir = ENV / "bin"
    if not stamp.is_file() or stamp.read_text() != wanted:
        shutil.rmtree(ENV, ignore_errors=True)
        session.run(sys.executable, "-m", "virtualenv", "-q", str(ENV), external=True)
        pip = (str(bin_dir / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
        session.run(*pip, "-r", str(ROOT / "requirements.lock"), external=True)
        session.run(*pip, "--no-deps", "-e", str(ROOT), external=True)
        stamp.write_text(wanted)
    session.env["PATH"] = f"{bin_dir}:{session.env.get('PATH') or os.environ.get('PATH', '')}"
    return bin_dir


def rewind_bench(session: nox.Session, *args: str) -> None:
    """The project's own command, in the shared environment."""
    session.run(str(environment(session) / "rewind-bench"), *args, external=True)


@nox.session(venv_backend="none")
def reproduce(session: nox.Session) -> None:
    """Build, boot, measure, plot: the `quick` profile unless told otherwise (`-- --profile paper`)."""
    rewind_bench(session, "doctor", "--install", "--quiet")
    rewind_bench(session, "run", "--resume", *session.posargs)


@nox.session(venv_backend="none")
def report(session: nox.Session) -> None:
    """Plot a run again: `nox -s report -- results/RUN`. Needs no VM and no root."""
    rewind_bench(session, "report", *session.posargs)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Everything; `-- -m "not vm"` is the minute-long part."""
    if "not vm" not in session.posargs:
        rewind_bench(session, "doctor", "--testbed", "all", "--install", "--quiet")
    bin_dir = environment(session)
    session.env["PYTHONDONTWRITEBYTECODE"] = ""  # or each of many processes compiles all modules anew
    # Beside the tests in machines, which mostly wait, one worker runs all the others.
    options = [] if "-n" in session.posargs else ["-n", "2", "--no-loadscope-reorder"]
    if not session.posargs:
        options.append("--no-silent-skips")
    session.run(str(bin_dir / "python"), "-m", "pytest", *options, *session.posargs, external=True)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style and types: ruff and mypy (strict), gofmt and go vet."""
    bin_dir = environment(session)
    session.run(str(bin_dir / "ruff"), "check", external=True)
    session.run(str(bin_dir / "ruff"), "format", "--check", external=True)
    session.run(str(bin_dir / "mypy"), external=True)
    session.run(str(bin_dir / "python"), "-m", "bench.build.gocheck", external=True)


@nox.session(venv_backend="none")
def kernel(session: nox.Session) -> None:
    """Self-tests of the kernel series in a guest; `-- --full` for everything, in resumable pieces."""
    rewind_bench(session, "doctor", "--install", "--quiet")
    rewind_bench(session, "kernel-test", *session.posargs)
    if "--full" in session.posargs:
        long = ("--long", "tests/kernel/test_regress_kernels.py")
        session.run(str(environment(session) / "python"), "-m", "pytest", *long, external=True)


@nox.session(venv_backend="none")
def regress(session: nox.Session) -> None:
    """Compare kernels: `nox -s regress -- --kernel PATH [--against PATH]`."""
    rewind_bench(session, "doctor", "--install", "--quiet")
    rewind_bench(session, "regress", *session.posargs)


@nox.session(venv_backend="none")
def audit(session: nox.Session) -> None:
    """Does isolation hold? All schemes and launcher users; less: `-- --testbed local --channels core`."""
    rewind_bench(session, "doctor", "--install", "--quiet")
    rewind_bench(session, "audit", *session.posargs)


@nox.session(venv_backend="none")
def clean(session: nox.Session) -> None:
    """End and remove what a killed run left; `-- --cache` drops the build cache too."""
    rewind_bench(session, "clean", *session.posargs)
