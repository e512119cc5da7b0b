"""Setting keys of a params file, as an editor would: its other lines stay as they are."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dash_repro.params import load_params
from dash_repro.params.lookup import ABSENT, at, scalar
from runledger import read_text, write_atomic
from runledger.errors import UserError


def set_values(path: Path, assignments: Iterable[str]) -> list[str]:
    """Write KEY=VALUE into a params file, if the whole is valid then.

    Args:
        path: the file.
        assignments: dotted keys, and values as YAML has them. A block that inherits a
            key gets it as its own.

    Returns:
        "key: old -> new" of each that changed something.

    Raises:
        UserError: no KEY=VALUE, or what `load_params` says of the result; the file is
            as it was then.
    """
    before, tree = load_params(path), _reader().load(read_text(path))
    keys = [_set(tree, assignment) for assignment in assignments]
    text = _text(tree)
    trial = path.with_name(f".{path.name}.tmp")
    try:
        trial.write_text(text, encoding="utf-8")
        after = load_params(trial)
    except UserError as error:
        where = error.where.replace(str(trial), str(path))
        raise type(error)(error.what, where, error.remedy) from None
    finally:
        trial.unlink(missing_ok=True)
    changes = [(".".join(key), at(before, key), at(after, key)) for key in keys]
    write_atomic(path, text)
    return [
        f"{key}: {'(absent)' if old is ABSENT else scalar(old)} -> {scalar(new)}"
        for key, old, new in changes
        if old != new
    ]


def _reader() -> YAML:
    """A reader that keeps comments, quotes and long lines."""
    found = YAML()
    found.preserve_quotes, found.width = True, 10**6
    found.representer.add_representer(type(None), _null)
    return found


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _text(tree: Any) -> str:
    """A tree as text; a comment after an anchor stays on its line."""
    written = io.StringIO()
    _reader().dump(tree, written)
    return re.sub(r"( &\w+)\n +#", r"\1  #", written.getvalue())


def _set(tree: Any, assignment: str) -> list[str]:
    name, sign, text = assignment.partition("=")
    *above, last = key = name.strip().split(".")
    if not sign or not all(key):
        raise UserError(
            f"{assignment!r} is not KEY=VALUE",
            "--set",
            "for example --set students.dash.lambda_an=0.2",
        )
    try:
        value = _reader().load(text)
    except YAMLError:
        raise UserError(
            f"{text!r} is not a valid value in YAML",
            f"--set {name}",
            "quote it for the shell",
        ) from None
    for part in above:
        if not isinstance(tree.get(part), dict):
            tree[part] = {}
        tree = tree[part]
    tree[last] = value
    return key
