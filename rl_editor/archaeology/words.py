"""What was found of a pair, in words: a headline, a screen, and a row of a table.

Conventions: m:ss, h:mm:ss from an hour on; lists are cut after ``MOST_NAMED``, the table after ``MOST_ROWS``.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from rl_editor.alignment.summary import Action, AlignmentSummary, Move, Passage
from rl_editor.clock import clock
from rl_editor.command import counted

if TYPE_CHECKING:
    from rl_editor.archaeology import PairReport

MOST_ROWS, MOST_NAMED, MOST_NAME = 20, 3, 40
SAME_SPEED, SAME_PITCH = 5e-5, 5e-3  # smaller differences from 1 and 0 are printed as none
_T = TypeVar("_T")


def shortened(text: str, length: int) -> str:
    """A name that fits, its middle left out."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def headline(found: AlignmentSummary) -> str:
    """One line: what a person asks first."""
    parts = [
        counted(found.n_segments, "segment"),
        f"{_percent(found.matched_share)} explained",
        counted(len(found.cuts), "cut") + (f" ({clock(found.cut_s, digits=0)} left out)" if found.cuts else ""),
        counted(len(found.loops), "loop"),
        counted(len(found.moves), "move"),
        f"median confidence {found.median_confidence:.2f}",
    ]
    return "  ·  ".join(parts)


def screen(found: AlignmentSummary, *, raw_name: str, edit_name: str) -> str:
    """All that is known about an edit, on one screen."""
    head = f"{edit_name} ({clock(found.duration_s)}) made of {raw_name} ({clock(found.source_s)})"
    facts = [f"  {name:<11} {fact}" for name, fact in _facts(found)]
    return "\n".join([head, "", *facts, "", *_table(found.passages)])


def pairs_table(reports: "Sequence[PairReport]") -> str:
    """A row per pair of a folder, or the reason for leaving it out."""
    width = max(4, *(len(shortened(report.pair_id, MOST_NAME)) for report in reports))
    head = f"{'pair':<{width}}  segments  explained  cuts  loops  moves  confidence  seconds"
    return "\n".join([head, *(_pair_row(report, width) for report in reports)])


def _pair_row(report: "PairReport", width: int) -> str:
    name, found = f"{shortened(report.pair_id, MOST_NAME):<{width}}", report.summary
    if found is None:
        return f"{name}  rejected: {report.rejected}"
    return (
        f"{name}  {found.n_segments:>8}  {_percent(found.matched_share):>9}  {len(found.cuts):>4}  "
        f"{len(found.loops):>5}  {len(found.moves):>5}  {found.median_confidence:>10.2f}  {report.seconds or 0.0:>7.1f}"
    )


def _facts(found: AlignmentSummary) -> Iterator[tuple[str, str]]:
    yield "explained", f"{_percent(found.matched_share)} of the edit, in {counted(found.n_segments, 'segment')}"
    yield "cuts", _cuts(found)
    yield "loops", _listed(found.loops, lambda x: f"{_span(x.source_start_s, x.source_end_s)} ×{x.n_times}")
    yield "moves", _listed(found.moves, _moved)
    yield "foreign", _foreign(found)
    yield "level", _level(found)
    if fades := [f"{way} for {s:.1f} s" for way, s in (("in", found.fade_in_s), ("out", found.fade_out_s)) if s]:
        yield "fades", ", ".join(fades)
    matched = [p for p in found.passages if p.action is not Action.FOREIGN]
    if any(abs(p.speed - 1.0) > SAME_SPEED for p in matched):
        yield "speed", _range([p.speed for p in matched], lambda x: f"×{x:.4f} ({100 * (x - 1):+.2f} %)")
    if any(abs(p.pitch_semitones) > SAME_PITCH for p in matched):
        yield "pitch", _range([p.pitch_semitones for p in matched], lambda x: f"{x:+.2f} semitones")
    yield "confidence", _confidence(found, matched)


def _cuts(found: AlignmentSummary) -> str:
    if not found.cuts:
        return "none"
    longest = max(found.cuts, key=lambda cut: cut.source_end_s - cut.source_start_s)
    which = "" if len(found.cuts) == 1 else "the longest "
    span = _span(longest.source_start_s, longest.source_end_s)
    return f"{len(found.cuts)}: {clock(found.cut_s)} of the raw left out ({which}{span})"


def _moved(move: Move) -> str:
    shift = f"{clock(move.shift_s)} {move.direction}{' (a copy)' if move.copied else ''}"
    return f"{_span(move.source_start_s, move.source_end_s)} to {clock(move.output_start_s)}, {shift}"


def _foreign(found: AlignmentSummary) -> str:
    listed = _listed(found.foreign, lambda x: _span(x.output_start_s, x.output_end_s))
    return f"{listed}, {clock(found.unexplained_s)} in all of the edit" if found.foreign else listed


def _level(found: AlignmentSummary) -> str:
    whole = "as loud as the raw"
    if abs(found.gain_db) >= 0.05:
        whole = f"{abs(found.gain_db):.1f} dB {'louder' if found.gain_db > 0 else 'softer'} than the raw"
    parts = [whole + (", polarity flipped" if found.polarity_flipped else "")]
    matched = [p for p in found.passages if p.action is not Action.FOREIGN]
    for word, gain_db in (("softest", found.softest_db), ("loudest", found.loudest_db)):
        if gain_db:
            at = next(p.output_start_s for p in matched if p.gain_db == gain_db)
            parts.append(f"{word} segment {gain_db:+.1f} dB at {clock(at)}")
    return "; ".join(parts)


def _confidence(found: AlignmentSummary, matched: Sequence[Passage]) -> str:
    if not matched:
        return "nothing is matched"
    lowest = min(matched, key=lambda p: p.confidence)
    return f"median {found.median_confidence:.2f}, lowest {lowest.confidence:.2f} at {clock(lowest.output_start_s)}"


def _table(passages: Sequence[Passage]) -> Iterator[str]:
    yield f"  {'edit':>10}  {'raw':>10}  {'length':>9}  {'action':<9} {'fade ms':>7} {'level dB':>8} {'confidence':>10}"
    shown = passages if len(passages) <= MOST_ROWS + 1 else passages[:MOST_ROWS]
    for p in shown:
        source = "–" if p.source_start_s is None else clock(p.source_start_s, digits=3)
        fade = "" if p.crossfade_in_ms is None else f"{p.crossfade_in_ms:.0f}"
        level, sure = ("", "") if p.action is Action.FOREIGN else (_signed(p.gain_db), f"{p.confidence:.2f}")
        yield (
            f"  {clock(p.output_start_s, digits=3):>10}  {source:>10}  {p.duration_s:>9.3f}  {_action(p):<9} "
            f"{fade:>7} {level:>8} {sure:>10}"
        ).rstrip()
    if len(shown) < len(passages):
        yield f"  ... and {len(passages) - len(shown)} more"


def _action(passage: Passage) -> str:
    return f"loop {passage.time}/{passage.n_times}" if passage.action is Action.LOOP else passage.action.value


def _listed(items: Sequence[_T], say: Callable[[_T], str]) -> str:
    if not items:
        return "none"
    more = len(items) - MOST_NAMED
    return f"{len(items)}: " + "; ".join(say(x) for x in items[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _range(values: Sequence[float], say: Callable[[float], str]) -> str:
    low, high = say(min(values)), say(max(values))
    return f"{low} throughout" if low == high else f"from {low} to {high}"


def _span(start_s: float, end_s: float) -> str:
    return f"{clock(start_s)}–{clock(end_s)}"


def _signed(gain_db: float) -> str:
    return f"{gain_db:+.1f}" if gain_db else "0.0"


def _percent(share: float) -> str:
    """A share in per cent that says 100 only of all."""
    shown = f"{100 * share:.1f}"
    return "100 %" if share == 1.0 else f"{'99.9' if shown == '100.0' else shown} %"
