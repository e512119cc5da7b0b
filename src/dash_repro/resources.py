"""What each job asks of a cluster: a function of the params, counted, never measured.

Pure arithmetic (no torch), for Snakemake evaluates it while it reads the Snakefile. The
work is counted in floating-point operations (2 per multiply-add of convolutions and
matrix products); a site says how many its GPUs sustain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dash_repro.data.sources import SOURCES
from dash_repro.evaluation.extractor import KEPT_IMAGES
from dash_repro.evaluation.extractors import EXTRACTORS
from dash_repro.objectives.kinds import OBJECTIVES
from dash_repro.paper.needs import stepped
from runledger import Work

_BACKWARD = 3  # forward and backward, in forwards
_STATE_COPIES = 4  # weights, their average, two moments of Adam; two generations each


def network_cost(
    network: Mapping[str, Any],
    width: int,
    blocks: int,
    image_size: int,
    image_channels: int,
) -> tuple[float, float]:
    """Forward FLOP of one image, and parameters without the class embedding.

    The same count as models/flops.py, without building the network (a test compares).

    Args:
        network: section `network` of params.yaml.
        width, blocks: base channels, residual blocks a level.
        image_size: side in pixels.
        image_channels: 1 or 3.
    """
    count, emb = _Count(4 * width), 4 * width
    mult = network["channel_mult"]
    count.linear(width, emb)
    count.linear(emb, emb)
    count.conv(image_channels, width, 3, image_size)
    channels, skips = width, [width]
    for level, factor in enumerate(mult):
        side = image_size >> level
        for _ in range(blocks):
            count.block(channels, width * factor, side)
            channels = width * factor
            count.attention(channels, side, network["attention_resolution"])
            skips.append(channels)
        if level < len(mult) - 1:
            count.conv(channels, channels, 3, side >> 1)
            skips.append(channels)
    side = image_size >> (len(mult) - 1)
    count.block(channels, channels, side)
    count.attention(channels, side, side)
    count.block(channels, channels, side)
    for level in reversed(range(len(mult))):
        side = image_size >> level
        for _ in range(blocks + 1):
            count.block(channels + skips.pop(), width * mult[level], side)
            channels = width * mult[level]
            count.attention(channels, side, network["attention_resolution"])
        if level > 0:
            count.conv(channels, channels, 3, side << 1)
    count.parameters += 2 * width
    count.conv(width, image_channels, 3, image_size)
    return count.flop, count.parameters


class _Count:
    """Sums of operations and parameters."""

    def __init__(self, emb: int) -> None:
        self.emb, self.flop, self.parameters = emb, 0, 0

    def conv(self, channels_in: int, channels_out: int, kernel: int, side: int) -> None:
        weights = channels_in * channels_out * kernel**2
        self.flop += 2 * side**2 * weights
        self.parameters += weights + channels_out

    def linear(self, features_in: int, features_out: int) -> None:
        self.flop += 2 * features_in * features_out
        self.parameters += (features_in + 1) * features_out

    def block(self, channels_in: int, channels_out: int, side: int) -> None:
        self.parameters += 2 * (channels_in + channels_out)
        self.conv(channels_in, channels_out, 3, side)
        self.linear(self.emb, channels_out)
        self.conv(channels_out, channels_out, 3, side)
        if channels_in != channels_out:
            self.conv(channels_in, channels_out, 1, side)

    def attention(self, channels: int, side: int, wanted: int) -> None:
        if side != wanted:
            return
        self.parameters += 2 * channels
        self.conv(channels, 3 * channels, 1, side)
        self.flop += 4 * side**4 * channels
        self.conv(channels, channels, 1, side)


class Counter:
    """Counts the work of instances under some params."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self._networks: dict[tuple, tuple[float, float]] = {}

    def images(self, dataset: str) -> tuple[int, int]:
        """Training and test images of a dataset, at most."""
        block = self.params["prepare_data"][dataset]
        known = SOURCES[block["source"]].images
        most = (block["max_train"], block["max_test"])
        return tuple(
            min(n, cap) if cap else n for n, cap in zip(known, most, strict=True)
        )

    def network(self, dataset: str, width: int, blocks: int) -> tuple[float, float]:
        """(FLOP of a forward pass for one image, number of parameters) of a network."""
        data = self.params["prepare_data"][dataset]
        key = (width, blocks, data["image_size"], data["channels"])
        if key not in self._networks:
            self._networks[key] = network_cost(self.params["network"], *key)
        return self._networks[key]

    def teacher(self, dataset: str) -> tuple[float, float]:
        """FLOP and parameters of the teacher on a dataset."""
        section = self.params["train_teacher"]
        return self.network(dataset, section["width"], section["blocks"])

    def student(self, item: Mapping[str, Any], name: str) -> tuple[float, float]:
        """FLOP and parameters of a student on an identity's dataset."""
        own = self.params["students"][stepped(name)[0]]["blocks"]
        blocks = own or self.params["train_student"]["blocks"]
        return self.network(item["dataset"], item["width"], blocks)

    def model(self, item: Mapping[str, Any]) -> tuple[float, float]:
        """FLOP and parameters of the network that an identity names."""
        if item["model_stage"] == "train_teacher":
            return self.teacher(item["dataset"])
        return self.student(item, item["model"])

    def packed(self, items: Sequence[Mapping[str, Any]]) -> Work:
        """Students trained side by side: one teacher for all of them."""
        works = [self.train_student(item) for item in items]
        section = self.params["train_student"]
        steps = section["iterations"] * section["batch_size"]
        teachers = [self._passes(item)[1] for item in items]
        spared = sum(teachers) - max(teachers)
        flop = sum(w.flop for w in works)
        return Work(
            flop - steps * spared * self.teacher(items[0]["dataset"])[0],
            sum(w.memory_mb for w in works),
            sum(w.disk_mb for w in works),
            section["numerics"],
            sum(w.state_mb for w in works),
        )

    def _passes(self, item: Mapping[str, Any]) -> tuple[int, int]:
        return OBJECTIVES[self.params["students"][item["student"]]["objective"]].passes

    def _images_mb(self, dataset: str, count: int) -> float:
        data = self.params["prepare_data"][dataset]
        return count * data["channels"] * data["image_size"] ** 2 / 1e6

    def _data_mb(self, dataset: str) -> float:
        return self._images_mb(dataset, sum(self.images(dataset)))

    def prepare_data(self, item: Mapping[str, Any]) -> Work:
        size = self._data_mb(item["dataset"])
        return Work(0.0, 4 * size, size)

    def train_teacher(self, item: Mapping[str, Any]) -> Work:
        flop, parameters = self.teacher(item["dataset"])
        return self._training("train_teacher", item, _BACKWARD * flop, parameters)

    def train_student(self, item: Mapping[str, Any]) -> Work:
        own, teacher = self._passes(item)
        flop, parameters = self.student(item, item["student"])
        step = own * flop * _BACKWARD + teacher * self.teacher(item["dataset"])[0]
        return self._training("train_student", item, step, parameters)

    def distill_steps(self, item: Mapping[str, Any]) -> Work:
        """Both branches of the student, and of what it starts from at each step."""
        inner = item["start_steps"] // item["steps"]
        flop, parameters = self.student(item, item["student"])
        step, length = 2 * (_BACKWARD + inner) * flop, self.params["distill_steps"]
        return self._training(
            "train_student", item, step, parameters, length["iterations"]
        )

    def _training(
        self,
        role: str,
        item: Mapping[str, Any],
        step: float,
        parameters: int,
        iterations: int | None = None,
    ) -> Work:
        """A training that takes `step` operations an image and iteration."""
        section, data = self.params[role], self._data_mb(item["dataset"])
        flop = (iterations or section["iterations"]) * section["batch_size"] * step
        model = parameters * 4 / 1e6
        state = 2 * _STATE_COPIES * model
        return Work(flop, 2 * data + state, model, section["numerics"], state)

    def classifier(self, dataset: str) -> float:
        """FLOP of an image through the network of train_classifier."""
        side, count = self.params["prepare_data"][dataset]["image_size"], _Count(0)
        channels = self.params["train_classifier"]["width"]
        count.conv(3, channels, 3, side)
        before = channels
        for level in range(max(1, (side // 4).bit_length())):
            before, channels = channels, channels << (level > 0)
            side = -(-side // (1 + (level > 0)))
            for size, entering in ((3, before), (3, channels), (1, before)):
                count.conv(entering, channels, size, side)
        return count.flop

    def train_classifier(self, item: Mapping[str, Any]) -> Work:
        section, dataset = self.params["train_classifier"], item["dataset"]
        images = _BACKWARD * section["iterations"] * section["batch_size"]
        images += sum(self.images(dataset))
        memory = 20 * self._data_mb(dataset)  # of three channels, and in float32
        return Work(images * self.classifier(dataset), memory)

    def generate_samples(self, item: Mapping[str, Any]) -> Work:
        made = self.params["generate_samples"]
        size = self._images_mb(item["dataset"], made["num_samples"])
        branches = 1 if (item["guidance"], item["scale"]) == ("constant", 1.0) else 2
        flop = made["num_samples"] * item["steps"] * branches * self.model(item)[0]
        return Work(flop, 4 * size, size, made["numerics"], size)

    def _features(self, dataset: str, images: float, memory_mb: float) -> Work:
        extractor = EXTRACTORS[self.params["extractor"]["name"]]
        own = self.classifier(dataset)
        flop = images * (own + (own if extractor.stage else extractor.flop))
        return Work(flop, memory_mb + images * 2048 * 4 * 3 / 1e6, 500.0)

    def extract_reference(self, item: Mapping[str, Any]) -> Work:
        dataset = item["dataset"]
        return self._features(
            dataset, sum(self.images(dataset)), 2 * self._data_mb(dataset)
        )

    def compute_metrics(self, item: Mapping[str, Any]) -> Work:
        made = self.generate_samples(item)
        work = self._features(
            item["dataset"],
            self.params["generate_samples"]["num_samples"],
            made.memory_mb,
        )
        kept = min(self.params["generate_samples"]["num_samples"], KEPT_IMAGES)
        return Work(work.flop, work.memory_mb, kept * 2 * (2048 + 1008) / 1e6)

    def measure_calibration(self, item: Mapping[str, Any]) -> Work:
        section, dataset = self.params["measure_calibration"], item["dataset"]
        student = self.student(item, item["student"])[0]
        pairs = 2 * section["pairs"]
        flop = pairs * (student + self.teacher(dataset)[0])
        return Work(flop, 2 * self._data_mb(dataset), 1.0, section["numerics"])

    def profile_model(self, item: Mapping[str, Any]) -> Work:
        section = self.params["profile_model"]
        forwards = section["batch_size"] * (section["repeats"] + 5) * 4
        return Work(forwards * self.model(item)[0])

    def rank_pairs(self, item: Mapping[str, Any]) -> Work:
        pool = self.params["rank_pairs"]["pool"]
        return self._features(item["dataset"], 2 * pool, 500.0)

    def collect_images(self, _: Mapping[str, Any]) -> Work:
        return Work(0.0, 2000.0, 20.0)

    def plot_figure(self, _: Mapping[str, Any]) -> Work:
        return Work(0.0, 1000.0, 5.0)
