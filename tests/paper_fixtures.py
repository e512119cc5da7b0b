"""Synthetic results for tests of the paper layer: every file a plan asks for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml
from paper_results import SIDE, TIMESTEPS, rng_of, write_data, write_member

from runledger.project import read_rules

__all__ = ["SIDE", "TIMESTEPS", "rng_of"]
ROOT = Path(__file__).resolve().parent.parent


def small_params(scale: str = "demo") -> dict[str, Any]:
    """The committed params.yaml with fewer seeds and timesteps."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["scale"] = scale
    params["diffusion"]["timesteps"] = TIMESTEPS
    params["generate_samples"]["num_samples"] = 10_000
    for name in ("table2", "table3", "table4", "tableC6", "released", "stepwise"):
        params["experiments"][name]["seeds"] = [42, 123]
    code = {**params["teachers"]["tirt"], "base": "min_snr", "normalizer": "batch"}
    params["teachers"]["tirt_code"] = code
    compared = {
        "datasets": ["cifar10"],
        "seeds": [42],
        "teachers": ["tirt", "tirt_code"],
    }
    params["experiments"]["weightings"] = compared
    params["experiments"]["tableC7"]["beside"] = ["composite"]
    return params


def demo_like():
    """Other datasets, fewer steps, scales and widths, as a demo has them."""
    params = small_params()
    names = {"cifar10": "digits", "cifar100": "glyphs"}
    params["prepare_data"] = {
        new: params["prepare_data"][old] for old, new in names.items()
    }
    for name, block in params["experiments"].items():
        if name != "sampling":
            block["datasets"] = [names[old] for old in block["datasets"]]
            block["seeds"] = [42]
    experiments = params["experiments"]
    experiments["tableC5"]["steps"] = [10, 5]
    experiments["stepwise"]["steps"] = [10, 5]
    experiments["tableC6"]["widths"] = [48, 64]
    experiments["tableC7"]["guidance_scales"] = [2.0, 4.0]
    experiments["sampling"]["steps"] = 10
    return params


def select(params: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    """Only the declared dotted keys, nested, as a job's params are."""
    chosen: dict[str, Any] = {}
    for key in keys:
        source, target = params, chosen
        *path, last = key.split(".")
        for part in path:
            source, target = source[part], target.setdefault(part, {})
        value = source[last]
        old = target.get(last)
        target[last] = {**old, **value} if isinstance(old, dict) else value
    return chosen


class FakeJob:
    """What the stage programs use of runledger.job.Job."""

    def __init__(self, item, params, inputs=(), sources=(), out=Path()) -> None:
        self.item, self.params, self.out = item, params, Path(out)
        self._inputs = [(stage, id, Path(path)) for stage, id, path in inputs]
        self.sources = [Path(path) for path in sources]
        self.log = logging.getLogger("test")
        self.notes: dict[str, Any] = {}

    def inputs(self, stage: str) -> list[tuple[str, Path]]:
        return [(id, path) for made_by, id, path in self._inputs if made_by == stage]

    def input(self, stage: str, name: str | None = None) -> Path:
        paths = [path for _, path in self.inputs(stage)]
        paths = [path for path in paths if name is None or path.name == name]
        assert len(paths) == 1, (stage, name, paths)
        return paths[0]

    def output(self, name: str) -> Path:
        self.out.mkdir(parents=True, exist_ok=True)
        return self.out / name

    def note(self, **values: Any) -> None:
        self.notes.update(values)


def collecting_job(
    root: Path, pipeline: Any, params: dict[str, Any], item: str
) -> FakeJob:
    """The job of collect_results or collect_images for an item, inputs written."""
    from dash_repro.paper.items import ITEMS

    spec = ITEMS[item]
    stage = "collect_images" if spec.images else "collect_results"
    instance = pipeline.find(f"{stage}/{item}")
    members = instance.item["members"]
    inputs = []
    for dep in instance.deps[1:]:  # but the code
        made_by, id, file = Path(dep).parts[1:]
        if made_by == "prepare_data":
            inputs.append((made_by, id, write_data(root, id)))
            continue
        key = f"{made_by}/{id}"
        inputs.append((made_by, id, write_member(root, key, members[key], file)))
    chosen = select(params, instance.params)
    return FakeJob(dict(instance.item), chosen, inputs, out=root / stage)


def table_job(root: Path, params: dict[str, Any], item: str, csv: Path) -> FakeJob:
    """The job of make_table for an item."""
    from dash_repro.paper.items import ITEMS

    chosen = {"scale": params["scale"], "make_table": params["make_table"]}
    sources = [ROOT / source for source in ITEMS[item].sources]
    inputs = [("collect_results", item, csv)]
    return FakeJob({"item": item}, chosen, inputs, sources, root / "tables")


def figure_job(root: Path, params: dict[str, Any], item: str, data: Path) -> FakeJob:
    """The job of plot_figure for an item."""
    chosen = {"scale": params["scale"], "plot_figure": params["plot_figure"]}
    stage = "collect_results" if data.suffix == ".csv" else "collect_images"
    found = read_rules(ROOT, params).find(f"plot_figure/{item}").item["members"]
    return FakeJob(
        {"item": item, "members": found},
        chosen,
        [(stage, item, data)],
        out=root / "figures",
    )


class Workspace:
    """Collected data of every item, made once and kept in a folder."""

    def __init__(self, root: Path, params: dict[str, Any]) -> None:
        self.root, self.params = root, params
        self.pipeline = read_rules(ROOT, params)

    def data(self, item: str) -> Path:
        """CSV or npz of an item, by the real collecting stage."""
        import collect_images
        import collect_results

        from dash_repro.paper.items import ITEMS

        images = ITEMS[item].images
        job = collecting_job(self.root, self.pipeline, self.params, item)
        path = job.out / f"{item}.{'npz' if images else 'csv'}"
        if not path.exists():
            (collect_images if images else collect_results).run(job)
        return path

    def table(self, item: str) -> dict[str, Any]:
        """Sidecar of a table, by the real make_table."""
        import make_table

        from dash_repro.arrays import read_json

        job = table_job(self.root, self.params, item, self.data(item))
        make_table.run(job)
        return read_json(job.out / f"{item}.json")

    def figure(self, item: str) -> Path:
        """PNG of a figure, by the real plot_figure."""
        import plot_figure

        job = figure_job(self.root, self.params, item, self.data(item))
        plot_figure.run(job)
        return job.out / f"{item}.png"
