"""An audition in words: a row per join and a verdict."""

from rl_editor.audition import SURE, Audition, JudgedJoin
from rl_editor.clock import clock
from rl_editor.command import counted

MOST_ROWS = 60


def screen(found: Audition) -> str:
    """Verdict and table on one screen; long tables are cut after ``MOST_ROWS``, faulty joins first."""
    shown = found.shown(MOST_ROWS)
    lines = [verdict(found), ""]
    if found.joins:
        lines += [
            "join  at       from      to        level dB   spectrum   beat ms  bar   click  faults",
            *(_row(join) for join in shown),
        ]
        if len(shown) < len(found.joins):
            faulty = found.n_faulty - sum(bool(join.faults) for join in shown)
            which = f", {faulty} of them faulty" if faulty else " without fault"
            lines.append(f"... and {counted(len(found.joins) - len(shown), 'join')}{which}")
        lines += ["", "  ".join(f"{name} {value:.3g}" for name, value in found.medians().items()) + "  (medians)"]
    if doubtful := doubt(found):
        lines.append(doubtful)
    return "\n".join(lines)


def doubt(found: Audition) -> str:
    """Why beats and bars are no faults here; nothing where they are."""
    if found.grid_confidence >= SURE:
        return ""
    sure = f"expected F-measure {found.grid_confidence:.2f}"
    return f"beats are doubtful ({sure}): beat and bar are no faults here; see rl-editor grid"


def verdict(found: Audition) -> str:
    """One sentence, with the recording's name."""
    return f"{found.edit.source.name}: {standing(found)}"


def standing(found: Audition) -> str:
    """Length, and how many joins stand out."""
    n_joins = len(found.joins)
    if not n_joins:
        return f"{clock(found.edit.duration_s)}, no joins"
    faulty = f"{found.n_faulty} of {n_joins} joins" if n_joins > 1 else "its join"
    sound = f"none of its {n_joins} joins stands out" if n_joins > 1 else "its join does not stand out"
    said = sound if not found.n_faulty else f"{faulty} stand{'s' if found.n_faulty == 1 else ''} out"
    return f"{clock(found.edit.duration_s)}, {said}"


def _row(join: JudgedJoin) -> str:
    found = join.found
    spectrum = "-" if found.spectral_percentile is None else f"{found.spectral_percentile:.0f} %"
    level = f"{found.level_step_db:.1f}" + (
        "" if found.level_percentile is None else f" ({found.level_percentile:.0f} %)"
    )
    bar = {True: "kept", False: "lost", None: "-"}[found.bar_phase_kept]
    return (
        f"{join.number:>4}  {clock(found.output_s):<7}  {clock(found.leave_s, digits=2):<8}  "
        f"{clock(found.land_s, digits=2):<8}  {level:<10} {spectrum:>8}  {found.beat_error_ms:>+8.1f}  {bar:<4}  "
        f"{found.click:>5.1f}  {', '.join(join.faults)}"
    )
