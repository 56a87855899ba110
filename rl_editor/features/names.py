"""Names of all columns, in the documented order; sums and widths follow from them."""

from rl_editor.config import FeatureMode

N_MFCC = 13
N_CONTRAST = 7
PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
STEM_NAMES = ("drums", "bass", "vocals", "other")

BASIC = ("onset", "rms", "centroid", "zcr")
EXTENDED = ("rolloff", "bandwidth", "flatness")
CONTRAST = tuple(f"contrast_{band}" for band in range(N_CONTRAST))
MFCC = tuple(f"mfcc_{i}" for i in range(N_MFCC))
MFCC_DELTA = tuple(f"mfcc_delta_{i}" for i in range(N_MFCC))
CHROMA = tuple(f"chroma_{name}" for name in PITCH_CLASSES)
_RHYTHMIC = ("bar_phase_sin", "bar_phase_cos", "bar_position", "tempo_deviation", "ibi_ratio")

FRAME_NAMES: tuple[str, ...] = BASIC + EXTENDED + CONTRAST + MFCC + MFCC_DELTA + CHROMA  # 52
_DELTA = tuple(f"delta_{name}" for name in FRAME_NAMES)
_STEM = tuple(f"{stem}_{what}" for stem in STEM_NAMES for what in ("energy", "centroid", "ratio"))
ENHANCED = FRAME_NAMES + _RHYTHMIC + _DELTA
FEATURE_NAMES: dict[str, tuple[str, ...]] = {"basic": BASIC, "enhanced": ENHANCED, "full": ENHANCED + _STEM}


def feature_dim(mode: FeatureMode) -> int:
    """Columns per beat: basic 4, enhanced 109, full 121."""
    return len(FEATURE_NAMES[mode])
