"""Who plays what: genres with their instruments and grooves, and how full each kind of section is.

Conventions: a groove is a string of sixteenths, 4 to a beat, of one bar of 4/4 (a 3/4 bar plays the first twelve of
its own strings): ``.`` rest, ``o`` ghost note, ``x`` stroke, ``X`` accent. Energies and brightness are in [0, 1].
"""

from dataclasses import dataclass

STRENGTH = {"o": 0.35, "x": 0.75, "X": 1.0}  # velocity of a groove's letters


@dataclass(frozen=True)
class Groove:
    """One bar of drums."""

    kick: str
    snare: str
    hat: str


@dataclass(frozen=True)
class Genre:
    """Instruments and patterns of a style, at home between two tempos."""

    name: str
    bpm: tuple[float, float]
    kit: dict[str, str]  # role -> patch
    bass: str
    pad: str  # sustained chords
    comp: str  # rhythmic chords
    leads: tuple[str, ...]
    low: Groove  # verse
    high: Groove  # chorus
    comping: str
    bassline: str
    sevenths: bool = False
    pumping: float = 0.0  # depth of the ducking under the kick


@dataclass(frozen=True)
class Blueprint:
    """How full a kind of section is."""

    energy: float
    drums: str  # none, hats, low, high
    bass: str  # none, long, groove, drive
    chords: tuple[str, ...]  # of pad, comp, arpeggio
    lead: str  # none, verse, chorus, solo
    brightness: float
    material: str  # whose progression it plays
    rest_probability: float = 0.2


_ACOUSTIC = {"kick": "kick", "snare": "snare", "hat": "hat", "open": "open_hat", "ride": "ride", "shaker": "shaker"}
_MACHINE = {"kick": "kick_808", "snare": "snare_808", "hat": "hat", "open": "open_hat", "ride": "ride",
            "shaker": "shaker"}  # fmt: skip
_CLAPS = {**_MACHINE, "kick": "kick", "snare": "clap"}

GENRES: tuple[Genre, ...] = (
    Genre("rock", (100.0, 172.0), _ACOUSTIC, "finger_bass", "organ", "overdriven", ("guitar", "voice"),
          Groove("X.......X.x.....", "....X.......X...", "x.x.x.x.x.x.x.x."),
          Groove("X.....x.X.x.....", "....X.......X..o", "X.x.X.x.X.x.X.x."),
          "x.x.x.x.x.x.x.x.", "X.x.x.x.X.x.x.x."),
    Genre("pop", (85.0, 135.0), _ACOUSTIC, "saw_bass", "pad", "keys", ("voice", "flute"),
          Groove("X.....x.X.......", "....X.......X...", "x...x...x...x..."),
          Groove("X..x..x.X..x..x.", "....X.......X...", "x.x.x.x.x.x.x.xx"),
          "X..x..x...x..x..", "X.....x.X...x..."),
    Genre("house", (112.0, 140.0), _CLAPS, "saw_bass", "pad", "stab", ("voice", "saw_lead"),
          Groove("X...X...X...X...", "............o...", "..x...x...x...x."),
          Groove("X...X...X...X...", "....X.......X...", "o.x.o.x.o.x.o.xo"),
          "..x...x...x..x..", "..x...x...x...x.", sevenths=True, pumping=0.65),
    Genre("hiphop", (66.0, 102.0), _MACHINE, "sub_bass", "keys", "bell", ("voice", "flute"),
          Groove("X.....x...x.....", "....X.......X...", "x.x.x.x.x.x.x.x."),
          Groove("X..x..x...x..x..", "....X.......X..o", "xxx.x.xxx.x.xxx."),
          "x.......x.....x.", "X.....x...x.....", sevenths=True),
    Genre("funk", (92.0, 122.0), _ACOUSTIC, "finger_bass", "organ", "guitar", ("saw_lead", "voice"),
          Groove("X..x......x..x..", "....X..o.o..X...", "x.x.x.x.x.x.x.x."),
          Groove("X..x..x...x..x..", "....X..o.o..X..o", "xxxxxxxxxxxxxxxx"),
          "..x..xx...x..x.x", "X..x..x.o.x..xX.", sevenths=True),
    Genre("ballad", (64.0, 98.0), _ACOUSTIC, "finger_bass", "pad", "keys", ("voice", "guitar"),
          Groove("X.......x.......", "........x.......", "x...x...x...x..."),
          Groove("X.....x.x.......", "....X.......X...", "x.x.x.x.x.x.x.x."),
          "X...x...x...x...", "X.......x.....x."),
    Genre("synthwave", (78.0, 126.0), _MACHINE, "saw_bass", "pad", "stab", ("saw_lead", "bell"),
          Groove("X.......X.......", "....X.......X...", "x.x.x.x.x.x.x.x."),
          Groove("X...x...X...x...", "....X.......X...", "xoxoxoxoxoxoxoxo"),
          "X.....x.....x...", "x.xxx.xxx.xxx.xx", pumping=0.4),
    Genre("breaks", (136.0, 176.0), _ACOUSTIC, "sub_bass", "pad", "keys", ("bell", "saw_lead"),
          Groove("X.........x.....", "....X..o....X...", "x.x.x.x.x.x.x.x."),
          Groove("X.x.......x..x..", "....X..o.o..X..o", "x.x.x.x.x.x.x.x."),
          "X.......x..x....", "X.....x...x.....", sevenths=True),
)  # fmt: skip

WALTZ = Genre("waltz", (60.0, 200.0), _ACOUSTIC, "finger_bass", "pad", "keys", ("flute", "voice"),
              Groove("X...........", "....x...x...", "x...x...x..."),
              Groove("X.......x...", "....X...X...", "x.x.x.x.x.x."),
              "....x...x...", "X.......x...")  # fmt: skip

BLUEPRINTS: dict[str, Blueprint] = {
    "intro": Blueprint(0.5, "hats", "none", ("comp",), "none", 0.35, "verse"),
    "verse": Blueprint(0.58, "low", "groove", ("comp",), "verse", 0.45, "verse"),
    "prechorus": Blueprint(0.7, "low", "long", ("pad", "comp"), "verse", 0.55, "prechorus", 0.35),
    "chorus": Blueprint(1.0, "high", "drive", ("pad", "comp"), "chorus", 0.85, "chorus", 0.1),
    "bridge": Blueprint(0.6, "low", "long", ("pad", "arpeggio"), "verse", 0.5, "bridge", 0.4),
    "breakdown": Blueprint(0.5, "none", "long", ("pad", "arpeggio"), "none", 0.3, "chorus"),
    "solo": Blueprint(0.85, "high", "groove", ("comp",), "solo", 0.65, "verse", 0.05),
    "outro": Blueprint(0.42, "hats", "long", ("comp", "pad"), "none", 0.3, "verse"),
}

FILLS: tuple[tuple[str, str], ...] = (  # the last beats of a section: snare, toms
    ("x.x.xxxx", "........"),
    ("x..x..x.", "........"),
    ("x...x...", "..xx..xX"),
    ("xxxxxxXX", "........"),
    ("........", "x.xxx.xx"),
)
