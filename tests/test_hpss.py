"""Stems without weights: they add up to the recording, clicks go to the drums, low tones to the bass."""

import numpy as np
import pytest

from rl_editor.config import Config, StemsConfig
from rl_editor.features import extract_frames, stem_frames
from rl_editor.stems import STEM_NAMES, hpss, separate, stems_key
from rl_editor.utils import Samples

RATE = 22_050


def parts(seconds: float = 6.0) -> dict[str, np.ndarray]:
    t = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(0)
    clicks = np.zeros(len(t))
    for start in range(0, len(t) - 800, RATE // 2):
        clicks[start : start + 800] += 0.5 * rng.standard_normal(800) * np.exp(-np.arange(800) / 150)
    return {
        "drums": clicks,
        "bass": 0.2 * np.sin(2 * np.pi * 70.0 * t),
        "other": 0.1 * np.sin(2 * np.pi * 880.0 * t) + 0.1 * np.sin(2 * np.pi * 1320.0 * t),
    }


def test_each_part_goes_where_it_belongs_and_all_add_up() -> None:
    true = parts()
    mix = np.stack([sum(true.values())] * 2, axis=1).astype(np.float32)
    stems = separate(Samples(mix, RATE), StemsConfig(model="hpss"))
    assert tuple(sorted(stems)) == tuple(sorted(STEM_NAMES))
    np.testing.assert_allclose(sum(stem.data for stem in stems.values()), mix, atol=1e-5)
    assert not stems["vocals"].data.any()
    for name, wanted in true.items():
        error = stems[name].data[:, 0] - wanted
        assert np.mean(error**2) < 0.2 * np.mean(wanted**2), name  # 7 dB and better


@pytest.mark.parametrize("frames", [1, 100, 5_000, 2 * RATE])
def test_pieces_add_up_at_any_length(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    monkeypatch.setattr(hpss, "_PIECE_S", 0.5)
    monkeypatch.setattr(hpss, "_OVERLAP_S", 0.2)
    data = (0.1 * np.random.default_rng(1).standard_normal((frames, 1))).astype(np.float32)
    stems = separate(Samples(data, RATE), StemsConfig(model="hpss"))
    np.testing.assert_allclose(sum(stem.data for stem in stems.values()), data, atol=1e-5)


def test_pieces_are_faded_over_from_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 10 frames that share 4 with the next: 0 in the first, 1 in the second, at the frame's middle."""
    monkeypatch.setattr(hpss, "_PIECE_S", 10.0)
    monkeypatch.setattr(hpss, "_OVERLAP_S", 4.0)
    pieces = iter((0.0, 1.0))

    def separated(data: np.ndarray, _: int) -> dict[str, np.ndarray]:
        return {"bass": np.full_like(data, next(pieces))}

    monkeypatch.setattr(hpss, "_separated", separated)
    found = hpss.separated_by_hpss([Samples(np.zeros((15, 1), np.float32), 1)])
    bass = np.concatenate([piece["bass"].data[:, 0] for piece in found])
    assert bass.tolist() == [0.0] * 6 + [0.125, 0.375, 0.625, 0.875] + [1.0] * 5


def test_the_key_and_the_columns_need_no_weights() -> None:
    config = Config(stems=StemsConfig(model="hpss"))
    assert stems_key(config.stems)["weights"] == "hpss"
    mono = sum(parts(4.0).values()).astype(np.float32)
    stems = separate(Samples(mono[:, None], RATE), config.stems)
    columns = stem_frames({name: stem.data[:, 0] for name, stem in stems.items()}, config)
    assert np.isfinite(columns.power).all()
    assert np.isfinite(columns.centroid_hz).all()
    assert len(columns.power) == len(extract_frames(mono, config).values)
