"""The settings of a run: ``params.yaml``, read strictly, and only what a stage has declared.

A stage declares the sections that it reads; ``dvc.yaml`` lists the same ones, so that DVC runs the stage again when
they change. Reading any other section raises: an undeclared dependency is a stale result waiting to happen. Scheduling
and tracking change no output, so every stage may read them and none lists them: the sections ``executor`` and
``tracking``, and the keys of ``data`` that say where the side cache is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_editor.command import read_settings
from rl_editor.config import NO_RESULT_SECTIONS, Config, DataConfig, section_types
from rl_editor.errors import ConfigError

PARAMS = Path("params.yaml")
FREE_DATA_KEYS = ("cache_dir", "use_cache", "num_workers")

_SECTIONS = tuple(section_types())
_DATA_KEYS = tuple(name for name in DataConfig.__dataclass_fields__ if name not in FREE_DATA_KEYS)


class DeclaredConfig(Config):
    """A ``Config`` of which only declared sections can be read; the others are left out of ``to_dict`` as well."""

    def __getattribute__(self, name: str) -> Any:
        if name not in _SECTIONS:
            return super().__getattribute__(name)
        declared = self.__dict__.get("_declared", _SECTIONS)
        if name in declared or name in NO_RESULT_SECTIONS:
            return super().__getattribute__(name)
        if name == "data":
            data = super().__getattribute__(name)
            return _CacheSettings(**{key: getattr(data, key) for key in FREE_DATA_KEYS})
        raise ConfigError(f"params: section {name!r} is read but not declared; add it to SECTIONS and to dvc.yaml")

    def to_dict(self) -> dict[str, Any]:
        """The declared sections."""
        whole = Config(**{name: self.__dict__[name] for name in _SECTIONS}).to_dict()
        return {name: whole[name] for name in _SECTIONS if name in self.__dict__["_declared"]}

    def __reduce__(self) -> Any:
        sections = {name: self.__dict__[name] for name in _SECTIONS}
        return _declare, (Config(**sections), self.__dict__["_declared"])


class _CacheSettings(DataConfig):
    """The ``data`` section for a stage that may only use the side cache."""

    def __getattribute__(self, name: str) -> Any:
        if name in _DATA_KEYS and "_made" in self.__dict__:
            raise ConfigError(
                f"params: 'data.{name}' is read but 'data' is not declared; add it to SECTIONS and dvc.yaml"
            )
        return super().__getattribute__(name)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.__dict__["_made"] = True


def load_params(sections: tuple[str, ...], path: Path) -> Config:
    """The settings of a run, restricted to ``sections``.

    Raises:
        ConfigError: the file is missing, is not YAML, or a key is missing, unknown or wrong.
    """
    return _declare(load_all(path), sections)


def load_all(path: Path = PARAMS) -> Config:
    """All settings of a run; for tracking, which records them and changes no output."""
    values = read_settings(path)
    config = Config.from_dict(values)
    if missing := _missing(config.to_dict(), values):
        raise ConfigError(f"{path}: {missing[0]!r} is missing; every setting of a run is written down")
    return config


def _declare(config: Config, sections: tuple[str, ...]) -> Config:
    unknown = sorted(set(sections) - set(_SECTIONS))
    assert not unknown, unknown
    declared = DeclaredConfig(**{name: getattr(config, name) for name in _SECTIONS})
    declared.__dict__["_declared"] = tuple(sections)
    return declared


def _missing(expected: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    keys = [f"{s}.{key}" for s in expected for key in expected[s] if key not in values.get(s, {})]
    return [s for s in expected if s not in values] or keys
