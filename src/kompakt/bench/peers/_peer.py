"""What a peer is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from .._clock import Runner
from .._network import Network


@dataclass(frozen=True)
class Peer:
    """An engine to compare with.

    Attributes:
        packages: import names of what it needs; `pip` names differ in `_` and `-` only.
        build: (network, threads, batch) -> runner, from a float32 array (batch, *shape) to the output array.
        how: what exactly runs, in a few words; printed with the results.
        is_linear_only: whether it runs networks of fully connected layers only.
    """

    packages: tuple[str, ...]
    build: Callable[[Network, int, int], Runner]
    how: str
    is_linear_only: bool = False

    def missing(self) -> list[str]:
        """Packages that are not installed, as pip calls them."""
        absent = [package for package in self.packages if importlib.util.find_spec(package) is None]
        return [package.replace("_", "-") for package in absent]
