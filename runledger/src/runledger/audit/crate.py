"""The run as a Workflow Run RO-Crate: one action per stage instance, bytes by sha256.

Follows the profiles process, workflow and provenance run crate 0.5
(https://w3id.org/ro/wfrun). The crate is a folder of links to the checkout's files with
ro-crate-metadata.json beside them; it can be zipped and sent.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from runledger.audit.chain import Chain
from runledger.audit.crate_files import (
    CONTEXT,
    DESCRIPTOR,
    PROFILES,
    SPDX,
    About,
    Crate,
    Entity,
    leaves,
    param,
    ref,
    usage_of,
)
from runledger.audit.history import git
from runledger.canonical import digest, pretty, write_atomic
from runledger.environment import provenance
from runledger.errors import UserError
from runledger.project import program_of
from runledger.records import Record

UNLICENSED = "No license is named. Ask the authors how this may be used."


def write_crate(root: Path, folder: Path, about: About | None = None) -> str:
    """Write the crate of a checkout whose planned instances are all valid.

    Args:
        root: the checkout.
        folder: of the crate; an earlier crate there is replaced.
        about: what the crate says for people.

    Returns:
        One line that says what was written.

    Raises:
        UserError: an instance is stale, or the folder holds something else.
    """
    chain = Chain(Path(root))
    stale = [name for name in chain.instances if not chain.verdicts[name].valid]
    if stale:
        raise UserError(
            f"{len(stale)} instances are not valid, {stale[0]} first",
            str(root),
            "finish the run (runledger why says what is missing), then make the crate",
        )
    if folder.exists() and any(folder.iterdir()):
        if not (folder / DESCRIPTOR).exists():
            raise UserError(
                "the folder is not an RO-Crate",
                str(folder),
                "name a folder that a crate was written to, or a new one",
            )
        shutil.rmtree(folder)
    crate = Crate(chain, Path(folder).resolve(), about or About())
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
    if license := crate.about.license:
        identifier, name = license
        crate.add(SPDX + identifier, "CreativeWork", name=name, identifier=identifier)
    crate.entities = {
        DESCRIPTOR: crate.entities.pop(DESCRIPTOR),
        "./": _root(crate, [run, *actions.values()], agent),
        **crate.entities,
    }


def _root(crate: Crate, mentions: list[Entity], agent: Entity) -> Entity:
    parts = [
        id for id, e in crate.entities.items() if {"File", "Dataset"} & {*_types(e)}
    ]
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": crate.about.name,
        "description": crate.about.description,
        "datePublished": datetime.now(UTC).date().isoformat(),
        **_license(crate),
        "author": agent,
        "conformsTo": [ref(id) for id in PROFILES],
        "mainEntity": ref(crate.workflow),
        "hasPart": [ref(id) for id in parts],
        "mentions": mentions,
    }


def _license(crate: Crate) -> Entity:
    """The license of an entity; the profiles ask for one, if only in words."""
    license = crate.about.license
    return {"license": ref(SPDX + license[0]) if license else UNLICENSED}


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
        tools[stage] = _tool(crate, stage)
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
        crate.workflow,
        type=["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        programmingLanguage=language,
        **_license(crate),
        hasPart=list(tools.values()),
        step=steps,
    )
    own = crate.entities[crate.workflow]
    own["name"] = crate.about.workflow or Path(chain.root).resolve().name
    own["encodingFormat"] = "text/plain"
    own["version"] = _commit(chain)
    return tools


def _tool(crate: Crate, stage: str) -> Entity:
    """What runs one stage: its program, or a rule's command where it has none."""
    program, text = program_of(crate.chain.root, stage), f"Stage {stage}"
    if not (crate.chain.root / program).is_file():
        kind = "SoftwareApplication"
        return crate.add(f"#tool-{stage}", kind, name=stage, description=text)
    kind = ["File", "SoftwareApplication", "SoftwareSourceCode"]
    entity = crate.file(program, type=kind, description=text)
    crate.entities[program]["name"] = stage
    return entity


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
    """The run as a whole: params and repository files in, what it is for out."""
    known = [record for record in records.values() if record]
    chain = crate.chain
    inputs = {
        path: md5
        for record in known
        for path, md5 in record.inputs.items()
        if path not in chain.pipeline.producer
    }
    settled = [p for p in ("params.yaml", "dvc.yaml") if (chain.root / p).is_file()]
    last = _last(chain)
    made = [record for name, record in records.items() if record and name in last]
    outputs = [path for record in made for path in record.outputs]
    sides = {"input": [*settled, *sorted(inputs)], "output": outputs}
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
        crate.entities[crate.workflow][side] = parameters
    return crate.add(
        "#run",
        "CreateAction",
        name="the run",
        description="All stage instances together, as their records tell them.",
        instrument=ref(crate.workflow),
        agent=agent,
        object=[crate.file(path, inputs.get(path, "")) for path in sides["input"]],
        result=[crate.file(path) for path in outputs],
        startTime=min(r.run["start"] for r in known),
        endTime=max(r.run["end"] for r in known),
        actionStatus=ref("http://schema.org/CompletedActionStatus"),
    )


def _last(chain: Chain) -> set[str]:
    """Instances that the run is for: of the rule `all`, or whom no other one reads."""
    pipeline, names = chain.pipeline, chain.instances
    if "all" in pipeline.targets:
        stages = pipeline.targets["all"][0]
        return {n for n in names if chain.verdicts[n].instance.stage in stages}
    read = {d for n in names for d in chain.verdicts[n].instance.deps}
    return set(names) - {pipeline.producer.get(dep) for dep in read}


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
