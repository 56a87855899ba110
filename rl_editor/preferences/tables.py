"""Answers as tables, one row each, for whoever runs a study: they say how each side was made."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rl_editor.judgements import Heard, Judgement
from rl_editor.judgements.sets import Preferences

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell starts that a spreadsheet would run (OWASP, CSV injection)."""

_SIDE = ("edit_id", "way", "duration_s", "loudness_lufs")
JUDGEMENT_COLUMNS = (
    *("listener", "pair_id", "kind", "song", "repeat", "first", "second", "choice", "preferred"),
    *(f"{side}_{column}" for side in ("a", "b") for column in _SIDE),
    *("played_first", "n_switches", "seconds", "comment", "at"),
)
RATING_COLUMNS = ("listener", *("edit_id", "song", "way", "duration_s", "loudness_lufs"), "rating", "comment", "at")


def judgements_table(preferences: Preferences) -> pd.DataFrame:
    """One row per judgement, oldest first; ``preferred`` is a side, empty where none was chosen."""
    return _table([_judgement_row(preferences, each) for each in preferences.judgements], JUDGEMENT_COLUMNS)


def ratings_table(preferences: Preferences) -> pd.DataFrame:
    """One row per rating of a whole edit."""
    whole = {heard.edit_id: heard for heard in preferences.listening_set.whole}
    rows = [
        {"listener": r.listener, "song": whole[r.edit_id].song, **_heard(whole[r.edit_id])}
        | {"rating": r.rating, "comment": r.comment, "at": r.at}
        for r in preferences.ratings
    ]
    return _table(rows, RATING_COLUMNS)


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return table.map(lambda cell: _inert(cell) if isinstance(cell, str) else cell).to_csv(
        index=False, lineterminator="\n"
    )


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _judgement_row(preferences: Preferences, judgement: Judgement) -> dict[str, Any]:
    asked = judgement.presentation
    pair = preferences.listening_set.pair(asked.pair_id)
    sides = {f"{side}_{name}": value for side in ("a", "b") for name, value in _heard(pair.side(side)).items()}
    return {
        "listener": asked.listener,
        "pair_id": pair.pair_id,
        "kind": pair.kind,
        "song": pair.song,
        "repeat": asked.repeat,
        "first": asked.first,
        "second": asked.second,
        "choice": judgement.choice,
        "preferred": judgement.preferred,
        **sides,
        "played_first": judgement.played_first,
        "n_switches": judgement.n_switches,
        "seconds": judgement.seconds,
        "comment": judgement.comment,
        "at": judgement.at,
    }


def _heard(heard: Heard) -> dict[str, Any]:
    return {name: getattr(heard, name) for name in _SIDE}


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))
