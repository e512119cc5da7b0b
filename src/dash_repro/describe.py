"""What a checkpoint is: from its header, and from the records of its checkout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dash_repro.models.checkpoint import load_checkpoint
from runledger import Record, Records, leaves, md5_file


def describe_checkpoint(path: Path) -> dict[str, Any]:
    """Everything known of a checkpoint, as plain data.

    Keys: file, md5, role, parameters, network, schedule, classes, step,
    learned_weights; where its checkout has a record of these very bytes, also record
    (instance, key, commit, device, end), params (those it was trained with) and metrics
    (a list: sample set, metric values).

    Raises:
        CheckpointError: missing, damaged, or not one of ours.
    """
    path = Path(path)
    checkpoint = load_checkpoint(path)
    md5 = md5_file(path)
    found: dict[str, Any] = {
        "file": str(path),
        "md5": md5,
        "role": checkpoint.role,
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
        "network": asdict(checkpoint.config),
        "schedule": checkpoint.schedule,
        "classes": list(checkpoint.class_names),
        "step": checkpoint.step,
        "learned_weights": checkpoint.tirt_lambda is not None,
    }
    # the nearest folder above that holds records
    above = (f for f in path.resolve().parents if (f / "results" / "records").is_dir())
    root = next(above, None)
    records = list(Records(root).all()) if root else []
    made = next(
        (r for r in records if any(o["md5"] == md5 for o in r.outputs.values())), None
    )
    if made is None:
        return found
    run = {key: made.run.get(key) for key in ("commit", "device", "end")}
    found["record"] = {"instance": made.instance, "key": made.key, **run}
    found["params"] = made.recipe["params"]
    found["metrics"] = _metrics(records, md5)
    return found


def _metrics(records: list[Record], md5: str) -> list[dict[str, Any]]:
    """Metrics of every sample set that was drawn from a model, by their records."""
    samples = {
        out["md5"]
        for record in records
        if record.recipe["stage"] == "generate_samples"
        and md5 in record.inputs.values()
        for out in record.outputs.values()
    }
    found = []
    for record in records:
        measured = record.recipe["stage"] == "compute_metrics"
        if measured and samples & set(record.inputs.values()):
            (text,) = (o["inline"] for o in record.outputs.values() if "inline" in o)
            found.append({"samples": record.recipe["id"], **json.loads(text)})
    return found


def describe_text(found: Mapping[str, Any]) -> str:
    """The same for a reader, a line a fact."""
    network = found["network"]
    side, classes = network["image_size"], found["classes"]
    names = ", ".join(classes) or "not stored in this file"
    lines = [
        f"{found['file']}: a {found['role']}, {found['parameters']:,} parameters",
        f"images      {side} x {side}{' grey' if network['channels'] == 1 else ''}, "
        f"{network['num_classes']} classes: {names}",
        f"network     UNet, width {network['width']}, {network['blocks']} residual "
        f"blocks a level, multipliers {list(network['channel_mult'])}, attention at "
        f"{network['attention_resolution']} x {network['attention_resolution']}",
        f"schedule    {found['schedule']['schedule']}, "
        f"{found['schedule']['timesteps']} timesteps",
        f"training    {found['step']:,} iterations"
        + ("; it learned weights of timesteps" if found["learned_weights"] else ""),
        f"md5         {found['md5']}",
    ]
    if "record" not in found:
        return "\n".join([*lines, "record      none here is of these bytes"])
    record = found["record"]
    lines.append(f"record      {record['instance']}, key {record['key']}")
    lines.append(
        f"made        {record['end']} on {record['device']}, commit {record['commit']}"
    )
    lines += ["params"]
    lines += [f"  {name}: {value}" for name, value in leaves(found["params"]).items()]
    lines += ["metrics" if found["metrics"] else "metrics     none recorded"]
    lines += [f"  {_one_line(metrics)}" for metrics in found["metrics"]]
    return "\n".join(lines)


def _one_line(metrics: Mapping[str, Any]) -> str:
    """A sample set's numbers in a line; nested ones by their path."""
    rows = leaves({k: v for k, v in metrics.items() if k != "samples"}).items()
    numbers = [
        f"{name} {value:.5g}"
        for name, value in rows
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return f"{metrics['samples']}: {', '.join(numbers)}"
