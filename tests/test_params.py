"""params.yaml, dvc.yaml and the code agree; a stage reads only what it declares."""

import ast
import json
import pickle
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import yaml

from rl_editor import behavioral_cloning, trainer
from rl_editor.command import overlaid, read_settings
from rl_editor.config import NO_RESULT_SECTIONS, Config, section_types
from rl_editor.errors import ConfigError
from stages.closure import STAGES, code_dependencies
from stages.params import FREE_DATA_KEYS, load_all, load_params

ROOT = Path(__file__).parent.parent
PARAMS = ROOT / "params.yaml"


def declared(stage: str) -> tuple[str, ...]:
    tree = ast.parse((ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8"))
    values = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "SECTIONS"]
    return tuple(ast.literal_eval(values[0]))


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


class TestParamsFile:
    def test_every_key_is_written_down_and_in_the_order_of_the_code(self) -> None:
        values, defaults = yaml.safe_load(PARAMS.read_text(encoding="utf-8")), Config().to_dict()
        assert list(values) == list(defaults)
        assert {name: list(section) for name, section in values.items()} == {
            name: list(section) for name, section in defaults.items()
        }
        Config.from_dict(values)

    def test_a_missing_key_is_named(self, tmp_path: Path) -> None:
        text = PARAMS.read_text(encoding="utf-8").replace("  hop_length: 512", "  # hop_length: 512")
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"'audio\.hop_length' is missing"):
            load_all(tmp_path / "params.yaml")

    def test_text_where_a_number_is_due_is_refused_with_the_remedy(self, tmp_path: Path) -> None:
        text = PARAMS.read_text(encoding="utf-8")
        head, ppo = text.split("\nppo:", 1)
        ppo = re.sub(r"learning_rate: [\d.]+", "learning_rate: '1e-4'", ppo, count=1)
        (tmp_path / "params.yaml").write_text(f"{head}\nppo:{ppo}", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"ppo\.learning_rate.*write 1\.0e-04"):
            load_all(tmp_path / "params.yaml")


class TestDeclaredSections:
    def test_other_sections_cannot_be_read(self) -> None:
        config = load_params(("audio",), PARAMS)
        assert config.audio.sample_rate == 22050
        with pytest.raises(ConfigError, match=r"section 'ppo' is read but not declared"):
            _ = config.ppo

    def test_scheduling_tracking_and_the_cache_are_free(self) -> None:
        config = load_params((), PARAMS)
        assert config.executor.workers >= 0
        assert config.tracking.experiment
        assert config.data.cache_dir
        with pytest.raises(ConfigError, match=r"'data\.raw_dir' is read but 'data' is not declared"):
            _ = config.data.raw_dir

    def test_the_rule_holds_in_worker_processes(self) -> None:
        config = pickle.loads(pickle.dumps(load_params(("audio",), PARAMS)))
        assert config.audio.hop_length == 512
        with pytest.raises(ConfigError, match="not declared"):
            _ = config.bc

    def test_only_declared_sections_are_in_the_dict(self) -> None:
        assert list(load_params(("ppo", "audio"), PARAMS).to_dict()) == ["audio", "ppo"]


class TestPipelineFile:
    def test_the_stages_are_those_of_the_code(self, pipeline: dict[str, Any]) -> None:
        assert tuple(pipeline) == STAGES
        assert all((ROOT / "stages" / f"{stage}.py").is_file() for stage in STAGES)

    @pytest.mark.parametrize("stage", STAGES)
    def test_it_lists_the_code_that_a_stage_runs(self, pipeline: dict[str, Any], stage: str) -> None:
        listed = [dep for dep in pipeline[stage]["deps"] if dep.startswith(("rl_editor/", "stages/"))]
        assert listed == code_dependencies(stage, ROOT), f"update dvc.yaml from: python -m stages.closure ({stage})"

    @pytest.mark.parametrize("stage", STAGES)
    def test_it_lists_the_sections_that_a_stage_declares(self, pipeline: dict[str, Any], stage: str) -> None:
        data_keys = [f"data.{key}" for key in Config().to_dict()["data"] if key not in FREE_DATA_KEYS]
        expected = [key for name in declared(stage) for key in (data_keys if name == "data" else [name])]
        assert pipeline[stage]["params"] == expected
        assert set(declared(stage)) <= set(section_types()) - set(NO_RESULT_SECTIONS)

    @pytest.mark.parametrize(("stage", "learner"), [("bc", behavioral_cloning), ("ppo", trainer)])
    def test_a_run_goes_on_where_the_sections_of_its_stage_are_the_same(self, stage: str, learner: ModuleType) -> None:
        assert tuple(learner.DECIDED_BY) == declared(stage)

    def test_every_input_is_some_stages_output_or_in_git(self, pipeline: dict[str, Any]) -> None:
        outputs = {name for stage in pipeline.values() for name in output_names(stage)}
        inputs = {dep for stage in pipeline.values() for dep in stage["deps"]}
        data = {dep for dep in inputs if not dep.startswith(("rl_editor/", "stages/", "${"))}
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        in_git = {str(folder) for name in listed.split("\0") for folder in Path(name).parents}
        assert all(dep in outputs | in_git or str(Path(dep).parent) in outputs for dep in data)

    def test_metrics_and_plots_stay_in_git(self, pipeline: dict[str, Any]) -> None:
        entries = [e for s in pipeline.values() for kind in ("metrics", "plots") for e in s.get(kind, [])]
        assert entries
        assert all(options["cache"] is False for entry in entries for options in entry.values())


def output_names(stage: dict[str, Any]) -> list[str]:
    entries = [e for kind in ("outs", "metrics", "plots") for e in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


class TestClosure:
    def test_imports_within_functions_count_and_type_checking_does_not(self, tmp_path: Path) -> None:
        (tmp_path / "stages").mkdir()
        (tmp_path / "rl_editor" / "pack").mkdir(parents=True)
        files = {
            "stages/one.py": "from rl_editor.a import x\ndef main():\n    import rl_editor.b\n",
            "rl_editor/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import rl_editor.c\n"
            "def main():\n    import rl_editor.d\ndef f():\n    from rl_editor import pack\n",
            "rl_editor/b.py": "import numpy\n",
            "rl_editor/c.py": "",
            "rl_editor/d.py": "",
            "rl_editor/e.py": "",
            "rl_editor/pack/__init__.py": "",
            "rl_editor/pack/part.py": "import rl_editor.e\n",
        }
        (tmp_path / "rl_editor" / "e").mkdir()  # a folder of results beside the code, as rl_editor/cache/ is
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        assert code_dependencies("one", tmp_path) == [
            "rl_editor/a.py", "rl_editor/b.py", "rl_editor/e.py", "rl_editor/pack", "stages/one.py",
        ]  # fmt: skip


class TestPlots:
    def test_curves_and_templates_name_files_of_some_stage(self, pipeline: dict[str, Any]) -> None:
        """In git, too: one plot inside a folder that was not pulled, and ``dvc plots show`` draws none at all."""
        definitions = [d for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for d in entry.values()]
        outputs = {
            name
            for stage in pipeline.values()
            for kind in ("outs", "plots")
            for entry in stage.get(kind, [])
            if isinstance(entry, dict)
            for name, options in entry.items()
            if options["cache"] is False
        }
        assert {file for d in definitions for file in d["y"]} == {"plots/bc.csv", "plots/ppo.csv"} <= outputs
        named = [o.get("template") for e in pipeline["evaluate"]["plots"] for o in e.values()]
        assert set(named) == {"methods", "decisions"}
        assert {d["template"] for d in definitions} == {"curves"}
        own = {path.stem for path in (ROOT / ".dvc" / "plots").glob("*.json")}
        assert own == {"methods", "decisions", "curves"}

    def test_steps_without_a_number_are_no_points_of_a_curve(self) -> None:
        """PPO validates every few updates; DVC's own template takes what is blank for 0, a comb of zeros."""
        table = pd.read_csv(ROOT / "plots" / "ppo.csv")
        assert 2 < table["validation/score_with_target"].count() < len(table)
        curves = (ROOT / ".dvc" / "plots" / "curves.json").read_text(encoding="utf-8")
        (first, *_) = json.loads(curves)["transform"]
        assert first == {"filter": "isValid(datum['<DVC_METRIC_Y>']) && datum['<DVC_METRIC_Y>'] !== ''"}

    def test_a_chart_of_every_run_shows_columns_of_every_run(self) -> None:
        """One column that is missing, and DVC leaves the whole chart out: those of a learned reward stand apart."""
        columns = {name: set(pd.read_csv(ROOT / "plots" / f"{name}.csv", nrows=1)) for name in ("bc", "ppo")}
        for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]:
            for name, definition in entry.items():
                for file, shown in definition["y"].items():
                    missing = set(shown) - columns[Path(file).stem]
                    assert missing == (set(shown) if name == "tuning_learned" else set())

    def test_the_page_needs_no_network(self) -> None:
        page = (ROOT / ".dvc" / "plots" / "page.html").read_text(encoding="utf-8")
        assert "html_template = plots/page.html" in (ROOT / ".dvc" / "config").read_text(encoding="utf-8")
        assert page.count("{plot_divs}") == 1
        assert "{scripts}" not in page  # where DVC would put the addresses of its own scripts
        assert "<script src" not in page
        assert page.count("<script>") == 3


@pytest.mark.parametrize(
    ("text", "value"), [("3e-05", 3e-5), ("1E5", 1e5), ("-2.5e+1", -25.0), (".5e1", 5.0), ("1.0e-04", 1e-4), ("3", 3)]
)
def test_exponents_are_numbers_as_dvc_writes_them(tmp_path: Path, text: str, value: float) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"ppo:\n  learning_rate: {text}\n  name: e5\n")
    assert read_settings(path) == {"ppo": {"learning_rate": value, "name": "e5"}}


def test_settings_are_laid_upon_each_other_key_by_key() -> None:
    below = {"bc": {"epochs": 3, "patience_epochs": 2}, "ppo": "no section"}
    over = {"bc": {"epochs": 5}, "audio": {"n_fft": 1024}, "ppo": {"epochs": 1}, "beats": None}
    expected = {"bc": {"epochs": 5, "patience_epochs": 2}, "audio": {"n_fft": 1024}, "ppo": "no section", "beats": None}
    assert overlaid(below, over) == expected
    assert below["bc"]["epochs"] == 3


@pytest.mark.parametrize("text", ["- a list\n", "a: [", "\x00"])
def test_settings_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        read_settings(path)


def test_a_setting_that_stands_twice_is_named(tmp_path: Path) -> None:
    """PyYAML takes the last one without a word."""
    path = tmp_path / "params.yaml"
    path.write_text("bc:\n  epochs: 3\n  batch_tracks: 2\n  epochs: 4\n")
    with pytest.raises(ConfigError, match=r"params\.yaml: epochs stands 2 times in one section; leave one of them"):
        read_settings(path)
    path.write_text("bc: {epochs: 3}\nppo: {epochs: 4}\n")
    assert read_settings(path) == {"bc": {"epochs": 3}, "ppo": {"epochs": 4}}
