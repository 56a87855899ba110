"""The report on preferences as files: a page, its picture, and numbers."""

from pathlib import Path

from rl_editor.files import write_json, write_text
from rl_editor.preferences import words
from rl_editor.preferences.picture import draw
from rl_editor.preferences.report import PreferencesReport
from rl_editor.publishing import page_templates, save_png

_DPI = 110


def write_report(found: PreferencesReport, folder: Path) -> Path:
    """Write ``index.html``, ``report.png`` and ``report.json``; gives the page."""
    folder.mkdir(parents=True, exist_ok=True)
    save_png(draw(found), folder / "report.png", dpi=_DPI)
    write_json(folder / "report.json", found.to_dict())
    page = page_templates().get_template("preferences.html.j2")
    text = page.render(
        summary=words.summary(found),
        listeners=[(each.name, words.about(each)) for each in found.listeners],
        accords=words.accord_lines(found)[1:] if found.learned.accords else [],
        ways=words.way_lines(found),
        reward=words.reward_lines(found),
        missing=words.missing_lines(found),
    )
    write_text(folder / "index.html", text)
    return folder / "index.html"
