"""The lineage layer between Snakemake and DVC: recipes, records, verdicts.

Records decide what is valid, Snakemake runs what is not, DVC keeps the bytes. The
package knows nothing of what the stages compute, and imports neither snakemake nor dvc
until a function that needs one of them is called.

Public is what ``__all__`` lists here and in the modules of ``PUBLIC``. Everything else
may change with any version.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

PUBLIC = (  # modules for programs of stages come first: a fingerprint has their names
    "runledger.job",
    "runledger.errors",
    "runledger.plugins",
    "runledger.audit",
    "runledger.commandline",
    "runledger.git",
    "runledger.preflight",
    "runledger.workspace",
)
_HOMES = {
    # for a Snakefile
    "open_ledger": "directives",
    "in_git": "directives",
    "metric": "directives",
    "curves": "directives",
    "verbatim": "directives",
    "literal": "directives",
    "rules": "workflows",
    "JobResources": "resources",
    "Site": "resources",
    "Work": "resources",
    # a checkout: what there is to make, what is valid, what was recorded
    "load_pipeline": "project",
    "optional": "project",
    "Pipeline": "pipeline",
    "Instance": "pipeline",
    "CODE_STAGE": "pipeline",
    "lookup": "pipeline",
    "nested": "job",
    "Judge": "judge",
    "Verdict": "judge",
    "Record": "records",
    "Records": "records",
    "Store": "store",
    "failure": "execution",
    "report_path": "reporting",
    "state_files": "reporting",
    "commit": "environment",
    "provenance": "environment",
    "warning": "environment",
    # what changes it
    "renew": "projection",
    "settle": "dvclock",
    "write_code_file": "execution",
    "find_remote": "remote",
    # files, text, digests
    "digest": "canonical",
    "leaves": "canonical",
    "pretty": "canonical",
    "read_text": "canonical",
    "write_atomic": "canonical",
    "hash_path": "store",
    "md5_file": "store",
    "load_yaml": "yamlfile",
    "read_yaml": "yamlfile",
    "Document": "yamlfile",
    "Place": "yamlfile",
    "about": "times",
    "span": "times",
    "UserError": "errors",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
