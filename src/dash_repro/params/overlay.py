"""A params file over the file that it names as its base.

A file with `base: PATH` (relative to its own folder) holds only what differs: blocks
are merged key by key, other values replace the base's, and `name: null` leaves a block
out, if it is there (as in a JSON merge patch, RFC 7396, but a key may be null). What
inherits a value in the base inherits the overlay's. A block that the base lacks
takes the keys it does not write from the section it inherits from, or the defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dash_repro.params.lookup import ABSENT, at, block, fields, find, resolve, schema
from runledger import Document, Place, read_yaml
from runledger.errors import UserError

BASE = "base"


class Layers:
    """A params file and its base, the base's base, and so on.

    Attributes:
        documents: (path, document), the file itself first.
    """

    def __init__(self, documents: list[tuple[str, Document]]) -> None:
        self.documents = documents

    @classmethod
    def read(cls, path: Path | str) -> Layers:
        """Read a file and the bases it names.

        Raises:
            UserError: a file is missing, not a mapping, or its own base; YAML's two
                readers take it differently.
        """
        documents: list[tuple[str, Document]] = []
        while True:
            document = read_yaml(path)
            if not isinstance(document.value, dict):
                raise UserError(
                    "not a mapping of sections", str(path), "see params.yaml"
                )
            documents.append((str(path), document))
            base = document.value.get(BASE)
            if base is None:
                return cls(documents)
            where = f"{path}, line {document.line((BASE,))}"
            found = Path(os.path.normpath(Path(path).parent / str(base)))
            if not isinstance(base, str) or not found.is_file():
                raise UserError(
                    f"the base {base!r} is not a file",
                    where,
                    "name a params file, as seen from this file's folder",
                )
            if any(found.samefile(other) for other, _ in documents):
                raise UserError(f"{base} is its own base", where, "name another file")
            path = found

    @property
    def overlaid(self) -> bool:
        """Whether there is a base."""
        return len(self.documents) > 1

    def place(self, path: Place) -> tuple[int, Place] | None:
        """(number of the document, path in it) where a value was written, if it is."""
        for number, (_, document) in enumerate(self.documents):
            if at(document.value, path) is not ABSENT:
                origin = document.origin(path)
                return (number, path) if origin == path else self.place(origin)
        return None

    def nearest(self, path: Place) -> tuple[int, Place]:
        """`place`; of a path that is nowhere, where it would be written."""
        found = self.place(path)
        if found or not path:
            return found or (0, ())
        number, above = self.nearest(path[:-1])
        return number, self.documents[number][1].origin((*above, path[-1]))

    def line(self, number: int, path: Place) -> tuple[str, int]:
        """The file and line, from 1, of a path in a document."""
        file, document = self.documents[number]
        return file, document.line(path)

    def value(self) -> dict[str, Any]:
        """The merged params, complete if the lowest file is."""
        whole = self._merged(())
        return dict(self._filled(whole)) if self.overlaid else whole

    def _written(self, path: Place) -> list[Any]:
        """What the documents that write a path have there, the overlay's first."""
        found = (at(document.value, path) for _, document in self.documents)
        return [value for value in found if value is not ABSENT]

    def _merged(self, path: Place) -> Any:
        written = self._written(path)
        if not written or not isinstance(written[0], Mapping):
            place = self.place(path)
            return place and at(self.documents[place[0]][1].value, place[1])
        blocks = [one for one in written if isinstance(one, Mapping)]
        names = dict.fromkeys(name for one in reversed(blocks) for name in one)
        if not path:
            names.pop(BASE, None)
        inside = ((name, (*path, name)) for name in names)
        return {name: self._merged(to) for name, to in inside if not self._left_out(to)}

    def _left_out(self, path: Place) -> bool:
        written = self._written(path)
        blocks = any(isinstance(one, Mapping) for one in written)
        return written[0] is None and (blocks or "properties" in find(path))

    def _filled(self, whole: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Sections, with the blocks that the lowest file lacks made complete."""
        lowest = self.documents[-1][1].value
        for section, content in whole.items():
            node = resolve(schema()["properties"].get(section, {}))
            keys = fields(block(node))
            if keys and isinstance(content, Mapping):
                default = {n: k["default"] for n, k in keys.items() if "default" in k}
                inherited = whole.get(node.get("inherits"))
                if isinstance(inherited, Mapping):
                    default = inherited
                content = {
                    name: {**default, **one}
                    if isinstance(one, Mapping)
                    and at(lowest, (section, name)) is ABSENT
                    else one
                    for name, one in content.items()
                }
            yield section, content
