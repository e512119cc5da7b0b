"""The run as a Workflow Run RO-Crate: one action per stage instance, bytes by sha256.

Follows the profiles process, workflow and provenance run crate 0.5
(https://w3id.org/ro/wfrun). The crate is a folder of links to the checkout's files with
ro-crate-metadata.json beside them; it can be zipped and sent.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from dash_repro.audit.crate_files import (
    CONTEXT,
    DESCRIPTOR,
    LICENSE,
    PROFILES,
    WORKFLOW,
    Crate,
    Entity,
    check_crate,
    leaves,
    param,
    ref,
    usage_of,
)
from dash_repro.paper.scale import mark
from runledger import Record, digest, pretty, provenance, write_atomic
from runledger.audit import Chain, git
from runledger.errors import UserError


def write_crate(root: Path, folder: Path) -> str:
    """Write the crate of a checkout whose planned instances are all valid.

    Raises:
        UserError: an instance is stale, or the folder holds something else.
    """
    chain = Chain(Path(root))
    stale = [name for name in chain.instances if not chain.verdicts[name].valid]
    if stale:
        raise UserError(
            f"{len(stale)} instances are not valid, {stale[0]} first",
            str(root),
            "finish the run (make why says what is missing), then make the crate",
        )
    if folder.exists() and any(folder.iterdir()):
        if not (folder / DESCRIPTOR).exists():
            raise UserError(
                "the folder is not an RO-Crate",
                str(folder),
                "name a folder that `make crate` wrote",
            )
        shutil.rmtree(folder)
    crate = Crate(chain, Path(folder).resolve())
    _describe(crate)
    graph = {"@context": CONTEXT, "@graph": list(crate.entities.values())}
    write_atomic(crate.folder / DESCRIPTOR, pretty(graph))
    actions = sum(e["@type"] == "CreateAction" for e in crate.entities.values())
    return f"{folder}: {actions} actions, {len(crate.files)} files, sha256 each"


def _describe(crate: Crate) -> None:
    chain = crate.chain
    crate.add(
        DESCRIPTOR,
        "CreativeWork",
        about=ref("./"),
        conformsTo=[
            ref("https://w3id.org/ro/crate/1.1"),
            ref("https://w3id.org/workflowhub/workflow-ro-crate/1.0"),
        ],
    )
    for id, (name, version) in PROFILES.items():
        crate.add(id, "CreativeWork", name=name, version=version)
    agent = _agent(crate)
    tools = _tools(crate)
    records = {name: chain.verdicts[name].record for name in chain.instances}
    actions = {
        name: _action(crate, record, tools[record.recipe["stage"]], agent)
        for name, record in records.items()
        if record is not None
    }
    run = _run(crate, records, agent)
    _organize(crate, actions, run, agent)
    crate.add(LICENSE, "CreativeWork", name="MIT License", identifier="MIT")
    crate.entities = {
        DESCRIPTOR: crate.entities.pop(DESCRIPTOR),
        "./": _root(crate, [run, *actions.values()], agent),
        **crate.entities,
    }


def _root(crate: Crate, mentions: list[Entity], agent: Entity) -> Entity:
    scale = crate.chain.pipeline.params.get("scale", "")
    parts = [id for id, e in crate.entities.items() if "File" in _types(e)]
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": "A run of the dual-branch score distillation pipeline",
        "description": "Every stage instance of one run, with inputs, outputs and "
        f"params, from its run records. {mark(scale).page}".rstrip(),
        "datePublished": datetime.now(UTC).date().isoformat(),
        "license": ref(LICENSE),
        "author": agent,
        "conformsTo": [ref(id) for id in PROFILES],
        "mainEntity": ref(WORKFLOW),
        "hasPart": [ref(id) for id in parts],
        "mentions": mentions,
    }


def _types(entity: Mapping[str, Any]) -> list[str]:
    type = entity["@type"]
    return type if isinstance(type, list) else [type]


def _agent(crate: Crate) -> Entity:
    def of(key: str) -> str:
        value = git(crate.chain.root, "config", key) or b""
        return value.decode("utf-8", "replace").strip()

    name = of("user.name") or "unknown"
    about = {"email": of("user.email")} if of("user.email") else {}
    return crate.add(f"#agent-{digest(name)[:8]}", "Person", name=name, **about)


def _tools(crate: Crate) -> dict[str, Entity]:
    """The workflow, its language, one tool and one step a stage."""
    chain = crate.chain
    stages = list(
        dict.fromkeys(chain.verdicts[n].instance.stage for n in chain.instances)
    )
    tools: dict[str, Entity] = {}
    steps: list[Entity] = []
    for position, stage in enumerate(stages):
        program = f"stages/{stage}.py"
        kind = ["File", "SoftwareApplication", "SoftwareSourceCode"]
        text = f"Stage {stage}"
        tools[stage] = crate.file(program, type=kind, description=text)
        crate.entities[program]["name"] = stage
        id = f"#step-{stage}"
        about = {"name": stage, "position": str(position), "workExample": tools[stage]}
        steps.append(crate.add(id, "HowToStep", **about))
    version = metadata.version("snakemake")
    language = crate.add(
        "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
        "ComputerLanguage",
        name="Snakemake",
        version=version,
        identifier=ref("https://doi.org/10.1093/bioinformatics/bts480"),
        url=ref("https://snakemake.readthedocs.io"),
    )
    crate.add(
        "#snakemake",
        "SoftwareApplication",
        name="Snakemake",
        version=version,
        url="https://snakemake.readthedocs.io",
        softwareVersion=version,
    )
    crate.file(
        WORKFLOW,
        type=["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        programmingLanguage=language,
        license=ref(LICENSE),
        hasPart=list(tools.values()),
        step=steps,
    )
    crate.entities[WORKFLOW]["name"] = "Dual-branch score distillation, reproduced"
    crate.entities[WORKFLOW]["encodingFormat"] = "text/plain"
    crate.entities[WORKFLOW]["version"] = _commit(chain)
    return tools


def _commit(chain: Chain) -> str:
    return (git(chain.root, "rev-parse", "HEAD") or b"unknown").decode().strip()


def _action(crate: Crate, record: Record, tool: Entity, agent: Entity) -> Entity:
    """One stage instance: what it read and made, its params, when, on what."""
    run = record.run
    objects = [crate.file(path, md5) for path, md5 in record.inputs.items()]
    for key, value in record.recipe["params"].items():
        objects += [param(crate, k, v) for k, v in leaves(value, key).items()]
    libraries = {"python": run.get("python"), **(run.get("libraries") or {})}
    environment = [
        param(crate, f"version of {name}", version)
        for name, version in libraries.items()
    ]
    usage = {
        "seconds of wall time": str(run.get("seconds")),
        "device": str(run.get("device")),
        "legs": str(len(run.get("legs") or [])),
    }
    adopted = f" Adopted by hand: {record.adopted['reason']}." if record.adopted else ""
    return crate.add(
        f"#action/{record.instance}",
        "CreateAction",
        name=record.instance,
        description=f"{record.recipe['cmd']} at {provenance(run)}, "
        f"recipe {record.key}.{adopted}",
        instrument=tool,
        agent=agent,
        object=objects,
        result=[crate.file(p, out["md5"]) for p, out in record.outputs.items()],
        startTime=run.get("start"),
        endTime=run.get("end"),
        actionStatus=ref("http://schema.org/CompletedActionStatus"),
        environment=environment,
        resourceUsage=[usage_of(crate, name, value) for name, value in usage.items()],
    )


def _run(crate: Crate, records: Mapping[str, Record | None], agent: Entity) -> Entity:
    """The run as a whole: params and repository files in, tables and paper out."""
    known = [record for record in records.values() if record]
    chain = crate.chain
    inputs = {
        path: md5
        for record in known
        for path, md5 in record.inputs.items()
        if path not in chain.pipeline.producer
    }
    last = chain.pipeline.targets["all"][0]
    outputs = [path for r in known if r.recipe["stage"] in last for path in r.outputs]
    sides = {"input": ["params.yaml", "dvc.yaml", *sorted(inputs)], "output": outputs}
    for side, paths in sides.items():
        parameters = []
        for path in paths:
            entity = crate.file(path, inputs.get(path, ""))
            id = f"#{side}/{path}"
            about = {"name": path, "additionalType": "File", "workExample": entity}
            about["conformsTo"] = ref(
                "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
            )
            parameters.append(crate.add(id, "FormalParameter", **about))
            crate.entities[entity["@id"]].setdefault("exampleOfWork", ref(id))
        crate.entities[WORKFLOW][side] = parameters
    return crate.add(
        "#run",
        "CreateAction",
        name="the run",
        description="All stage instances together, as their records tell them.",
        instrument=ref(WORKFLOW),
        agent=agent,
        object=[crate.file(path, inputs.get(path, "")) for path in sides["input"]],
        result=[crate.file(path) for path in outputs],
        startTime=min(r.run["start"] for r in known),
        endTime=max(r.run["end"] for r in known),
        actionStatus=ref("http://schema.org/CompletedActionStatus"),
    )


def _organize(
    crate: Crate, actions: Mapping[str, Entity], run: Entity, agent: Entity
) -> None:
    """What the engine did: which step each action carried out."""
    steps: dict[str, list[Entity]] = {}
    for name, action in actions.items():
        stage = crate.chain.verdicts[name].instance.stage
        steps.setdefault(stage, []).append(action)
    controls = [
        crate.add(
            f"#control-{stage}",
            "ControlAction",
            name=f"run {stage}",
            instrument=ref(f"#step-{stage}"),
            object=found,
            agent=agent,
        )
        for stage, found in steps.items()
    ]
    whole = crate.entities["#run"]
    crate.add(
        "#organize",
        "OrganizeAction",
        name="Snakemake",
        instrument=ref("#snakemake"),
        agent=agent,
        object=controls,
        result=run,
        startTime=whole["startTime"],
        endTime=whole["endTime"],
    )


def main(arguments: list[str]) -> int:
    """``crate FOLDER``: check a crate's bytes by size and sha256."""
    wrong = check_crate(Path(arguments[0]))
    print(f"{len(wrong)} files are not what the crate says", *wrong, sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
