"""Ctrl-C that waits for the end of the step: the run saves its state first."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """Context that turns the first SIGINT into a flag; a second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: object = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)  # type: ignore[arg-type]

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def stop_if_requested(self) -> None:
        """Raise KeyboardInterrupt if one was asked for; call it only where the state is saved."""
        if self.requested:
            raise KeyboardInterrupt
