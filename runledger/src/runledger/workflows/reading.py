"""The instances that any Snakefile stands for, as Snakemake itself reads its rules.

It begins at the rules without wildcards and follows inputs to the rules that make
them, as Snakemake's DAG does, but of the whole workflow and with nothing pruned.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from runledger.canonical import digest
from runledger.errors import UserError
from runledger.pipeline import Instance, Output, Pipeline
from runledger.project import settings
from runledger.workflows.code import Code
from runledger.workflows.refusals import INPUT_FLAGS, check_flags, check_rule, where
from runledger.workflows.values import command_text, names_of, plain

FETCH = ("runledger_fetch", "runledger_fetch_folder")  # rules of rules.smk
_PLACE = re.compile(r"\{\s*(\w+)")


def instance_id(rule: Any, wildcards: Mapping[str, str]) -> str:
    """Return the values of a rule's wildcards, as DVC's names of stages take them."""
    order = dict.fromkeys(_PLACE.findall(str(rule.output[0])))
    values = (str(wildcards[name]) for name in order)
    return "-".join(re.sub(r"[^\w-]", "_", value) or "_" for value in values)


def instance_name(rule: Any, wildcards: Mapping[str, str]) -> str:
    """Return the name of the instance that a rule makes with some wildcards."""
    return "-".join(filter(None, (rule.name, instance_id(rule, wildcards))))


class Unready:
    """Stands for a job where params are read: what a machine gives is not known yet."""

    def __init__(self, rule: Any) -> None:
        self._rule = rule

    @property
    def resources(self) -> Any:
        """Refuse a param that depends on how much the job is given."""
        raise UserError(
            "a param depends on threads or resources, which must not change results",
            where(self._rule),
            "use {threads} in the command, or let it depend on wildcards, input and "
            "output only",
        )


@dataclass(frozen=True)
class _Found:
    """A rule with wildcards filled in, and what it reads: {path: rule or None}."""

    rule: Any
    wildcards: Mapping[str, str]
    input: Any
    fixed: Mapping[str, Any]


class Reading:
    """What a workflow of Snakemake's stands for.

    Args:
        root: the checkout.
        workflow: Snakemake's, after its Snakefiles were included.
    """

    def __init__(self, root: Path, workflow: Any) -> None:
        self.root, self.workflow = Path(root), workflow
        if workflow.config_settings.config or workflow.config_settings.configfiles:
            raise UserError(
                "config values on the command line or of a profile: `runledger why`, "
                "DVC and the next run would not know them",
                "--config, --configfile or `config:` of a profile",
                "write them to the file that `configfile:` of the Snakefile names",
            )
        left = set(settings(root).get("unrecorded", ())) | set(FETCH)
        self.rules = [rule for rule in workflow.rules if rule.name not in left]
        self.code = Code(self.root, workflow)
        self.makers = [rule for rule in self.rules if rule.output or not rule.norun]
        for rule in self.makers:
            check_rule(rule)
        self._found: dict[tuple, _Found | Exception] = {}
        self._open: set[tuple] = set()
        self.unmade: dict[str, Exception] = {}  # what other targets ask for: why not
        self._chosen: dict[str, _Found | None] = {}

    @cached_property
    def _index(self) -> Any:
        from snakemake.output_index import OutputIndex

        return OutputIndex(self.makers)

    # which rule makes what

    def _take(self, rule: Any, wildcards: Mapping[str, str]) -> _Found:
        """Fill in a rule; raises what Snakemake does if that cannot be."""
        key = (rule.name, *sorted(wildcards.items()))
        if key not in self._found:
            try:
                expand = getattr(rule.expand_input, "unpruned", rule.expand_input)
                found, _, fixed, incomplete = expand(dict(wildcards))
                if incomplete:
                    raise UserError(
                        "its inputs are known only while the workflow runs",
                        where(rule),
                        "let them follow from wildcards and the config",
                    )
                check_flags(rule, "input", found, INPUT_FLAGS)
                self._found[key] = _Found(rule, dict(wildcards), found, fixed)
            except Exception as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, Exception):
            raise found
        return found

    def _why_not(self, rule: Any, wildcards: Mapping[str, str]) -> Exception | None:
        """Return why a rule cannot make anything with some wildcards; None if it can.

        As for Snakemake it can if each of its inputs is there or can be made.
        """
        key = (rule.name, *sorted(wildcards.items()))
        if key in self._open:
            return UserError(
                "an output of the rule is an input of itself, directly or by others",
                where(rule),
                "give one of them another path",
            )
        self._open.add(key)
        try:
            found = self._take(rule, wildcards)
            for path in map(str, found.input):
                self.maker(path, found)
        except Exception as error:
            return error
        finally:
            self._open.discard(key)
        return None

    def maker(self, path: str, reader: _Found | None = None) -> _Found | None:
        """Return what makes a path; None of a source.

        Raises:
            UserError: two rules make it, or nobody does and it is not there.
        """
        if path in self._chosen:
            return self._chosen[path]
        fixed = reader.fixed.get(path) if reader else None
        rules = [fixed] if fixed else sorted(self._index.match_producers(path))
        possible, errors = [], []
        for rule in rules:
            wildcards = rule.get_wildcards(path)
            error = self._why_not(rule, wildcards)
            if error is None:
                possible.append(self._take(rule, wildcards))
            else:
                errors.append(error)
        if not possible and not os.path.lexists(self.root / path):
            raise self._unmade(path, reader, errors)
        found = self._best(path, possible) if possible else None
        if found and path not in self._outputs(found):
            raise UserError(
                f"{path} is read as an input, and is a log or benchmark of another "
                "rule, which is not recorded",
                where(found.rule),
                "declare it as an output",
            )
        self._chosen[path] = found
        return found

    def _unmade(
        self, path: str, reader: _Found | None, errors: list[Exception]
    ) -> Exception:
        for error in errors:
            if isinstance(error, UserError):
                return error
        said = f": {errors[0]}" if errors else ""
        return UserError(
            f"{path} does not exist, and no rule can make it{said}",
            where(reader.rule) if reader else "the targets",
            "restore the file, or correct the path",
        )

    def _best(self, path: str, possible: list[_Found]) -> _Found:
        best = possible[0]
        for other in possible[1:]:
            order = self.workflow._ruleorder.compare(best.rule, other.rule)
            if order == 0:
                raise UserError(
                    f"two rules make {path}",
                    f"{where(best.rule)}; {where(other.rule)}",
                    "give one of them another path, or state a ruleorder",
                )
            best = other if order < 0 else best
        return best

    @staticmethod
    def _outputs(found: _Found) -> list[str]:
        return [str(out) for out in found.rule.expand_output(found.wildcards)[0]]

    @staticmethod
    def _logs(found: _Found) -> Iterator[str]:
        yield from map(str, found.rule.expand_log(found.wildcards))
        benchmark = found.rule.expand_benchmark(found.wildcards)
        yield from [str(benchmark)] if benchmark else []

    # what there is

    @cached_property
    def goals(self) -> dict[str, list[str]]:
        """{target rule: paths that it asks for}, of rules that only collect."""
        goals = {}
        for rule in self.rules:
            if rule not in self.makers and self._is_asked_for(rule):
                goals[rule.name] = list(map(str, self._take(rule, {}).input))
        return goals

    def _is_asked_for(self, rule: Any) -> bool:
        """Whether a rule is where the plan begins: its name alone says what it makes.

        Not those that come with a module, whose own targets are not this workflow's.
        """
        own = self._globals(rule) is self.workflow.globals
        wanted = own or rule.name == self.workflow.default_target
        return wanted and not rule.has_wildcards()

    def pipeline(self) -> Pipeline:
        """Return all instances that the rules without wildcards lead to."""
        todo: list[_Found] = []
        default = self.workflow.default_target
        for name, paths in self.goals.items():
            for path in paths:
                try:
                    todo += filter(None, [self.maker(path)])
                except Exception as error:
                    if name == default:
                        raise
                    self.unmade[path] = error  # raised if somebody asks for the target
        for rule in self.makers:
            if self._is_asked_for(rule):
                error = self._why_not(rule, {})
                if error is None:
                    found = self._take(rule, {})
                    chosen = map(self.maker, self._outputs(found))
                    todo += [each for each in chosen if each is found]
                elif rule.name == default or isinstance(error, UserError):
                    raise error
        found: dict[str, Instance] = {}
        logs: set[str] = set()
        wildcards: dict[str, Mapping[str, str]] = {}
        while todo:
            each = todo.pop()
            name = instance_name(each.rule, each.wildcards)
            if name in found:
                if wildcards[name] != each.wildcards:
                    raise UserError(
                        f"{dict(wildcards[name])} and {dict(each.wildcards)} give one "
                        f"name, {name}: signs other than letters, digits, _ and - "
                        "do not tell them apart",
                        where(each.rule),
                        "name the values otherwise",
                    )
                continue
            found[name], wildcards[name] = self.instance(each), each.wildcards
            logs |= set(self._logs(each))
            for path in map(str, each.input):
                todo += filter(None, [self.maker(path, each)])
        pipeline = Pipeline(found.values(), self.workflow.config)
        self._check_folders(pipeline)
        pipeline.goals = {
            rule: {pipeline.producer[p] for p in paths if p in pipeline.producer}
            for rule, paths in self.goals.items()
        }
        pipeline.default_goal = default if default in pipeline.goals else ""
        pipeline.logs = tuple(sorted(logs))
        pipeline.watched = tuple(sorted(self._watched(found.values())))
        return pipeline

    def instance(self, found: _Found) -> Instance:
        """Describe one instance: what is frozen in its recipe is all there."""
        rule, wildcards, input = found.rule, found.wildcards, found.input
        output, _ = rule.expand_output(wildcards)
        params, _ = rule.expand_params(wildcards, input, output, Unready(rule))
        values = {
            name: plain(value, f"param {name}", rule)
            for name, value in names_of(params)
        }
        deps = tuple(dict.fromkeys(map(str, input)))
        outs = tuple(Output(str(out)) for out in output)
        for path in set(deps) & {out.path for out in outs}:
            raise UserError(
                f"{path} is an input and an output of the same rule",
                where(rule),
                "give one of them another path",
            )
        for kind, files in (("input files", input), ("output files", output)):
            if len(files) > 1 or list(files.keys()):  # what a command calls them
                values[kind] = {
                    name: plain(value, kind, rule) for name, value in names_of(files)
                }
        cmd, modules, keys = self._program(rule, wildcards, params, [*deps, *output])
        config = self._globals(rule).get("config", self.workflow.config)
        for key in sorted(keys):
            value = config.get(key) if key else config
            name = f"config {key}".strip()
            values[name] = plain(value, f"config value {key}", rule)
        name = instance_name(rule, wildcards)
        described = Instance(
            name=name,
            stage=rule.name,
            id=instance_id(rule, wildcards),
            cmd=cmd,
            deps=deps,
            params=tuple(values),
            outs=outs,
            item=dict(wildcards),
            values=values,
            modules=dict(sorted(modules.items())),
        )
        frozen = described.frozen(values, digest(described.modules))
        call = f"python -m runledger run {name} --recipe {digest(frozen)}"
        return replace(described, dvc_cmd=call)

    def describe(self, rule: Any, wildcards: Mapping[str, str]) -> Instance:
        """Describe an instance by its rule and wildcards."""
        return self.instance(self._take(rule, wildcards))

    def _globals(self, rule: Any) -> Mapping[str, Any]:
        return getattr(rule, "module_globals", None) or self.workflow.globals

    def _program(
        self, rule: Any, wildcards: Mapping[str, str], params: Any, data: list[str]
    ) -> tuple[str, dict[str, str], set[str]]:
        """Return (command, {code: digest}, keys of the config that it reads)."""
        modules, keys = self.code.named(rule), set()
        if rule.shellcmd is not None:
            cmd = command_text(rule, self._globals(rule))
            modules |= self.code.of_command(rule, cmd, set(data))
        elif rule.is_run:
            cmd = "run"
            block, keys = self.code.of_block(rule)
            modules |= block
        else:
            kind = next(
                k
                for k in ("script", "notebook", "wrapper", "template_engine")
                if getattr(rule, k)
            )
            source = getattr(rule, kind)
            cmd = f"{kind} {source}"
            if kind in ("script", "notebook"):
                if isinstance(source, str) and "{" in source:
                    from snakemake.iocontainers import Wildcards

                    given = Wildcards(fromdict=dict(wildcards))
                    source = source.format(wildcards=given, params=params)
                path, files = self.code.of_source(rule, source)
                cmd, modules = f"{kind} {path}", modules | files
                keys = self.code.config_of_script(path) if files else set()
        environment = rule.conda_env
        if isinstance(environment, str) and environment.endswith((".yaml", ".yml")):
            modules |= self.code.of_source(rule, environment)[1]
        elif environment:
            cmd += f" (conda {environment})"
        if rule.container_img:
            cmd += f" (container {rule.container_img})"
        return cmd, modules, keys

    def _check_folders(self, pipeline: Pipeline) -> None:
        """Refuse an output inside a folder that another instance makes: DVC would."""
        for path, name in pipeline.producer.items():
            for above in Path(path).parents:
                other = pipeline.producer.get(str(above))
                if other:
                    raise UserError(
                        f"{path} of {name} lies in {above}, which {other} makes",
                        "the Snakefile",
                        "let each rule write a folder of its own",
                    )

    def _watched(self, instances: Any) -> Iterator[str]:
        """Yield the files from which the instances are read, and their code."""
        made = {out.path for each in instances for out in each.outs}
        paths = {os.path.abspath(path) for path in self.workflow._included}
        paths |= {os.path.abspath(path) for path in self.workflow.configfiles}
        for each in instances:
            paths |= {str(self.root / path) for path in each.modules}
        paths |= {str(self.root / text) for text in _texts(self.workflow.config)}
        top = os.path.abspath(self.root)
        for path in paths:
            relative = os.path.relpath(path, top)
            if os.path.isfile(path) and not relative.startswith(".."):
                yield from [relative] if relative not in made else []


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value)
