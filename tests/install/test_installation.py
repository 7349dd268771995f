"""From a clean checkout to a working command: the wheel alone without torch, and `make demo` in full."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "v1" / "residual_network.kpt"
WITHOUT_TORCH = ("numpy", "safetensors", "click", "rich", "pydantic", "jinja2")


def run(*words: object, cwd: Path, code: int = 0) -> str:
    """Run a program outside of this checkout's environment; its output."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    outcome = subprocess.run(
        list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == code, outcome.stdout[-4000:] + outcome.stderr[-4000:]
    return outcome.stdout + outcome.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this checkout as they are now, without what is ignored."""
    target = tmp_path_factory.mktemp("checkout")
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in run(*command, cwd=ROOT).split():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((ROOT / name).read_bytes())
    return target


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, checkout, cwd=folder)
    (built,) = folder.glob("kompakt-*.whl")
    return built


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if ".dist-info/" not in name}
    assert all(name.startswith("kompakt/") for name in inside)
    assert not [name for name in inside if name.endswith((".cc", ".h", ".a", ".pyc"))]
    assert [name for name in inside if name.startswith("kompakt/_native.") and name.endswith(".so")]
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*") if path.is_file()}
    wanted = {name for name in sources if name.endswith((".py", ".toml", ".j2", ".css", ".js", ".svg"))}
    assert wanted <= inside
    assert wheel.stat().st_size < 2_000_000


def test_files_run_where_there_is_no_torch(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    pip = (tmp_path / "venv" / "bin" / "python", "-m", "pip", "--quiet", "install", "-c", ROOT / "constraints.txt")
    run(*pip, *WITHOUT_TORCH, cwd=tmp_path)
    run(*pip, "--no-deps", wheel, cwd=tmp_path)
    kompakt = tmp_path / "venv" / "bin" / "kompakt"
    assert "torch: not installed" in run(kompakt, "doctor", cwd=tmp_path)
    assert "sections:" in run(kompakt, "inspect", GOLDEN, cwd=tmp_path)
    assert "bit for bit" in run(kompakt, "verify", GOLDEN, cwd=tmp_path)
    assert "float32" in run(kompakt, "run", GOLDEN, "--random", cwd=tmp_path)
    assert "error: No module named 'torch'" in run(kompakt, "methods", cwd=tmp_path, code=1)


def test_make_demo_on_a_fresh_checkout(checkout: Path) -> None:
    output = run("make", "demo", cwd=checkout)
    assert "accuracy, engine" in output
    assert (checkout / "demo" / "model.kpt").stat().st_size < 40_000
    assert (checkout / "demo" / "report.html").is_file()
    assert "pip" not in run("make", "-n", "demo", cwd=checkout), "a second time installs nothing"
    os.utime(checkout / "csrc" / "sources.cmake")
    assert "pip" in run("make", "-n", "demo", cwd=checkout), "changed sources are installed again"
