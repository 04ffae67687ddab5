"""Progress on a terminal: one live bar with the step's name, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from pipelines.step import Event

MARKS = {"done": "✓", "reused": "↺", "warning": "!", "failed": "✕", "cancelled": "■", "missing": "?"}


class ProgressLine:
    """Receives events and writes them to `stream`; `steps` is how many there will be."""

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.steps, self.done, self.live = steps, 0, self.stream.isatty()
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        if event.state == "running":
            if self.live and time.monotonic() - self._last > 0.05:
                self._last = time.monotonic()
                self._draw(event)
            return
        if event.state == "warning" and event.fraction is None:
            self._line(f"  ! {event.message}")
            return
        self.done += 1
        seconds = "" if event.seconds is None else f" {event.seconds:6.2f} s"
        note = f"  {event.message}" if event.state in ("failed", "missing", "cancelled") else ""
        self._line(f"{MARKS.get(event.state, ' ')} {event.step:<12}{seconds}  {event.state}{note}")

    def _draw(self, event: Event) -> None:
        share = (self.done + (event.fraction or 0.0)) / max(1, self.steps)
        bar = "█" * round(24 * share) + "░" * (24 - round(24 * share))
        text = f"{bar} {100 * share:3.0f} %  {event.step}  {event.message}"
        self.stream.write("\r\x1b[2K" + text[:110])
        self.stream.flush()

    def _line(self, text: str) -> None:
        self.stream.write(("\r\x1b[2K" if self.live else "") + text + "\n")
        self.stream.flush()
