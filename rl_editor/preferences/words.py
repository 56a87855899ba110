"""A report on preferences in plain words: of each listener, of the ways of editing, of what may be learned."""

from math import isfinite

import numpy as np

from rl_editor.command import counted
from rl_editor.preferences.listener_habits import HABITS
from rl_editor.preferences.listeners import ListenerReport
from rl_editor.preferences.measures import SURE, Effect, KeyAfter, Share
from rl_editor.preferences.report import PreferencesReport, Way
from rl_editor.reward_model import bradley_terry
from rl_editor.reward_model.accord import Accord, opposed
from rl_editor.reward_model.bradley_terry import sigmoid

FEW = 5  # answers that say nothing yet
CONSISTENT, ATTENTIVE = 0.75, 0.8  # shares of repeats and of anchors below which somebody is worth a look
_HABIT_SAID = {
    "order": ("answers for A, what comes first on the page", "answers for B, what comes second on the page"),
    "length": ("answers for the longer one", "answers for the shorter one"),
    "loudness": ("answers for the louder one", "answers for the softer one"),
    "played_first": ("answers for what sounded first", "answers for what sounded second"),
}
_HALVES_SAID = {"attention": "anchors told and repeats answered alike", "first": "answers for A"}
_TORN = "a taste that changes, two listeners of one name, or little that is heard beside faults"
_TURNED = (
    "! the second half of the answers follows another taste than the first: what is listened for changed, or who "
    "answers; one reward of both halves is nobody's taste"
)
_AS_ONE = (
    "one listener under two names, or answers that were copied, which count twice and say as much as once; learn of one"
)
_FITTED = "what is learned leaves this out"
_NOT_FITTED = "only the order is fitted beside the taste, the rest blurs it; ask to begin with A and B by turns"
_UNMEASURED = (
    "what is listened for may be nothing that the reward measures, which is joins, phrases, repeats, jumps back, "
    "strength, and how it begins and ends"
)
FEATURES_SAID = {
    "tempo_faults": "joins off the beat",
    "energy_faults": "jumps of level at joins",
    "phrase_faults": "broken phrases",
    "transition_faults": "joins that sound unlike a continuation",
    "joins": "joins",
    "backward": "jumps back",
    "replayed": "repeated music",
    "energy_rank": "strong passages",
    "opening": "beginning as the song does",
    "ending": "ending as the song does",
}
AGAINST = -0.3  # trust: of listeners by chance or by a habit it came to -0.2, of an opposite taste to -0.5 and below
_MANY = 30  # judgements after which few anchors are worth a word
_IDLE = 0.5  # share of 'no difference' above which there is little to learn
_MOST_TWOS = 10  # of listeners, in words
_COLLECT = "rl-editor preferences collect SET --listener NAME"


def screen(found: PreferencesReport) -> str:
    """All of it, on one screen where there are few listeners."""
    lines = [summary(found)]
    if not found.n_judgements and not found.n_ratings:
        return lines[0]
    for listener in found.listeners:
        lines += ["", f"{listener.name}:", *(f"  {line}" for line in about(listener))]
    if found.learned.accords:
        lines += ["", *accord_lines(found)]
    if found.ways:
        lines += ["", "ways of editing, by how often they would be preferred to the average one:"]
        ways = way_lines(found)
        width = max(map(len, ways))
        lines += [f"  {name:<{width}}  {said}" for name, said in ways.items()]
    status, *more = reward_lines(found)
    lines += ["", f"learned reward: {status}", *more, *missing_lines(found)]
    return "\n".join(lines)


def summary(found: PreferencesReport) -> str:
    """One sentence."""
    if not found.n_judgements and not found.n_ratings:
        return "no judgements yet; rl-editor listen SET collects them"
    ratings = f"; {counted(found.n_ratings, 'rating')}" if found.n_ratings else ""
    return f"{counted(found.n_judgements, 'judgement')} by {counted(len(found.listeners), 'listener')}{ratings}"


def about(listener: ListenerReport) -> list[str]:
    """What may be said of a listener, with what to do about it."""
    hurry = f"; {listener.median_s:.0f} s each" if isfinite(listener.median_s) else ""
    n = counted(listener.n, "judgement")
    said = [
        f"{n}, {listener.n_same} of them 'no difference', {listener.n_unsure} 'can't tell'{hurry}",
        f"same answer to a repeated pair: {spoken(listener.repeats)}{_repeats_same(listener)}{_repeats_hint(listener)}",
        f"good side of an anchor chosen: {spoken(listener.anchors)}{_anchors_hint(listener)}",
        f"chose A: {spoken(listener.first)}; what sounded first: {spoken(listener.played_first)}; "
        f"the longer one: {spoken(listener.longer)}{_louder(listener.louder)}",
    ]
    return said + warnings(listener)


def _louder(louder: Share) -> str:
    """Nothing where all were equally loud, as ``candidates`` makes them."""
    return f"; the louder one: {spoken(louder)}" if louder.n else ""


def warnings(listener: ListenerReport) -> list[str]:
    """What is wrong with anchors; habits that are sure, and what becomes of them; what did not last."""
    found = _of_no_use(listener)
    for name in HABITS:
        effect = listener.habits[name]
        if effect.sure:
            said = _HABIT_SAID[name][effect.weight < 0]
            becomes = _FITTED if name in bradley_terry.HABITS else _NOT_FITTED
            found.append(f"! {said}, of two else alike in about {percent(_followed(effect))} of cases: {becomes}")
    changed = {name for name in _HALVES_SAID if listener.halves[name].differ}
    changed |= {"attention"} if listener.tired else set()
    found += [_changed(name, listener) for name in _HALVES_SAID if name in changed]
    found += [_TURNED] if listener.turned else []
    return found + ([_by_keys(listener.key_after)] if listener.key_after.depends else [])


def _followed(habit: Effect) -> float:
    """How often a habit decides where nothing else does."""
    return float(sigmoid(np.array(abs(habit.weight))))


def _of_no_use(listener: ListenerReport) -> list[str]:
    """Who judges against the anchors, by chance, or not at all; and of whom one cannot say."""
    if listener.contrary:
        return [
            "! prefers the broken side of anchors: the buttons are the wrong way round, or something else is listened "
            "for; these answers are left out of the reward and of the ways"
        ]
    idle = Share(listener.n_same, listener.n)
    if idle.n and idle.interval[0] > _IDLE:
        return [
            f"! says 'no difference' of most pairs ({spoken(idle)}): these teach next to nothing, though they count; "
            "better headphones, or a set whose pairs differ more, may help"
        ]
    silent = Share(listener.n_unsure, listener.n)
    if silent.n and silent.interval[0] > _IDLE:
        return [
            f"! says 'can't tell' of most pairs ({spoken(silent)}), which teaches nothing: better headphones, or a set "
            "whose pairs differ more, may help"
        ]
    habit = any(effect.sure for effect in listener.habits.values())
    if not habit and listener.told.n >= 2 * FEW and listener.told.interval[1] < CONSISTENT and _as_a_coin(listener):
        return [
            f"! anchors told and repeats answered alike together: {spoken(listener.told)}, about as by a coin; what "
            "such answers say of a taste is chance"
        ]
    if listener.n >= _MANY and listener.n_anchors_decided < FEW:
        return [
            f"! {counted(listener.n_anchors_decided, 'anchor')} decided, {FEW} are needed to see buttons that are the "
            "wrong way round: judge more"
        ]
    return []


def _as_a_coin(listener: ListenerReport) -> bool:
    """Whether a coin may have answered anchors and repeats, each for itself: one kind does not make up for another."""
    return all(
        not share.n or share.interval[0] <= 0.5 <= share.interval[1]
        for share in (listener.anchors, listener.repeats_told)
    )


def accord_lines(found: PreferencesReport) -> list[str]:
    """What every two listeners have in common, those first who want opposite things, or are as one."""
    twos = sorted(found.learned.accords, key=lambda each: (not each.opposed, not found.as_one(each), each.predicted))
    lines = ["listeners two by two (a half is nothing in common):"]
    lines += [f"  {each.one} and {each.other}: {accord_line(each)}" for each in twos[:_MOST_TWOS]]
    lines += [f"  and {len(twos) - _MOST_TWOS} more"] if len(twos) > _MOST_TWOS else []
    if said := opposed(twos):
        lines.append(f"! {said}: one reward of both is nobody's taste; learn of one at a time: {_COLLECT}")
    if same := ", ".join(f"{each.one} and {each.other}" for each in twos if found.as_one(each)):
        lines.append(f"! {same} agree more with each other than with themselves: {_AS_ONE}: {_COLLECT}")
    return lines


def accord_line(each: Accord) -> str:
    """What two listeners have in common."""
    alike = f"the same edit of {spoken(Share(each.n_alike, each.n_both))} that both decided"
    middle, low, high = percent(each.predicted), percent(each.low), percent(each.high)
    predicted = f"one's taste predicts {middle} ({low} to {high}) of the other's answers"
    return f"{alike if each.n_both else 'no pair that both decided'}; {predicted}"


def way_lines(found: PreferencesReport) -> dict[str, str]:
    """How the ways fare, by name; of those that were hardly judged nothing is known."""
    lines = {way.name: _way_line(way) for way in found.ways if way.n >= FEW}
    few = ", ".join(way.name for way in found.ways if way.n < FEW)
    return lines | ({"others": f"{few}, judged fewer than {FEW} times"} if few else {})


def _way_line(way: Way) -> str:
    middle, low, high = way.wins
    return f"{percent(middle)} ({percent(low)} to {percent(high)}), {counted(way.n, 'time')} judged"


def reward_lines(found: PreferencesReport) -> list[str]:
    """Whether a reward can be learned, first, and what it would like."""
    learned = found.learned
    lines = [f"{learned.status}: {learned.reason}", *_unmeasured(found)]
    lines += [counting_line(found), *rater_lines(found)]
    if learned.model is not None:
        sure = {name: w for name, (w, spread) in learned.model.weights.items() if abs(w) > SURE * spread}
        likes = [FEATURES_SAID[name] for name in sorted(sure, key=lambda name: -sure[name]) if sure[name] > 0]
        dislikes = [FEATURES_SAID[name] for name in sorted(sure, key=lambda name: sure[name]) if sure[name] < 0]
        for verb, things in (("likes", likes), ("dislikes", dislikes)):
            if things:
                lines.append(f"  it {verb} {', '.join(things)}")
        if not sure:
            lines.append("  which features it likes or dislikes is not sure yet")
        assert learned.trial is not None
        lines.append(f"  the chances that it gives are off by {percent(learned.trial.calibration_error)} on average")
        lines += trust_lines(found)
    return lines


def _unmeasured(found: PreferencesReport) -> list[str]:
    """Who answers as a taste does, though none was found: it may be for something else."""
    if found.learned.status != "no taste":
        return []
    torn = {name for two in found.learned.accords if two.opposed for name in (two.one, two.other)}
    sure = [
        each.name
        for each in found.listeners
        if each.repeats_told.interval[0] > 0.5
        and each.name not in torn
        and not any(effect.sure for effect in each.habits.values())
    ]
    return [f"! {' and '.join(sure)} answered repeated pairs alike all the same: {_UNMEASURED}"] if sure else []


def trust_lines(found: PreferencesReport) -> list[str]:
    """Whose taste it is, where there are several listeners."""
    if len(found.trust) < 2:
        return []
    said = ", ".join(f"{name} {trust:.1f}" for name, trust in found.trust.items())
    lines = [f"  how far each judges by it (1: as those who do, 0: not at all, below 0: against it): {said}"]
    against = [name for name, trust in found.trust.items() if trust < AGAINST]
    if against:
        opposite = f"{' and '.join(against)} judged against it: listeners want opposite things"
        lines.append(f"! {opposite}, and it follows some of them, weakly; ask more listeners")
    return lines


def counting_line(found: PreferencesReport) -> str:
    """What counts toward the judgements that a reward needs, and what does not."""
    each = found.counting
    rated = f", and ratings for {round(each.n_by_ratings, 1):g} more" if each.n_by_ratings else ""
    contrary = f", {each.n_contrary} of listeners who prefer the broken side of anchors" if each.n_contrary else ""
    return (
        f"toward reward_model.min_judgements ({each.n_needed}) count {each.n_pairs} of {found.n_judgements} judgements"
        f"{rated}: {each.n_anchors} of anchors{contrary} and {each.n_unsure} 'can't tell' do not"
    )


def rater_lines(found: PreferencesReport) -> list[str]:
    """Who rated whole edits, and on how much of the scale."""
    if not found.raters:
        return []
    said = ", ".join(f"{r.name} {r.n} from {r.lowest} to {r.highest}" for r in found.raters)
    return [f"ratings ({said}) say by their order alone which of two edits of a song is better; equal ones say nothing"]


def missing_lines(found: PreferencesReport) -> list[str]:
    """How many more judgements are needed, and for what."""
    lines = []
    for purpose, n in found.n_missing.items():
        if n < 0:
            lines.append(f"{purpose}: so far there is nothing to tell; more judgements may not change that")
        elif n:
            lines.append(f"{purpose}: about {n} more")
    return lines


def spoken(share: Share) -> str:
    """A share, with its interval."""
    if not share.n:
        return "not known"
    low, high = share.interval
    return f"{share.k} of {share.n} ({percent(low)} to {percent(high)})"


def percent(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.0f} %"


def _changed(name: str, listener: ListenerReport) -> str:
    half = listener.halves[name]
    early, late = (f"{share.k} of {share.n}" for share in half)
    anchors = listener.halves["anchors"].late
    advice = "shorter sessions may help"
    if name == "attention" and half.late.value > half.early.value:
        advice = "the first answers tell less"
    elif name == "attention" and anchors.n >= FEW and anchors.value >= ATTENTIVE:
        advice = f"though {anchors.k} of the last {anchors.n} anchors are told: the taste changed, or who answers"
    return f"! {_HALVES_SAID[name]}: {early} in the first half, {late} in the second; {advice}"


def _by_keys(keys: KeyAfter) -> str:
    after_a, after_b = (f"{share.k} of {share.n}" for share in keys)
    habit = "the last key sticks" if keys.first.value > keys.second.value else "keys alternate"
    return (
        f"! answers for A: {after_a} after an answer for A, {after_b} after one for B: {habit}, which blurs the taste"
    )


def _repeats_hint(listener: ListenerReport) -> str:
    """Who tells anchors does listen, so if repeats are answered otherwise it is for another reason."""
    hint = _below(listener.repeats, CONSISTENT)
    attentive = listener.anchors.n >= FEW and listener.anchors.value >= ATTENTIVE
    return f"{hint}, though anchors are told: {_TORN}" if hint and attentive else hint


def _anchors_hint(listener: ListenerReport) -> str:
    """A tie is no choice of the broken side."""
    if not listener.anchors.k and 2 <= listener.anchors.n - listener.n_anchors_same < FEW:
        return "  ! of so few it may be chance, or the buttons the wrong way round: judge more"
    if not listener.n_anchors_same:
        return _below(listener.anchors, ATTENTIVE)
    mostly = 2 * listener.n_anchors_same > listener.anchors.n >= FEW
    hint = "  ! hears hardly a difference" if mostly else _below(listener.anchors, ATTENTIVE)
    return f", {counted(listener.n_anchors_same, 'time')} 'no difference'{hint}"


def _repeats_same(listener: ListenerReport) -> str:
    return f", {listener.n_repeats_same} of them 'no difference' both times" if listener.n_repeats_same else ""


def _below(share: Share, least: float) -> str:
    """A hint where a share is low and there are answers enough to say so."""
    if share.n < FEW or share.value >= least:
        return ""
    if share.interval[1] < 0.5:
        return "  ! less than chance would give"
    return "  ! may be chance" if share.interval[0] <= 0.5 else "  ! low"
