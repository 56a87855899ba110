"""Names for readers: methods, conditions and styles."""

from collections.abc import Mapping

from rl_editor.evaluation.verdicts import ALL_STYLES

METHOD_TITLES: Mapping[str, str] = {
    "editor": "The editor's own edit",
    "ppo": "PPO",
    "bc": "BC (imitation)",
    "dp": "Retargeting DP",
    "loudest": "Loudest units",
    "random": "Random units",
    "keep_all": "Keep everything",
}
CONDITION_TITLES: Mapping[str, str] = {
    "target": "With the editor's length as target",
    "free": "Without a target length",
}
ACTION_COLOURS: Mapping[str, str] = {
    "KEEP": "#4477aa",
    "CUT": "#bbbbbb",
    "LOOP": "#ee6677",
    "EXTEND": "#f4b9bf",
    "REORDER": "#ccaa33",
}


def method_title(method: str) -> str:
    """A method as readers know it."""
    return METHOD_TITLES.get(method, method.replace("_", " "))


def style_title(style: str) -> str:
    """A style as readers know it."""
    return "All styles" if style == ALL_STYLES else style.replace("_", " ")


def in_reading_order(methods: tuple[str, ...]) -> list[str]:
    """Methods in the order of ``METHOD_TITLES``, others after the editor's own."""
    known = list(METHOD_TITLES)
    return sorted(methods, key=lambda m: (known.index(m) if m in known else 0.5, m))
