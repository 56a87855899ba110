"""Synthetic editors: named, seeded ways of editing, to develop and learn against.

``radio_edit`` trims the intro, opens with the strongest chorus and drops repeats; ``jam_cleanup`` keeps the best
quarter of a take in whole phrases; ``extended_mix`` loops the strongest blocks. Each decides by what can be heard
(``listening``), plans in bars and cuts as a hand does (``cutting``); ``mastering`` is what an edit goes through
afterwards. Agreement with them is not agreement with people.
"""

from rl_editor.editors.mastering import master
from rl_editor.editors.styles import EDITORS, Editor, ExtendedMix, JamCleanup, RadioEdit, TrackView

__all__ = ["EDITORS", "Editor", "ExtendedMix", "JamCleanup", "RadioEdit", "TrackView", "master"]
