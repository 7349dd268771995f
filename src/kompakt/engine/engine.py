"""Loading a model file and running it in the native engine. NumPy only: torch is neither needed nor imported."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .. import _native
from .._core.errors import ArtifactError, InputError

ISA_VARIABLE = "KOMPAKT_ISA"
_FLOAT32 = np.dtype(np.float32)


class Engine:
    """A model file, verified, packed for this CPU, and ready to run.

    Calls may come from several threads at once, and from a child process after a fork. Results do not depend on the
    CPU level, the number of threads or the batch size.

    A file of several bit-widths is packed for all of them; `use` changes between them, at first the highest runs.

    Args:
        data: the bytes of a `model.kpt`.
        threads: threads that share one call, >= 1.
    Raises: ArtifactError if the file is not legal; InputError for wrong `threads`, or if the environment variable
        KOMPAKT_ISA (`portable`; on x86-64 `avx2`, `avx512`, `amx`; on Arm `neon`, `dotprod`) names a level that is
        unknown or that this CPU lacks.
    """

    def __init__(self, data: bytes, threads: int = 1) -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise InputError(f"threads: expected an integer >= 1, got {threads!r}")
        self._engines = dict(_native.engines(bytes(data), threads, os.environ.get(ISA_VARIABLE, "")))
        self._nbytes = len(data)
        self._take(max(self._engines))

    def _take(self, bits: int) -> None:
        self._bits, self._native = bits, self._engines[bits]
        self._run = self._native.run  # a call takes this once, so that it is of one bit-width from its start to its end

    @property
    def widths(self) -> tuple[int, ...]:
        """Bit-widths that the file has, highest first; none where it has one network only."""
        return tuple(bits for bits in self._engines if bits)

    @property
    def bits(self) -> int | None:
        """The bit-width in use, of a file of several."""
        return self._bits or None

    def use(self, bits: int) -> Engine:
        """From now on run at this bit-width; calls that are under way end as they began. Nothing is read or packed.

        Returns: the engine. Raises: InputError naming the bit-widths that the file has.
        """
        if isinstance(bits, bool) or bits not in self.widths:
            there = f"the file has {', '.join(map(str, self.widths))}" if self.widths else "the file has one network"
            raise InputError(f"bits: expected a bit-width of the file, got {bits!r}; {there}")
        self._take(bits)
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch axis."""
        return self._native.input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one output, without the batch axis."""
        return self._native.output_shape

    @property
    def threads(self) -> int:
        """Threads that share one call."""
        return self._native.threads

    @property
    def isa(self) -> str:
        """Instruction set level in use: `portable`; `avx2`, `avx512` or `amx` on x86-64; `neon` or `dotprod` on Arm."""
        return self._native.isa

    @property
    def metadata(self) -> dict[str, Any]:
        """What the writer of the file noted for people: versions, seed, recipe."""
        return dict(json.loads(self._native.metadata))

    @property
    def nbytes(self) -> int:
        """Size of the file, bytes."""
        return self._nbytes

    def run(self, x: Any) -> Any:
        """Output for a batch.

        Args:
            x: float32 (N, *input_shape), N >= 0: a NumPy array (copied if not contiguous) or a torch tensor on the CPU
                that needs no gradient. Infinities saturate.
        Returns: float32 (N, *output_shape), of the kind that came.
        Raises: InputError for another type or shape, or NaN.
        """
        if type(x) is np.ndarray and x.dtype is _FLOAT32 and x.flags.carray:  # the usual case, told with few look-ups
            return self._run(x)
        if _is_torch(x):
            y = self._run(_from_torch(x))
            return sys.modules["torch"].from_numpy(y)
        return self._run(_contiguous(x))

    __call__ = run

    def values(self, x: Any) -> dict[str, np.ndarray]:
        """Every value of the program by name, computed node by node: float32, int32 (sums) or uint8 (codes), (N, ...).

        Slow; for comparing the engine with the reference. Args, Raises: as `run`.
        """
        return dict(self._native.values(_from_torch(x) if _is_torch(x) else _contiguous(x)))

    def profile(self, x: Any, repetitions: int = 100) -> list[dict[str, Any]]:
        """Where the time goes: `node` and `seconds` of every stage, in the order they run, on one thread.

        A stage is a node and the elementwise ones that are fused behind it. Seconds are of the fastest repetition.

        Args:
            x: one input (1, *input_shape), as for `run`.
            repetitions: runs, >= 1.
        Raises: as `run`; InputError for several inputs or no repetition.
        """
        return list(self._native.profile(_from_torch(x) if _is_torch(x) else _contiguous(x), repetitions))

    def kernels(self) -> list[dict[str, Any]]:
        """The kernel of every layer: `node`, `op`, `kernel`, `types`, `isa`, `reason` of the choice, `macs`."""
        return list(self._native.kernels())

    def __repr__(self) -> str:
        return (
            f"Engine(input {_shape_text(self.input_shape)}, output {_shape_text(self.output_shape)}, "
            f"{len(self.kernels())} layers, {self.nbytes} bytes, {self.isa}, threads={self.threads})"
        )


def load(source: str | os.PathLike[str] | bytes, threads: int = 1) -> Engine:
    """Engine for a model file, given by path or as bytes.

    Raises: ArtifactError if the file is not legal, naming the path; OSError if it cannot be opened; InputError as
        `Engine`.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return Engine(bytes(source), threads)
    try:
        return Engine(Path(source).read_bytes(), threads)
    except ArtifactError as error:
        raise ArtifactError(f"{os.fspath(source)}: {error}", error.kind) from None


def _shape_text(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})"


def _is_torch(x: Any) -> bool:
    """Whether x is a torch tensor, told without importing torch."""
    return any(base.__module__ == "torch" and base.__name__ == "Tensor" for base in type(x).__mro__)


def _from_torch(x: Any) -> np.ndarray:
    """The tensor's values; its memory where that is contiguous and aligned."""
    if x.requires_grad:
        raise InputError("input: the tensor requires a gradient, which the engine cannot give; pass x.detach()")
    if x.device.type != "cpu":
        raise InputError(f"input: expected a tensor on the CPU, got one on {x.device}; pass x.cpu()")
    if str(x.dtype) != "torch.float32":
        raise InputError(f"input: expected a float32 tensor, got {x.dtype}; pass x.float()")
    return _contiguous(x.numpy())


def _contiguous(x: Any) -> np.ndarray:
    """x, or a copy where its elements do not lie in C order or at addresses of floats."""
    if not isinstance(x, np.ndarray):
        raise InputError(f"input: expected a float32 NumPy array or a torch tensor, got {type(x).__name__}")
    if x.dtype != np.float32:
        raise InputError(f"input: expected a float32 array, got {x.dtype}; convert with x.astype(numpy.float32)")
    return x if x.ndim == 0 else np.require(x, requirements=["C_CONTIGUOUS", "ALIGNED"])
