"""What the audit's page holds once a browser has unpacked it."""

import base64
import gzip
import json
import re
from typing import Any


def unpacked(text: str) -> dict[str, Any]:
    """The packed part: the HTML of `main`, and the stories."""
    (packed,) = re.findall(r'id="data">([A-Za-z0-9+/=]*)</script>', text)
    texts, tree = json.loads(gzip.decompress(base64.b64decode(packed, validate=True)))

    def whole(part: Any) -> Any:
        if isinstance(part, str):
            return texts[int(part[1:], 36)] if part.startswith("~") else part
        if isinstance(part, list):
            return [whole(one) for one in part]
        if isinstance(part, dict):
            return {key: whole(one) for key, one in part.items()}
        return part

    return whole(tree)


def opened(text: str) -> str:
    """The page as a browser has it when `main` is unpacked."""
    main = f"<main>{unpacked(text)['main']}</main>"
    found, count = re.subn(r"<main>.*?</main>", lambda _: main, text, flags=re.S)
    assert count == 1
    return found
