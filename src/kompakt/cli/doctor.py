"""`kompakt doctor`: versions, CPU, kernels, data; and a test of every kernel that this CPU can run."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from .._core.cpu import cpu_name
from .._core.errors import DataError, KompaktError
from . import options
from .output import print_json
from .versions import PARTS, installed_version, library_version

NEEDS_TORCH = "not installed: compress, plan and bench need it; inspect, run, evaluate and verify do not"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: `state` is "ok", "note" or "failed"; only the last makes the exit code 1."""

    name: str
    state: str
    text: str


@click.command(short_help="Check this installation: versions, CPU, kernels, data.")
@options.as_json
def doctor(as_json: bool) -> int:
    """Versions, CPU features, the kernel level that will be used and why, threads; then every kernel on small programs
    against the reference, bit for bit. Needs neither torch nor data.

    \b
    kompakt doctor
    KOMPAKT_ISA=avx2 kompakt doctor

    Exit code 0: sound. 1: something failed.
    """
    findings = []
    for finding in _findings():
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.state:<6}  {finding.name}: {finding.text}")
    is_ok = all(finding.state != "failed" for finding in findings)
    if as_json:
        print_json({"ok": is_ok, "findings": [asdict(finding) for finding in findings]})
    else:
        click.echo("everything works" if is_ok else "something is broken: see the lines that say failed")
    return 0 if is_ok else 1


def _findings() -> Iterator[Finding]:
    yield Finding("kompakt", "ok", f"{library_version()}, Python {platform.python_version()}, {platform.platform()}")
    yield Finding("torch", *(("ok", v) if (v := installed_version("torch")) else ("note", NEEDS_TORCH)))
    others = [f"{name} {version}" for name in PARTS[1:] if (version := installed_version(name))]
    yield Finding("libraries", "ok", ", ".join(others))
    yield Finding("cpu", "ok", f"{cpu_name() or platform.machine()}, {_cores()} cores for this process")
    try:
        from .. import _native
    except ImportError as error:
        yield Finding("engine", "failed", f"the native module cannot be loaded ({error}); install kompakt again")
        return
    features = [name for name, has in _native.cpu_features().items() if has]
    yield Finding("features", "ok", ", ".join(features) or "none that kernels use")
    try:
        yield Finding("engine", "ok", _level())
        yield from _kernels()
    except KompaktError as error:
        yield Finding("engine", "failed", str(error))
    yield _data()


def _level() -> str:
    from .. import _native
    from ..artifact import to_bytes
    from ..engine import load
    from .selftest import programs

    levels = _native.isa_levels()
    isa = load(to_bytes(next(iter(programs().values())), {})).isa
    forced = os.environ.get("KOMPAKT_ISA")
    why = f"KOMPAKT_ISA={forced}" if forced else "the fastest that this CPU has"
    return (
        f"{isa} ({why}; this CPU can run: {', '.join(levels)}); the kernel of a layer is chosen when a file is loaded"
    )


def _kernels() -> Iterator[Finding]:
    from .. import _native
    from .selftest import run_level

    for isa in _native.isa_levels():
        outcome = run_level(isa)
        problems = [*outcome.differences, *(f"{name} did not run" for name in outcome.missed)]
        if problems:
            yield Finding(f"self-test {isa}", "failed", "; ".join(problems))
        else:
            yield Finding(f"self-test {isa}", "ok", f"{', '.join(outcome.kernels)}: equal to the reference bit for bit")


def _data() -> Finding:
    from ..data import locate

    found, missing = [], []
    for relative in ("data/cifar10", "models"):
        try:
            found.append(str(locate(relative)))
        except DataError as error:
            missing.append(str(error))
    if missing:
        return Finding("data", "note", f"{missing[0]}; only recipes that name it need it")
    return Finding("data", "ok", ", ".join(found))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
