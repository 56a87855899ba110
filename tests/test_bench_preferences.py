"""The simulated listeners are what they say they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from opinion_sets import random_set

from benchmarks.preferences import __main__ as parts
from benchmarks.preferences import example
from benchmarks.preferences.__main__ import main, split
from benchmarks.preferences.listeners import Listener, certainty, differences, scale_of, session, sharpened
from rl_editor.judgements.sets import ListeningSet
from rl_editor.reward import SUMMARY_NAMES
from rl_editor.reward_model.learning import Learned


def test_utilities_by_hand() -> None:
    listener = Listener("Ann", {"joins": -2.0, "replayed": 1.0}, sharpness=3.0)
    summary = np.zeros((1, len(SUMMARY_NAMES)))
    summary[0, SUMMARY_NAMES.index("joins")], summary[0, SUMMARY_NAMES.index("replayed")] = 4.0, 0.5
    scale = np.full(len(SUMMARY_NAMES), 2.0)
    assert listener.utilities(summary, SUMMARY_NAMES, scale)[0] == pytest.approx(3.0 * (-2.0 * 2.0 + 0.25))


def test_sharpness_sets_the_ceiling() -> None:
    found = random_set()
    listener = sharpened(Listener("Ann", {"joins": -1.0}), found, 0.8)
    assert certainty(listener, found) == pytest.approx(0.8, abs=1e-3)
    # Answers follow the taste as often as that says.
    answers = session(found, [listener], 330, np.random.default_rng(0))
    liked = dict(zip((p.pair_id for p in found.pairs), differences(listener, found, scale_of(found)), strict=True))
    told = [j for j in answers.judgements if j.preferred and not j.presentation.pair_id.startswith("anchor")]
    followed = np.mean([(liked[j.presentation.pair_id] > 0) == (j.preferred == "a") for j in told])
    assert followed == pytest.approx(0.8, abs=0.06)


def test_habits_alone() -> None:
    found = random_set()
    first = session(found, [Listener("Bo", order=3.0)], 200, np.random.default_rng(0)).judgements
    assert np.mean([j.choice == "first" for j in first]) > 0.9
    longer = session(found, [Listener("Cy", length=20.0)], 200, np.random.default_rng(0)).judgements
    pairs = {pair.pair_id: pair for pair in found.pairs}
    told = [(pairs[j.presentation.pair_id], j.preferred) for j in longer if j.preferred]
    told = [(pair, side) for pair, side in told if abs(np.log(pair.a.duration_s / pair.b.duration_s)) > 0.02]
    assert np.mean([(pair.a.duration_s > pair.b.duration_s) == (side == "a") for pair, side in told]) > 0.95


def test_whether_a_reward_is_learned_is_measured_of_all_who_have_a_habit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def learned(_judged: ListeningSet, listeners: list[Listener], _seed: int, n: int) -> Learned:
        asked.append((len(listeners), n))
        return Learned("learned" if len(listeners) == 2 else "no taste", "", 0.0)

    monkeypatch.setattr(parts, "_learned", learned)
    monkeypatch.setattr(parts, "share_of_ceiling", lambda *_, **__: 0.9)
    table = parts.habits_table(*split(random_set(8, 5)), 1)
    mixed = table["listeners"].str.contains("one of")
    assert (table["learned"] == mixed).all()
    assert set(asked) == {(1, 200), (2, 400)}


def test_songs_are_held_out_whole() -> None:
    judged, held = split(random_set(8, 5))
    assert not {p.song for p in judged.pairs} & {p.song for p in held.pairs}
    assert len({p.song for p in held.pairs}) == 2


def test_a_part_that_there_is_not_is_refused_before_any_work(tmp_path: Path) -> None:
    known = "accuracy, habits, active, bound, gate, ppo"
    with pytest.raises(typer.BadParameter, match=f"'gates' is no part; there are {known}"):
        main(tmp_path / "no set", only="accuracy,gates")


@pytest.mark.slow
def test_the_example_is_of_four_listeners(tmp_path: Path) -> None:
    random_set(9).save(tmp_path / "set")
    example.main(tmp_path / "set", tmp_path / "report", judgements=80)
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [each["listener"] for each in told["listeners"]] == ["Ann", "Bo", "Cy", "Dee"]
    assert told["judgements"] > 80  # repeats and anchors on top
    assert (tmp_path / "report" / "report.png").exists()
