"""Runs rocrate-validator without a network; for the validator's own environment.

It resolves two JSON-LD contexts over HTTP. Here they come from what is installed: the
RO-Crate context that the package rocrate carries, and the workflow-run terms by name.
Usage: python validate_offline.py PROFILE CRATE OUT.json
"""

import json
import sys
from pathlib import Path

import rocrate
from rdflib.plugins.shared.jsonld import context, util
from rocrate_validator.cli import cli
from rocrate_validator.utils import document_loader
from rocrate_validator.utils.http import HttpRequester

TERMS = "https://w3id.org/ro/terms/workflow-run"
NAMES = (
    "ParameterConnection connection sourceParameter targetParameter md5 sha1 sha256 "
    "sha512 environment resourceUsage containerImage"
)
CRATE = json.loads((Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_text())
BIOSCHEMAS = ("ComputationalWorkflow", "FormalParameter", "input", "output")
CRATE["@context"] |= {n: f"https://bioschemas.org/{n}" for n in BIOSCHEMAS[:2]}
CRATE["@context"] |= {  # as in 1.1: these two moved in later versions
    n: f"https://bioschemas.org/ComputationalWorkflow#{n}" for n in BIOSCHEMAS[2:]
}
KNOWN = {
    "https://w3id.org/ro/crate/1.1/context": {"@context": CRATE["@context"]},
    f"{TERMS}/context": {"@context": {n: f"{TERMS}#{n}" for n in NAMES.split()}},
}
document_loader._fetch_json_ld = lambda url: KNOWN[url]
document_loader.install_document_loader()
original = util.source_to_json


def from_here(source, fragment_id=None, extract_all_scripts=False):
    """Answer for the two contexts, ask the library for everything else."""
    if isinstance(source, str) and source in KNOWN:
        return KNOWN[source], None
    return original(source, fragment_id, extract_all_scripts)


util.source_to_json = context.source_to_json = from_here


class Answer:
    """As much of a response as the checks read."""

    status_code, headers = 200, {"Content-Type": "application/ld+json"}

    def __init__(self, url):
        self.text = json.dumps(KNOWN[url])
        self.content = self.text.encode()

    def json(self):
        return json.loads(self.text)


def get(self, url, **options):
    """Answer for the two contexts; nothing else is needed."""
    if url in KNOWN:
        return Answer(url)
    raise OSError(f"this environment has no network: {url}")


HttpRequester.get = get
profile, crate, out = sys.argv[1:]
options = ["--skip-availability-check", "--no-paging", "-l", "required"]
sys.argv = [
    "rocrate-validator", "-y", "--disable-color", "validate", "-p", profile, *options,
    "-v", "-f", "json", "-o", out, crate,
]  # fmt: skip
sys.exit(cli())
