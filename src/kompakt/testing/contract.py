"""Running a contract class without a test runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def clauses(contract: object) -> dict[str, Callable[[Any], None]]:
    """Name to method of every clause of a contract (its methods `test_*`)."""
    names = [name for name in dir(contract) if name.startswith("test_")]
    return {name.removeprefix("test_"): getattr(contract, name) for name in names}


def run_clauses(contract: object, case: Any) -> None:
    """Run every clause on `case`. Raises: AssertionError naming case and clause."""
    for name, clause in clauses(contract).items():
        try:
            clause(case)
        except AssertionError as error:
            raise AssertionError(f"{case}: {name.replace('_', ' ')}: {error}") from error
        except Exception as error:  # of the method under test, which somebody is just writing
            what = f"raised {type(error).__name__}: {error}"
            raise AssertionError(f"{case}: {name.replace('_', ' ')}: {what}") from error


def refuses(call: Callable[[], object], error: type[Exception], what: str) -> None:
    """Assert that `call` raises `error` with a message."""
    message = None
    try:
        call()
    except error as found:
        message = str(found).strip()
    assert message is not None, f"{what}: must raise {error.__name__}"
    assert message, f"{what}: {error.__name__} has no message"
