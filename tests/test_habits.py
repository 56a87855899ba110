"""Where an editor changes its mind: learned within some hundred steps, told apart by editor, and nothing made up."""

import pytest
import torch
from jaxtyping import Float
from toy_tracks import toy_config, toy_demonstrations

from rl_editor.agent import Agent
from rl_editor.habits import STARTS, Habits
from rl_editor.lessons import songs_of
from rl_editor.state import PROGRESS_NAMES, STRUCTURE_NAMES

KEEP, CUT, N_KINDS = 0, 1, 4
PLAYED, WAS_CUT, NOTHING_YET = (1.0, 0.4), (0.0, 0.4), (0.0, 0.0)  # last_plays, since_change


def progress(*before: tuple[float, float], loop: bool = False, move: bool = False) -> Float[torch.Tensor, "n columns"]:
    rows = torch.zeros(len(before), len(PROGRESS_NAMES))
    names = ("last_plays", "since_change", "open_loop", "open_move")
    rows[:, [PROGRESS_NAMES.index(name) for name in names]] = torch.tensor([[*b, loop, move] for b in before])
    return rows


def starts(*ways: int, n: int = 1) -> Float[torch.Tensor, "n ways"]:
    flags = torch.zeros(n, len(STARTS))
    flags[:, list(ways)] = 1.0
    return flags


def styles(*numbers: int) -> Float[torch.Tensor, "n styles"]:
    return torch.nn.functional.one_hot(torch.tensor(numbers), 2).float()


def taught(way_of_style: dict[int, int], *, dropout: float = 0.0) -> Habits:
    """Editors who change their mind at every second start of a span of their way, and nowhere else."""
    habits = Habits(2, N_KINDS, dropout=dropout)
    optimizer = torch.optim.AdamW(habits.parameters(), lr=1e-3, weight_decay=0.1)
    g = torch.Generator().manual_seed(0)
    n = 256
    for _ in range(300):
        style = torch.tensor(list(way_of_style))[torch.randint(len(way_of_style), (n,), generator=g)]
        flags = (torch.rand(n, len(STARTS), generator=g) < 0.3).float()
        played = torch.rand(n, generator=g) < 0.5
        own = flags.gather(1, torch.tensor([way_of_style[s] for s in style.tolist()])[:, None])[:, 0] > 0
        changes = own & (torch.rand(n, generator=g) < 0.5)
        label = torch.where(played ^ changes, KEEP, CUT)
        rows = progress(*[PLAYED if p else WAS_CUT for p in played.tolist()])
        loss = torch.nn.functional.cross_entropy(habits(rows, styles(*style.tolist()), flags), label)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return habits.eval()


def plays(habits: Habits, before: tuple[float, float], style: int, *ways: int) -> float:
    with torch.no_grad():
        return float(habits(progress(before), styles(style), starts(*ways)).softmax(1)[0, KEEP])


def test_within_a_span_the_last_decision_goes_on_and_at_its_start_it_is_open() -> None:
    habits = taught({0: 1})
    assert plays(habits, PLAYED, 0) > 0.9
    assert plays(habits, PLAYED, 0, 0) > 0.9  # another way to divide the song starts a span: it is not this editor's
    assert plays(habits, WAS_CUT, 0) < 0.1
    assert 0.3 < plays(habits, PLAYED, 0, 1) < 0.7
    assert 0.3 < plays(habits, WAS_CUT, 0, 1) < 0.7


def test_every_editor_has_habits_of_its_own() -> None:
    habits = taught({0: 1, 1: 2})
    for style, own, others in ((0, 1, 2), (1, 2, 1)):
        assert 0.3 < plays(habits, PLAYED, style, own) < 0.7
        assert plays(habits, PLAYED, style, others) > 0.85


def test_half_of_the_lessons_without_the_last_decision_do_not_weaken_the_habit() -> None:
    assert plays(taught({0: 1}, dropout=0.5), PLAYED, 0) > 0.9


@pytest.mark.parametrize("before", [PLAYED, WAS_CUT, NOTHING_YET])
def test_before_lessons_nothing_is_likelier(before: tuple[float, float]) -> None:
    assert plays(Habits(2, N_KINDS, dropout=0.0).eval(), before, 0, 1) == pytest.approx(1 / N_KINDS)


def test_first_decisions_and_open_regions_are_no_run_of_playing_or_cutting() -> None:
    habits = taught({0: 1})
    nowhere = habits(progress(NOTHING_YET), styles(0), starts())
    assert torch.equal(nowhere, torch.zeros_like(nowhere))
    for region in ({"loop": True}, {"move": True}):
        within = habits(progress(PLAYED, **region), styles(0), starts())
        assert torch.equal(within, torch.zeros_like(within))  # nothing was ever taught of loops and moves


def test_the_agent_knows_where_spans_start_whatever_the_noise_on_features() -> None:
    config = toy_config()
    batch = songs_of(toy_demonstrations(config), ("quiet_goes",), config, torch.device("cpu")).batch
    agent = Agent(config)
    agent.fit_normalisation(batch)
    known = agent.encode(batch).starts
    context, first = config.state.context_units, batch.rows.shape[2] - 1 - len(STRUCTURE_NAMES)
    for track, n_units in enumerate(batch.n_units.tolist()):
        rows = batch.rows[track, context : context + n_units, first:]
        for way, name in enumerate(("block", "bar_block", "section", "phrase")):
            before = rows[:, STRUCTURE_NAMES.index(f"{name}_units_before")]
            assert torch.equal(known[track, :n_units, way] > 0, before == 0)
            assert 1 <= int((before == 0).sum()) < n_units


def test_a_forgetful_policy_goes_by_what_it_hears_and_by_habit() -> None:
    config = toy_config()
    songs = songs_of(toy_demonstrations(config), ("quiet_goes",), config, torch.device("cpu"))
    agent, g = Agent(config), torch.Generator().manual_seed(0)
    env = songs.environment(config, n_envs=len(songs), generator=g)
    observation = env.reset(torch.arange(len(songs)))
    kept = env.step(torch.full((len(songs),), KEEP), auto_reset=False).observation
    cut = kept._replace(
        history=kept.history + 1.0,
        progress=kept.progress.clone().index_fill_(1, torch.tensor([PROGRESS_NAMES.index("last_plays")]), 0.0),
    )
    forgets = torch.ones(len(songs), dtype=torch.bool)
    with torch.no_grad():
        heard = agent.encode(songs.batch)

        def differ(forgetting: torch.Tensor | None) -> bool:
            after = [agent.logits(heard, seen, forgets=forgetting)[:, :2] for seen in (kept, cut)]
            return not torch.allclose(after[0], after[1], atol=1e-6)

        assert differ(None)
        assert not differ(forgets)
        agent.policy.habits.table.weight.normal_(generator=g)
        assert differ(forgets)
    assert observation.mask[:, CUT].all()
