"""A recording edited as a person asks: by a policy or the retargeting DP, demands met, to the sample if need be.

Conventions: as in ``negotiation``. The DP is no learned way of editing: it takes the least noticeable joins and knows
nobody's taste.

request    what may be asked
proposing  edits that meet a request
fading     their fades and crossfades
revising   an edit list taken up again
files      recordings and folders of them
"""

from rl_editor.editing.files import Failed, LeftOut, Written, edit_as_asked, edit_folder, numbered, recordings_in
from rl_editor.editing.proposing import Proposal, propose
from rl_editor.editing.request import Request
from rl_editor.editing.revising import revise_list

__all__ = [
    "Failed",
    "LeftOut",
    "Proposal",
    "Request",
    "Written",
    "edit_as_asked",
    "edit_folder",
    "numbered",
    "propose",
    "recordings_in",
    "revise_list",
]
