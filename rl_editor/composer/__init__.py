"""Songs to develop and learn against, with the truth about them: composed and played by this package.

A song has a key, a form (sections, bars and moves after the statistics of the Harmonix set), chords, hooks, grooves,
fills and a mix of four stems, drawn from ``(corpus.seed, index)``: the same bytes every time. Its beats, downbeats,
sections and stems are known exactly. ``theory`` knows notes, ``form`` plans, ``bands`` and ``arrangement`` write the
notes, ``synthesis`` plays them, ``effects`` and ``song`` mix.
"""

from rl_editor.composer.form import TRAITS, traits_of
from rl_editor.composer.song import STEMS, ComposedSong, Section, compose_song, song_name

__all__ = ["STEMS", "TRAITS", "ComposedSong", "Section", "compose_song", "song_name", "traits_of"]
