"""The text of dvc.lock: DVC reads and writes YAML 1.2, PyYAML knows 1.1.

A text such as 12e34 (an md5 may be one) is written plain by PyYAML, and is a number to
DVC; yes and 1e-06, as DVC writes them, would be read as a truth value and as text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_FIRST = list("-+.0123456789")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(
    r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_NUMBER = re.compile(  # as DVC's reader takes them, a little more generously
    r"[-+]?(0[xob][0-9a-fA-F_]+|(?=.*[0-9])[0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?)"
)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML adds to it)


def _whole(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    text = pattern if isinstance(pattern, str) else pattern.pattern
    return re.compile(rf"^(?:{text})$")


# What either version takes for a number is quoted where it is text.
_Dumper.add_implicit_resolver(_TAG + "float", _whole(_NUMBER), _FIRST)
_Loader.add_implicit_resolver(
    _TAG + "bool", _whole("true|True|TRUE|false|False|FALSE"), list("tTfF")
)
_Loader.add_implicit_resolver(
    _TAG + "null", _whole("~|null|Null|NULL|"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver(_TAG + "int", _whole(_INT), _FIRST)
_Loader.add_implicit_resolver(_TAG + "float", _whole(_FLOAT), _FIRST)


def read_lock(text: bytes | str) -> Any:
    """Return what DVC would read from the text of a dvc.lock.

    Raises:
        yaml.YAMLError, ValueError: it is none.
    """
    return yaml.load(text, Loader=_Loader)


def lock_text(content: Any) -> str:
    """Return the text of a dvc.lock, in the order that the content has."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=80)


def locked_stages(root: Path) -> dict[str, Any]:
    """Return the stages of a checkout's dvc.lock; {} if none can be read."""
    try:
        return dict(read_lock((root / "dvc.lock").read_bytes())["stages"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return {}
