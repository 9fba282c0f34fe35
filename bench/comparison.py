"""Rounds that alternate between us and our peers, medians, and the ratio."""

from __future__ import annotations

import mmap
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


def warm(count: int) -> None:
    """Leave so much free memory behind that the machine really has.

    A virtual machine gives memory that was free for a while back to its host, and pays for getting it again; who
    happens to come after a slow contestant would be charged for that.
    """
    if count:
        with mmap.mmap(-1, count) as memory:
            for start in range(0, count, mmap.PAGESIZE):
                memory[start] = 1


#: Measures one round; returns a figure.
Measure = Callable[[], float]


@dataclass(frozen=True)
class Aim:
    """What we want of the ratio to a peer."""

    peer: str
    ratio: float


@dataclass
class Comparison:
    """One thing measured of several."""

    name: str
    unit: str
    contestants: Mapping[str, Measure]
    aims: Sequence[Aim] = ()
    #: Whether a smaller figure is the better one; an aim is then a limit.
    less_is_better: bool = False
    figures: dict[str, list[float]] = field(init=False)
    #: Page cache one round fills.
    memory_bytes: int = 0
    #: Said beside the figures, e.g. CPU time.
    notes: Callable[[], str] = str

    def __post_init__(self) -> None:
        self.figures = {name: [] for name in self.contestants}

    def run(self, rounds: int) -> None:
        """Measure everybody in turn, there and back again, the first round for warming up.

        Who comes second finds warm memory and a busy disk, so the order is turned round each time.
        """
        turns = list(self.contestants.items())
        for number in range(rounds + 1):
            turns.reverse()
            for name, measure in turns:
                os.sync()  # what the last one left to write is not the next one's burden
                warm(self.memory_bytes)
                figure = measure()
                if number:
                    self.figures[name].append(figure)

    def median(self, name: str) -> float:
        return statistics.median(self.figures[name])

    @property
    def ours(self) -> str:
        return next(iter(self.contestants))

    def ratio(self, peer: str) -> float:
        return self.median(self.ours) / self.median(peer)

    def reaches(self, aim: Aim) -> bool:
        ratio = self.ratio(aim.peer)
        return ratio <= aim.ratio if self.less_is_better else ratio >= aim.ratio

    def lines(self) -> list[str]:
        """The result for people."""
        told = [f"{self.name}  [{self.unit}]"]
        for name, figures in self.figures.items():
            spread = f"{min(figures):,.3g} to {max(figures):,.3g}"
            told.append(f"  {name:<28} {self.median(name):>12,.4g}   ({spread})")
        aims = {aim.peer: aim for aim in self.aims}
        told += [self._ratio_line(peer, aims.get(peer)) for peer in self.figures if peer != self.ours]
        if note := self.notes():
            told.append(f"  {note}")
        return told

    def _ratio_line(self, peer: str, aim: Aim | None) -> str:
        line = f"  ratio to {peer:<24} {self.ratio(peer):>7.2f}"
        if aim is None:
            return line
        sign = "<=" if self.less_is_better else ">="
        return f"{line}   (aim {sign} {aim.ratio}: {'reached' if self.reaches(aim) else 'MISSED'})"

    def document(self) -> dict[str, object]:
        """The result for programs."""
        return {
            "name": self.name,
            "unit": self.unit,
            "medians": {name: self.median(name) for name in self.figures},
            "rounds": self.figures,
            "ratios": {peer: self.ratio(peer) for peer in self.figures if peer != self.ours},
            "missed": [aim.peer for aim in self.aims if not self.reaches(aim)],
        }
