"""The whole account of one printed number: from its digits back to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash_repro.audit.audit import Audit
from dash_repro.audit.evidence import RAW_FILES, both_sides
from dash_repro.audit.tables import recomputed
from dash_repro.paper.intervals import interval_text
from runledger import Record, provenance
from runledger.audit import cost, on_gpu, run_seconds

WORDS = {
    "mean": "mean",
    "std": "standard deviation over training seeds",
    "sampling_std": "standard deviation over sampling seeds",
    "difference": "difference of two means",
    "ratio": "ratio of two means",
}


def account(audit: Audit, address: str) -> dict[str, Any]:
    """Everything known of one cell, as plain data.

    Raises:
        UserError: there is no such cell; the message names its neighbours.
    """
    content = cell_account(audit, address)
    content["runs"] = [run_account(audit, name) for name in content.pop("run_names")]
    return content


def cell_account(audit: Audit, address: str) -> dict[str, Any]:
    """The account without the runs' details, which many cells share."""
    evidence = audit.evidence
    cell = evidence.cell(address)
    item, again = address.partition("/")[0], ""
    expected = evidence.expectations.expected_for(address)
    if expected is not None and cell["kind"] == "measured":
        sides = both_sides(evidence, expected)
        again = recomputed(evidence, expected, *sides, cell["exponent"])
    rests_on = audit.taint.closure(address)
    shown = ("displayed", "kind", "n", "extractor", "unit", "note")
    found = ("level", "kind", "subject", "detail")
    return {
        **{key: cell[key] for key in shown},
        "address": address,
        "status": audit.status(address),
        "rule": rule(cell),
        "interval": interval_text(cell),
        "recomputed": again,
        "files": [f"results/tables/{item}.tex", f"results/tables/{item}.json"],
        "name": cell["name"] or cell["metric"],
        "values": [_value(value) for value in cell["values"]],
        "paper": _paper(audit, address, cell),
        "findings": [
            {key: getattr(finding, key) for key in found}
            for finding in audit.findings
            if address in finding.cells
        ],
        "regenerate": regenerate(audit, address),
        "run_names": [name for name in evidence.chain.instances if name in rests_on],
    }


def rule(cell: Mapping[str, Any]) -> str:
    """How the digits follow from the values, in words."""
    if cell["kind"] != "measured":
        return cell["kind"]
    seeds = {value["seed"] for value in cell["values"]}
    count = len({(value["stage"], value["instance"]) for value in cell["values"]})
    runs = "1 run" if count == 1 else f"{count} runs"
    if len(cell["values"]) > count:
        runs = f"{len(cell['values'])} sets of {runs}"
    seeded = f" over {len(seeds)} training seeds" if len(seeds) > 1 else ""
    ddof = f", ddof {cell['ddof']}" if cell["statistic"] == "std" else ""
    unit = f", times 10^{cell['exponent']}" if cell["exponent"] else ""
    return (
        f"{WORDS[cell['statistic']]} of {runs}{seeded}{ddof}{unit}, "
        f"{cell['decimals']} decimals, halves away from zero"
    )


def _value(value: Mapping[str, str]) -> dict[str, str]:
    run = f"{value['stage']}/{value['instance']}"
    return {
        **{key: value[key] for key in ("number", "seed", "sampling_seed", "role")},
        "run": run.replace("/", "@", 1),
        "file": f"results/{run}/{RAW_FILES.get(value['stage'], '')}",
    }


def _paper(
    audit: Audit, address: str, cell: Mapping[str, Any]
) -> dict[str, Any] | None:
    if address in audit.beside:
        return audit.beside[address].to_dict()
    return {"paper": cell["paper"], "reasons": []} if cell["paper"] else None


def regenerate(audit: Audit, address: str) -> dict[str, Any] | None:
    """The command that makes just this number anew, elsewhere, and its cost."""
    chain = audit.evidence.chain
    runs = audit.taint.runs(address)
    if not runs:
        return None
    outs = sorted(chain.verdicts[name].instance.outs[0].path for name in runs)
    needed = set().union(*map(chain.ancestors, runs))
    records = [chain.record_of(name) for name in needed]
    spent = cost(record for record in records if record is not None)
    return {
        "command": f"{regenerate_with(audit)} {' '.join(outs)}",
        "makes": outs,
        "jobs": len(needed),
        "cost": spent.text,
        **spent.to_dict(),
    }


def regenerate_with(audit: Audit) -> str:
    """The command that makes outputs anew, elsewhere; they follow it."""
    return (
        f"git worktree add --detach ../again {audit.head or 'HEAD'} && cd ../again && "
        "rm -rf results/records && snakemake --cores 2"
    )


def run_account(audit: Audit, name: str) -> dict[str, Any]:
    """One run: recipe, commit, environment, time, hashes and their verdicts."""
    chain = audit.evidence.chain
    verdict, record = chain.verdicts[name], chain.record_of(name)
    if record is None:
        return {"run": name, "verdict": "never run", "reasons": verdict.reasons}
    run, folder = record.run, verdict.instance.key_name
    recorded = "commit", "device", "host", "python", "libraries", "job_id"
    known = {key: run.get(key) for key in (*recorded, "start", "end")}
    legs, seconds = len(run.get("legs") or []), run_seconds(record)
    libraries = "".join(f", {k} {v}" for k, v in (known["libraries"] or {}).items())
    return {
        **known,
        "run": name,
        "verdict": "valid" if verdict.valid else "stale",
        "reasons": verdict.reasons,
        "key": record.key,
        "record": f"results/records/{folder}/{record.key}.json",
        "adopted": record.adopted,
        "params": record.recipe["params"],
        "uncounted": run.get("uncounted") or {},
        "code": record.recipe["code"],
        "command": record.recipe["cmd"],
        "provenance": provenance(run),
        "gpu": on_gpu(run),
        "seconds": round(seconds, 3),
        "legs": legs,
        "about": [
            f"{provenance(run)}; code {record.recipe['code']}",
            "{device} on {host}; Python {python}".format(**known) + libraries,
            "{start} to {end}: ".format(**known)
            + f"{seconds:.1f} s, {legs} leg(s), "
            + ("GPU" if on_gpu(run) else "CPU")
            + (f", job {known['job_id']}" if known["job_id"] else ""),
        ],
        "inputs": [_input(audit, record, path) for path in record.inputs],
        "outputs": [_output(audit, name, path) for path in record.outputs],
    }


def _input(audit: Audit, record: Record, path: str) -> dict[str, str]:
    chain, md5 = audit.evidence.chain, record.inputs[path]
    maker = chain.pipeline.producer.get(path)
    outside = record.run.get("outside", {}).get(path)
    if outside:
        state = f"read at {outside['path']}; where it lies does not count"
    elif maker is None:
        state = "a file of the repository"
    else:
        made_by = chain.record_of(maker)
        made = made_by.outputs.get(path, {}).get("md5") if made_by else None
        state = f"as {maker} recorded" if made == md5 else f"NOT what {maker} recorded"
    return {"path": path, "md5": md5, "state": state}


_BYTES = {
    "ok": "bytes read and equal",
    "wrong": "bytes WRONG",
    "cache": "in the DVC cache and equal",
    "remote": "on the remote by name",
    "absent": "bytes not here: not checked",
}


def _output(audit: Audit, name: str, path: str) -> dict[str, Any]:
    chain = audit.evidence.chain
    known = chain.bytes.get(path)
    entry = (chain.lock or {}).get(name, {})
    locked = {out["path"]: out.get("md5") for out in entry.get("outs", [])}
    md5 = known.expected.md5 if known else ""
    lock = {None: "not in dvc.lock", md5: "dvc.lock equal"}.get(locked.get(path))
    return {
        "path": path,
        "md5": md5,
        "size": known.expected.size if known else 0,
        "bytes": _BYTES[known.state] if known else "unknown",
        "lock": lock or "dvc.lock DIFFERS",
    }


def render_account(known: Mapping[str, Any]) -> str:
    """The account as text."""
    lines = [f"{known['address']}: {known['status']}"]
    lines.append(f"  prints {known['displayed']} ({known['rule']})")
    if known["recomputed"]:
        lines.append(f"  recomputed from the raw files: {known['recomputed']}")
    about = [f"{k} {known[k]}" for k in ("name", "n", "extractor", "unit") if known[k]]
    lines += [f"  {', '.join(about)}"] if about else []
    lines += [f"  {known[key]}" for key in ("interval", "note") if known[key]]
    lines.append(f"  printed in {', '.join(known['files'])}")
    for value in known["values"]:
        seed = f"seed {value['seed'] or '-'}/{value['sampling_seed'] or '-'}"
        role = " (subtracted or divided by)" if value["role"] else ""
        lines.append(f"  {seed}: {value['number']}{role}  {value['file']}")
    lines.append(f"  {paper_text(known['paper'])}")
    for finding in known["findings"]:
        lines.append(
            f"  {finding['level'].upper()} {finding['kind']}: "
            f"{finding['subject']}: {finding['detail']}"
        )
    lines.append("\nruns, producers first:")
    for run in known["runs"]:
        lines += _render_run(run)
    again = known["regenerate"]
    if again:
        lines.append(f"\nmake it again ({again['jobs']} jobs; {again['cost']}):")
        lines.append(f"  {again['command']}")
    return "\n".join(lines)


def paper_text(paper: Mapping[str, Any] | None) -> str:
    """The paper's value and what it is to ours, in words."""
    if not paper:
        return "the paper prints no number in this place"
    text = f"paper {paper['paper']}"
    if paper.get("difference"):
        spreads = paper["spreads"]
        unit = f" ({spreads} standard deviations over seeds)" if spreads else ""
        return f"{text}, difference {paper['difference']}{unit}"
    if paper["reasons"]:
        text += f", not comparable: {'; '.join(paper['reasons'])}"
    return text


def _render_run(run: Mapping[str, Any]) -> list[str]:
    if run["verdict"] == "never run":
        return [f"  {run['run']}: never run"]
    lines = [*run["about"], *(f"stale: {reason}" for reason in run["reasons"])]
    if run["adopted"]:
        lines.append(f"ADOPTED: {run['adopted'].get('reason')}")
    lines += [f"{key}: {value}" for key, value in run["params"].items()]
    lines += [
        f"{key}: {value} (read, and does not count)"
        for key, value in run["uncounted"].items()
    ]
    lines += [f"in   {i['md5']} {i['path']}: {i['state']}" for i in run["inputs"]]
    lines += [
        f"out  {o['md5']} {o['path']}: {o['bytes']}, {o['lock']}"
        for o in run["outputs"]
    ]
    head = f"  {run['run']}: {run['verdict']}  {run['key']}.json"
    return [head, *(f"    {line}" for line in lines)]
