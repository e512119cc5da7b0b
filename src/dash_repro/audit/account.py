"""The whole account of one printed number: from its digits back to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dash_repro.audit.audit import Audit
from dash_repro.audit.evidence import RAW_FILES
from dash_repro.audit.tables import recomputed
from dash_repro.paper.intervals import interval_text
from runledger import Record, provenance
from runledger.audit import cost, on_gpu, run_seconds
from runledger.errors import UserError

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
    cell = evidence.cells.get(address)
    if cell is None:
        raise _unknown(audit, address)
    item = address.partition("/")[0]
    expected = evidence.expectations.expected_for(address)
    again = ""
    if expected is not None and cell["kind"] == "measured":
        first = evidence.numbers(expected.first)
        second = evidence.numbers(expected.second) if expected.second else []
        ddof = evidence.params["make_table"]["ddof"]
        again = recomputed(expected, first, second, cell["exponent"], ddof)
    names = ordered(audit, audit.taint.closure(address))
    return {
        "address": address,
        "status": audit.status(address),
        "displayed": cell["displayed"],
        "kind": cell["kind"],
        "rule": rule(cell),
        "interval": interval_text(cell),
        "recomputed": again,
        "files": [f"results/tables/{item}.tex", f"results/tables/{item}.json"],
        "name": cell["name"] or cell["metric"],
        "n": cell["n"],
        "extractor": cell["extractor"],
        "unit": cell["unit"],
        "note": cell["note"],
        "values": [_value(value) for value in cell["values"]],
        "paper": _paper(audit, item, address, cell),
        "findings": [
            {"level": f.level, "kind": f.kind, "subject": f.subject, "detail": f.detail}
            for f in audit.of_cell(address)
        ],
        "regenerate": regenerate(audit, address),
        "run_names": names,
    }


def _unknown(audit: Audit, address: str) -> UserError:
    item, _, rest = address.partition("/")
    cells = audit.evidence.sidecars.get(item, {}).get("cells", {})
    near = [known for known in cells if rest.split("/")[0] in known] or list(cells)
    listed = ", ".join(near[:8]) or ", ".join(audit.evidence.sidecars)
    return UserError(f"there is no cell {address!r}", "--cell", f"for example {listed}")


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
    file = RAW_FILES.get(value["stage"], "")
    return {
        "number": value["number"],
        "seed": value["seed"],
        "sampling_seed": value["sampling_seed"],
        "role": value["role"],
        "run": f"{value['stage']}@{value['instance']}",
        "file": f"results/{value['stage']}/{value['instance']}/{file}",
    }


def _paper(audit: Audit, item: str, address: str, cell: Any) -> dict[str, Any] | None:
    for found in audit.compared.get(item, []):
        if found.address == address:
            return found.to_dict()
    return {"paper": cell["paper"], "reasons": []} if cell["paper"] else None


def ordered(audit: Audit, names: frozenset[str]) -> list[str]:
    """Sort instances so that each follows the instances that it reads."""
    return [name for name in audit.evidence.chain.instances if name in names]


def regenerate(audit: Audit, address: str) -> dict[str, Any] | None:
    """The command that makes just this number anew, elsewhere, and its cost."""
    chain = audit.evidence.chain
    runs = audit.taint.runs(address)
    if not runs:
        return None
    outs = sorted(chain.verdicts[name].instance.outs[0].path for name in runs)
    needed: set[str] = set()
    for name in runs:
        needed |= chain.ancestors(name)
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
    return {
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
        "commit": run.get("commit"),
        "provenance": provenance(run),
        "device": run.get("device"),
        "gpu": on_gpu(run),
        "host": run.get("host"),
        "python": run.get("python"),
        "libraries": run.get("libraries"),
        "job_id": run.get("job_id"),
        "start": run.get("start"),
        "end": run.get("end"),
        "seconds": round(run_seconds(record), 3),
        "legs": len(run.get("legs") or []),
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
        record = chain.record_of(maker)
        made = record.outputs.get(path, {}).get("md5") if record else None
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
    item = chain.bytes.get(path)
    entry = (chain.lock or {}).get(name, {})
    locked = {out["path"]: out.get("md5") for out in entry.get("outs", [])}
    md5 = item.expected.md5 if item else ""
    lock = {None: "not in dvc.lock", md5: "dvc.lock equal"}.get(locked.get(path))
    return {
        "path": path,
        "md5": md5,
        "size": item.expected.size if item else 0,
        "bytes": _BYTES[item.state] if item else "unknown",
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
    libraries = ", ".join(f"{k} {v}" for k, v in (run["libraries"] or {}).items())
    lines = [
        f"  {run['run']}: {run['verdict']}  {Path(run['record']).name}",
        f"    {run['provenance']}, code {run['code']}",
        f"    {run['device']} on {run['host']}, python {run['python']}, {libraries}",
        f"    {run['start']} to {run['end']}, {run['seconds']:.1f} s, "
        f"{run['legs']} leg(s), {'GPU' if run['gpu'] else 'CPU'}"
        + (f", job {run['job_id']}" if run["job_id"] else ""),
    ]
    lines += [f"    stale: {reason}" for reason in run["reasons"]]
    if run["adopted"]:
        lines.append(f"    ADOPTED: {run['adopted'].get('reason')}")
    for key, value in run["params"].items():
        lines.append(f"    {key}: {value}")
    for key, value in run["uncounted"].items():
        lines.append(f"    {key}: {value} (read, and does not count)")
    for made in run["inputs"]:
        lines.append(f"    in   {made['md5']} {made['path']}: {made['state']}")
    for out in run["outputs"]:
        lines.append(
            f"    out  {out['md5']} {out['path']}: {out['bytes']}, {out['lock']}"
        )
    return lines
