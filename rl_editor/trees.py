"""Trees beside the network: which kind of decision the places of a song call for, by comparison of columns alone.

What repeats, how strong a span is beside the others, which of two alike comes later, how many bars and blocks a place
lies from either end: such columns (``agent.places``) decide by where they lie, above or below a threshold, several at
once. Trees find that in some thirty songs where a network finds it in many more (Grinsztajn, Oyallon & Varoquaux 2022,
"Why do tree-based models still outperform deep learning on typical tabular data?"); they know nothing of what was
decided before, of lines of phrases, of loops. So edits are attempted and chosen by what both say
(``rl_editor.decoding``); docs/learning.md says what that brings.

Columns that mean much to few editors and blur the trees of others are on trial: an editor's trees have them where pairs
that taught nothing are told better with them, by more than chance.

Extremely randomised trees (Geurts, Ernst & Wehenkel 2006), a forest per editor, grown by scikit-learn and kept as
tensors. Shapes: U units, P columns, K kinds (``UNIT_KINDS``), N nodes of all trees.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rl_editor.actions import FIRST_LOOP, KEEP, UNIT_KINDS, ActionSpace, ActionType

_EXTENDED = (ActionType.LOOP, ActionType.REORDER)
_LEAST_UNITS = 8  # in a leaf: two blocks of four bars
_COLUMNS_TRIED = 0.3  # share of columns that each split chooses from
_LEAST_PROBABLE = 0.01  # nothing is ruled out by songs that are few
_FOLDS, _FEWEST_PAIRS = 4, 8  # of a trial
_SURELY = 2.0  # standard errors of what a pair gains
_N_SEEDS = 1 << 32  # that scikit-learn takes


class Trees(nn.Module):
    """Forests of all editors; silent until they are grown."""

    column: Tensor
    threshold: Tensor
    branches: Tensor
    probable: Tensor
    roots: Tensor

    def __init__(self, n_styles: int) -> None:
        super().__init__()
        self.register_buffer("column", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(0))
        self.register_buffer("branches", torch.zeros(0, 2, dtype=torch.int32))  # of a leaf: itself
        self.register_buffer("probable", torch.zeros(0, len(UNIT_KINDS)))
        self.register_buffer("roots", torch.zeros(n_styles, 0, dtype=torch.int32))  # -1: no trees

    def fit(
        self,
        columns: Float[Tensor, "units places"],
        kinds: Int[Tensor, " units"],
        weight: Float[Tensor, " units"],
        style: Int[Tensor, " units"],
        pair: Int[Tensor, " units"],
        *,
        n_on_trial: int,
        n_trees: int,
        balance: float,
        seed: int,
    ) -> None:
        """Grow a forest for each editor.

        Args:
            columns: of every unit of all songs.
            kinds: what its editor decided, numbers in ``UNIT_KINDS``.
            weight: how much each unit counts; 0 leaves it out.
            style: whose song it is.
            pair: of which pair, a number.
            n_on_trial: columns, the last, that have to prove useful.
            n_trees: of a forest.
            balance: exponent on the inverse frequency of each kind, by which its units count more.
            seed: of the chance in it.
        """
        if not n_trees:
            return
        parts: list[tuple[np.ndarray, ...]] = []
        roots = np.full((len(self.roots), n_trees), -1, np.int32)
        given = (columns, kinds, weight, style, pair)
        rows, decided, counts, editor, pairs = (values.cpu().numpy() for values in given)
        n_nodes = 0
        for number in np.unique(editor[counts > 0.0]).tolist():
            own = (editor == number) & (counts > 0.0)
            grow = partial(_forest, n_trees=n_trees, balance=balance, seed=seed)
            known = _Known(rows[own], decided[own], counts[own])
            if n_on_trial and not _are_useful(known, pairs[own], grow, n_on_trial=n_on_trial):
                known = known.without(n_on_trial)
            forest = grow(known)
            for tree, grown in enumerate(forest.estimators_):
                roots[number, tree] = n_nodes
                parts.append(_arrays(grown.tree_, forest.classes_, n_nodes))
                n_nodes += len(parts[-1][0])
        device = self.roots.device
        self.roots = torch.from_numpy(roots).to(device)
        if parts:
            whole = (torch.from_numpy(np.concatenate(arrays)).to(device) for arrays in zip(*parts, strict=True))
            self.column, self.threshold, self.branches, self.probable = whole

    def forward(self, columns: Float[Tensor, "units places"], style: int) -> Float[Tensor, "units kinds"]:
        """Log probability of every kind at each unit; zeros where nothing was learned of the editor."""
        roots = self.roots[style].long()
        if not len(roots) or int(roots[0]) < 0:
            return torch.zeros(len(columns), len(UNIT_KINDS), device=columns.device)
        at, before = roots.expand(len(columns), -1), None
        while before is None or not torch.equal(at, before):
            before = at
            above = columns.gather(1, self.column[at].long()) > self.threshold[at]
            at = self.branches[at].gather(2, above[:, :, None].long())[:, :, 0].long()
        return self.probable[at].mean(1).clamp(min=_LEAST_PROBABLE).log()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take on the size of what is loaded."""
        for name, buffer in list(self.named_buffers(recurse=False)):
            if (found := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(found, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def kinds_decided(
    actions: Int[Tensor, "*units"], late: Int[Tensor, "*units"], space: ActionSpace
) -> Int[Tensor, "*units"]:
    """The kind of every decision; EXTEND counts as the region that it extends.

    Args:
        actions: decisions.
        late: the same with EXTEND replaced by what opens the rest of its region (``lessons.late_actions``).
        space: what the numbers mean.
    """
    in_loop = (actions == space.extend) & (late == KEEP)
    opens = torch.where(in_loop, FIRST_LOOP, late)
    return _kind_numbers(space).to(actions.device)[opens]


def of_actions(says: Float[Tensor, "units kinds"], space: ActionSpace) -> Float[Tensor, "units actions"]:
    """What is said of kinds, for every action of that kind; EXTEND may be of a loop or a move."""
    each = says[:, _kind_numbers(space).to(says.device)]
    each[:, space.extend] = torch.logaddexp(*(says[:, UNIT_KINDS.index(kind)] for kind in _EXTENDED))
    return each


def _kind_numbers(space: ActionSpace) -> Int[Tensor, " actions"]:
    """Number in ``UNIT_KINDS`` of every action; EXTEND has none of its own and stands as the first that it extends."""
    kinds = (space.type_of(action) for action in range(space.n_discrete_actions))
    return torch.tensor([UNIT_KINDS.index(_EXTENDED[0] if kind is ActionType.EXTEND else kind) for kind in kinds])


class _Known(NamedTuple):
    """What one editor decided of units; as the arguments of ``Trees.fit``."""

    columns: Float[np.ndarray, "units places"]
    kinds: Int[np.ndarray, " units"]
    weight: Float[np.ndarray, " units"]

    def without(self, n_last: int) -> "_Known":
        """Without the last columns."""
        return self._replace(columns=self.columns[:, : self.columns.shape[1] - n_last])

    def of(self, units: Bool[np.ndarray, " units"]) -> "_Known":
        """Some of the units."""
        return _Known(*(values[units] for values in self))


def _are_useful(
    known: _Known, pair: Int[np.ndarray, " units"], grow: Callable[[_Known], Any], *, n_on_trial: int
) -> bool:
    """Whether the last columns tell more of pairs that taught nothing, by more than the chance of which pairs."""
    names = np.unique(pair)
    if len(names) < _FEWEST_PAIRS:
        return False
    number, gains = np.searchsorted(names, pair), []
    for fold in range(_FOLDS):
        taught = number % _FOLDS != fold
        told = [_told(grow(part.of(taught)), part.of(~taught)) for part in (known, known.without(n_on_trial))]
        gain, held = (told[0] - told[1]) * known.weight[~taught], number[~taught]
        gains += [gain[held == each].sum() for each in np.unique(held)]
    return bool(np.mean(gains) > _SURELY * np.std(gains, ddof=1) / np.sqrt(len(gains)))


def _told(forest: Any, known: _Known) -> Float[np.ndarray, " units"]:
    """Log probability of what was decided."""
    probable = np.zeros((len(known.kinds), len(UNIT_KINDS)))
    probable[:, forest.classes_] = forest.predict_proba(known.columns)
    return np.asarray(np.log(probable[np.arange(len(probable)), known.kinds].clip(min=_LEAST_PROBABLE)))


def _forest(known: _Known, *, n_trees: int, balance: float, seed: int) -> Any:
    """scikit-learn's, of one editor; the arguments are those of ``Trees.fit``."""
    from sklearn.ensemble import ExtraTreesClassifier

    columns, kinds, weight = known
    mass = np.bincount(kinds, weight, minlength=len(UNIT_KINDS))
    forest = ExtraTreesClassifier(
        n_trees, min_samples_leaf=_LEAST_UNITS, max_features=_COLUMNS_TRIED, random_state=seed % _N_SEEDS
    )
    return forest.fit(columns, kinds, sample_weight=weight * (mass.sum() / mass[kinds]) ** balance)


def _arrays(tree: Any, classes: Int[np.ndarray, " seen"], offset: int) -> tuple[np.ndarray, ...]:
    """Column, threshold, children and probabilities of a tree's nodes, counted from ``offset``."""
    itself = np.arange(tree.node_count)
    leaf = tree.children_left < 0
    children = np.stack([np.where(leaf, itself, tree.children_left), np.where(leaf, itself, tree.children_right)], 1)
    probable = np.zeros((tree.node_count, len(UNIT_KINDS)), np.float32)
    probable[:, classes] = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
    column = np.where(leaf, 0, tree.feature).astype(np.int32)
    return column, tree.threshold.astype(np.float32), (children + offset).astype(np.int32), probable
