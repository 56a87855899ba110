"""From a raw recording and its edit to the edit list, proven by the sound and exact to the sample.

    descriptors -> exact Viterbi, over the raw at as many speeds and pitches as the edit needs
    -> lags to a fraction of a sample, speeds to match -> the mastering filter
    -> near-identical repeats told apart -> foreign stretches, stutters -> joins and crossfades, fades at the ends
    -> confidence and level per segment -> EditList, or PairRejectedError

Conventions: both recordings enter as mono float32 at ``config.audio.sample_rate``; the edit list counts frames at
the source's own rate. Unexplained output is a segment whose ``source_start_frame`` is None. ``gain_db`` is a
segment's level against the pair's median, so that mastering the whole edit louder shows in no segment.

Sources are said by the modules; docs/alignment.md has what was measured.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.signal
from jaxtyping import Bool, Float32

from rl_editor.alignment.confidence import Belief, Evidence, believe, without_foreign
from rl_editor.alignment.descriptors import descriptors
from rl_editor.alignment.fades import told_fades, with_fades, without_fades
from rl_editor.alignment.joins import Spliced, spliced
from rl_editor.alignment.refine import (
    HEARD_SCORE,
    SILENT_SHARE,
    Mastering,
    Pair,
    Placed,
    joined,
    learn_mastering,
    place,
    settled,
    unheard,
)
from rl_editor.alignment.segments import median_level_db, segments_of
from rl_editor.alignment.speeds import Scale, sharpened
from rl_editor.alignment.stutters import with_stutters
from rl_editor.alignment.summary import AlignmentSummary, summarise, weighted_median
from rl_editor.alignment.twins import truest_twins
from rl_editor.alignment.views import Search, tape_view
from rl_editor.alignment.viterbi import Stacked, best_runs, diagonal_similarity, stacked
from rl_editor.channels import is_one_signal, load_channel, load_turned, looks_turned
from rl_editor.clock import clock
from rl_editor.config import Config
from rl_editor.edits import EditList, SourceInfo
from rl_editor.errors import AlignmentError, PairRejectedError
from rl_editor.utils import audio_info, load_mono, source_info

__all__ = [
    "CLOSELY_AGREED", "Alignment", "AlignmentSummary", "MonoPair", "align", "align_files", "recover", "recover_either",
    "recover_files", "summarise",
]  # fmt: skip

SILENT_PEAK = 1e-4  # -80 dBFS
DC_SHARE = 1e-7  # of the power: -70 dB
DC_POLE = 0.998  # of a high-pass at 7 Hz
MOST_NAMED = 3  # stretches of a refused edit
AGREED, CLOSELY_AGREED = 0.7, 0.97  # mastered music has more than the one, a copy more than the other
ALIKE = 0.75  # cosine of descriptors, where no sample follows; the same notes on other instruments stay below
ONE_AND_THE_SAME = 0.998  # left and right of nearly a mono mix agree less


@dataclass(frozen=True)
class Alignment:
    """The edit list, and what was done to the whole edit; ``gain_db`` is its median level against the raw.

    ``evidence`` is what speaks for each matched segment, in their order. ``agreement`` is the correlation coefficient
    of the edit with what its samples should be, the median over what plays at the speed and pitch of a tape; 1 where
    nothing does, since other programs keep no samples.
    """

    edit: EditList
    gain_db: float
    polarity_flipped: bool
    agreement: float
    evidence: tuple[Evidence, ...]


def align(
    raw: Float32[np.ndarray, " raw_samples"],
    edit: Float32[np.ndarray, " edit_samples"],
    config: Config,
    *,
    source: SourceInfo,
) -> EditList:
    """The edit list that makes ``edit`` out of ``raw``; both mono at ``config.audio.sample_rate``.

    Raises:
        PairRejectedError: too little of the edit is found in the raw, or what is found is doubtful.
        AlignmentError: a recording is too short, silent or not finite.
    """
    return recover_either(MonoPair(raw, edit), lambda _: (), config, source=source).edit


def align_files(raw_path: str | Path, edit_path: str | Path, config: Config) -> EditList:
    """As ``align``, for two files of any rates and channels.

    Raises:
        AudioFileError: a file cannot be read.
        PairRejectedError, AlignmentError: as ``align``, naming the files.
    """
    return recover_files(raw_path, edit_path, config).edit


class MonoPair(NamedTuple):
    """The mono analysis views of a raw recording and its edit, at ``audio.sample_rate``."""

    raw: Float32[np.ndarray, " raw_samples"]
    edit: Float32[np.ndarray, " edit_samples"]


def recover_files(
    raw_path: str | Path, edit_path: str | Path, config: Config, *, source: SourceInfo | None = None
) -> Alignment:
    """``align_files`` with what was done to the whole edit; ``source`` is the raw recording where that is known."""
    rate = config.audio.sample_rate
    heard = audio_info(edit_path)
    with ThreadPoolExecutor(2) as pool:  # decoding, resampling and hashing leave the interpreter's lock
        loading = pool.submit(load_mono, raw_path, rate), pool.submit(load_mono, edit_path, rate)
        source = source or source_info(raw_path)
        plain = MonoPair(*(future.result() for future in loading))

    def others(agreement: float) -> Iterator[MonoPair]:
        if agreement <= AGREED or (agreement <= CLOSELY_AGREED and looks_turned(edit_path, raw_path)):
            other = load_turned(edit_path, rate)
            if other is not None:
                yield MonoPair(plain.raw, other)
        if is_one_signal(edit_path) and not is_one_signal(raw_path):
            for channel in (0, 1):
                yield MonoPair(load_channel(raw_path, rate, channel=channel), plain.edit)

    try:
        return recover_either(
            plain, others, config, source=source, output_frames=round(heard.duration_s * source.sample_rate)
        )
    except AlignmentError as error:
        raise type(error)(f"{Path(edit_path).name} from {Path(raw_path).name}: {error}") from None


def recover_either(
    plain: MonoPair,
    others: Callable[[float], Iterable[MonoPair]],
    config: Config,
    *,
    source: SourceInfo,
    output_frames: int | None = None,
) -> Alignment:
    """What comes of a pair, or of other views of it where those are what the raw's samples follow more closely.

    Where no samples follow in any, as after a phase vocoder that went over both recordings, the sound
    alone is followed.

    Args:
        plain: the pair.
        others: gives it with one channel of one side turned over, or with one channel of the raw, as far as the
            agreement of the pair as it is (0 where it was rejected) leaves that open.
        config: as of ``align``.
        source: the raw recording.
        output_frames: the edit's exact length, if known.

    Raises:
        PairRejectedError, AlignmentError: as ``align``.
    """
    work = partial(recover, config=config, source=source, output_frames=output_frames)
    found, refusal = None, None
    try:
        found = work(*plain)
    except PairRejectedError as error:
        refusal = error
    if found is not None and found.agreement > ONE_AND_THE_SAME:
        return found
    for other in others(0.0 if found is None else found.agreement):
        if all(np.abs(mono).max() > SILENT_PEAK for mono in other):
            with suppress(PairRejectedError):
                again = work(*other)
                found = again if found is None or again.agreement > found.agreement else found
        if found is not None and found.agreement > ONE_AND_THE_SAME:
            break
    if found is None:
        assert refusal is not None
        with suppress(PairRejectedError):
            return work(*plain, by_sound=True)
        raise refusal
    return found


def recover(
    raw: Float32[np.ndarray, " raw_samples"],
    edit: Float32[np.ndarray, " edit_samples"],
    config: Config,
    *,
    source: SourceInfo,
    output_frames: int | None = None,
    by_sound: bool = False,
) -> Alignment:
    """One view of a pair: its edit list, and what was done to the whole edit.

    Args:
        raw: the raw recording, mono.
        edit: its edit, mono.
        config: as of ``align``.
        source: the raw recording.
        output_frames: the edit's exact length, if known.
        by_sound: samples need not follow, only a sound that is much alike.

    Raises:
        PairRejectedError, AlignmentError: as ``align``.
    """
    _check(raw, "raw", config)
    _check(edit, "edit", config)
    if any(_has_dc(mono) for mono in (raw, edit)):
        raw, edit = _without_dc(raw), _without_dc(edit)
    rate = config.audio.sample_rate
    found, mastering, near = _explained(raw, edit, config, by_sound=by_sound)
    lifted = without_fades(edit, found.runs, sample_rate=rate)
    if lifted is not None and (followed := _n_followed(found.runs, mastering.pair)):
        with suppress(PairRejectedError):
            again = _explained(raw, lifted, config)
            if _n_followed(again.found.runs, again.mastering.pair) > followed:
                found, mastering, near = again
                mastering = mastering.of_edit(edit)
    pair = mastering.pair
    beliefs = [believe(run, mastering, near, hop=config.audio.hop_length, sample_rate=rate) for run in found.runs]
    _require_confidence(found.runs, beliefs, config)
    fades = told_fades(found.runs, beliefs, mastering, hop=config.audio.hop_length, sample_rate=rate)
    beliefs = fades.beliefs
    frames = output_frames or round(len(edit) * (source.sample_rate / rate))
    segments = segments_of(found, beliefs, pair, source, sample_rate=rate, output_frames=frames)
    gain_db = 20 * float(np.log10(abs(mastering.gain))) + median_level_db(found.runs, beliefs)
    agreement = _agreement(found.runs, beliefs, pair)
    evidence = tuple(b.evidence for run, b in zip(found.runs, beliefs, strict=True) if run.lag is not None)
    listed = EditList(
        source,
        tuple(segments),
        fade_in_ms=fades.in_ms if segments[0].plays else 0.0,
        fade_out_ms=fades.out_ms if segments[-1].plays else 0.0,
    )
    return Alignment(listed, gain_db, mastering.gain < 0, agreement, evidence)


class _Heard(NamedTuple):
    """Both recordings, and the edit as it is compared: descriptors, those of neighbours beside them, what is silent."""

    raw: Float32[np.ndarray, " raw_samples"]
    edit: Float32[np.ndarray, " edit_samples"]
    rows: Float32[np.ndarray, "edit_frames bands"]
    near: Stacked
    silent: Bool[np.ndarray, " edit_frames"]


class _Explained(NamedTuple):
    """Runs between their joins, what mastering did, and the edit's descriptors."""

    found: Spliced
    mastering: Mastering
    near: Stacked


def _explained(
    raw: Float32[np.ndarray, " raw_samples"],
    edit: Float32[np.ndarray, " edit_samples"],
    config: Config,
    *,
    by_sound: bool = False,
) -> _Explained:
    hop, rate = config.audio.hop_length, config.audio.sample_rate
    rows = descriptors(edit, config.audio, config.alignment)
    near = stacked(rows, config.alignment.stack_frames)
    runs, pair = (_sounding_alike if by_sound else _placed)(
        _Heard(raw, edit, rows, near, _silent(edit, hop=hop)), config
    )
    _require_share(runs, config, len(edit))
    mastering = learn_mastering(runs, pair)
    runs = [settled(run, mastering) for run in runs]
    mastering = learn_mastering(runs, pair)
    runs = joined(truest_twins(runs, mastering, near, hop=hop), pair)
    runs = joined(without_foreign(runs, mastering, near, hop=hop), pair)
    runs = joined(with_stutters(runs, mastering), pair)
    _require_share(runs, config, len(edit))
    found = with_fades(spliced(runs, mastering, hop=hop, sample_rate=rate), mastering, hop=hop)
    return _Explained(found, mastering, near)


def _agreement(runs: Sequence[Placed], beliefs: Sequence[Belief], pair: Pair) -> float:
    values, lengths = [], []
    for run, belief in zip(runs, beliefs, strict=True):
        if pair.is_sampled(run):
            values.append(belief.evidence.agreement or 0.0)
            lengths.append(run.end - run.start)
    return weighted_median(values, lengths) if values else 1.0


def _placed(heard: _Heard, config: Config) -> tuple[list[Placed], Pair]:
    """Runs to the sample, in as many views of the raw as the edit needs."""
    raw, edit, rows, near, silent = heard
    scale = Scale(config.audio, config.alignment)
    search = Search(raw, rows, near, silent, config.audio, config.alignment)
    pair = Pair((tape_view(raw, config.audio, config.alignment),), edit)
    while True:
        runs = best_runs(rows, [view.states for view in pair.views], config.alignment, silent=silent)
        warp = search.missing(runs, pair.views)
        if warp is None:
            placed, polarity = place(runs, pair, hop=config.audio.hop_length)
            warp = search.missing((), pair.views, unheard(placed, pair, hop=config.audio.hop_length))
        if warp is None:
            break
        pair = Pair((*pair.views, scale.view(pair, warp)), edit)
    placed, pair = sharpened(placed, pair, scale, polarity=polarity)
    return joined(placed, pair), pair


def _sounding_alike(heard: _Heard, config: Config) -> tuple[list[Placed], Pair]:
    """Runs of the raw as it is, by its sound alone: such as are much alike."""
    raw, edit, rows, near, silent = heard
    hop, plain = config.audio.hop_length, tape_view(raw, config.audio, config.alignment)
    pair = Pair((plain, replace(plain, sound=None)), edit)
    runs = []
    for run in best_runs(rows, [plain.states], config.alignment, silent=silent):
        similarity = 0.0
        if run.offset is not None:
            cosines = diagonal_similarity(near, plain.stacked, start=run.start, end=run.end, diagonal=run.offset)
            similarity = float(cosines.mean())
        runs.append(run._replace(view=1) if similarity > ALIKE else run._replace(offset=None))
    placed, polarity = place(runs, pair, hop=hop)
    placed, pair = sharpened(placed, pair, Scale(config.audio, config.alignment), polarity=polarity)
    return joined(placed, pair), pair


def _silent(mono: Float32[np.ndarray, " samples"], *, hop: int) -> Bool[np.ndarray, " frames"]:
    """Which frames have nothing to be heard in the hop around their middle."""
    starts = np.maximum(0, np.arange(1 + len(mono) // hop) * hop - hop // 2)
    power = np.add.reduceat(mono**2, starts)
    return np.asarray(power < SILENT_SHARE * float(mono @ mono) / len(mono) * hop)


def _check(mono: Float32[np.ndarray, " samples"], role: str, config: Config) -> None:
    duration_s = len(mono) / config.audio.sample_rate
    if duration_s < config.audio.min_duration_s:
        raise AlignmentError(
            f"{role}: {duration_s:.1f} s of audio, at least {config.audio.min_duration_s:g} s are needed "
            "(audio.min_duration_s); is the file cut off?"
        )
    if not np.isfinite(mono).all():
        raise AlignmentError(f"{role}: holds NaN or infinite samples, finite audio is needed; export it again")
    peak = max(float(mono.max() - mono.mean()), float(mono.mean() - mono.min()))
    if peak < SILENT_PEAK:
        raise AlignmentError(
            f"{role}: silent (peak {20 * np.log10(peak + 1e-12):.0f} dBFS), at least "
            f"{20 * np.log10(SILENT_PEAK):.0f} dBFS is needed; was the right track exported?"
        )


def _has_dc(mono: Float32[np.ndarray, " samples"]) -> bool:
    """Whether its mean would be heard in a silence, were it heard at all."""
    return float(mono.mean()) ** 2 * len(mono) > DC_SHARE * float(mono @ mono)


def _without_dc(mono: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, " samples"]:
    """Through a filter, which does the same to a part as to the whole: a mean that is taken off would differ."""
    return np.asarray(scipy.signal.lfilter(np.array([1, -1], np.float32), np.array([1, -DC_POLE], np.float32), mono))


def _n_followed(runs: Sequence[Placed], pair: Pair) -> int:
    """Samples of the edit that follow the raw's: what only sounds alike is no proof."""
    return sum(run.end - run.start for run in runs if run.score >= HEARD_SCORE and pair.sound(run) is not None)


def _require_share(runs: list[Placed], config: Config, n_samples: int) -> None:
    share = sum(run.end - run.start for run in runs if run.lag is not None) / n_samples
    scores = [run.score for run in runs if run.lag is not None]
    if share < config.alignment.min_matched_share:
        raise PairRejectedError(
            f"{share:.0%} of the edit is found in the raw{_not_found(runs, config)} (median correlation peak "
            f"{float(np.median(scores)) if scores else 0.0:.1f} deviations), at least "
            f"{config.alignment.min_matched_share:.0%} is needed (alignment.min_matched_share); "
            "is it the edit of another take, or stretched or transposed?"
        )


def _not_found(runs: Sequence[Placed], config: Config) -> str:
    """Which parts of the edit are not in the raw, the longest of them by name."""
    rate = config.audio.sample_rate
    lost = [(run.start / rate, run.end / rate) for run in runs if run.lag is None]
    longest = sorted(sorted(lost, key=lambda span: span[0] - span[1])[:MOST_NAMED])
    named = ", ".join(f"{clock(start)}-{clock(end)}" for start, end in longest)
    more = f" and {len(lost) - len(longest)} more" if len(lost) > len(longest) else ""
    return f", all but {named}{more}" if 0 < len(lost) < len(runs) else ""


def _require_confidence(runs: list[Placed], beliefs: Sequence[Belief], config: Config) -> None:
    matched = [(b.confidence, r.end - r.start) for r, b in zip(runs, beliefs, strict=True) if r.lag is not None]
    median = weighted_median([c for c, _ in matched], [n for _, n in matched])
    if median < config.alignment.min_confidence:
        share = sum(n for _, n in matched) / max(1, runs[-1].end)
        raise PairRejectedError(
            f"median confidence {median:.2f} over {share:.0%} of the edit, at least "
            f"{config.alignment.min_confidence:.2f} is needed (alignment.min_confidence); "
            "is it the edit of another take, or stretched or transposed?"
        )
