"""Images in memory through an extractor, in one pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dash_repro.arrays import save_npz
from dash_repro.data.dataset import CHANNELS
from dash_repro.data.images import to_rgb
from dash_repro.evaluation.errors import EvaluationError, require_finite
from dash_repro.evaluation.extractor import KEPT_IMAGES
from dash_repro.evaluation.extractors import Extractor
from dash_repro.evaluation.progress import Progress

# Images a pass by kind of device: on a CPU smaller batches stay in its caches. Other
# sizes move features by 1e-5 of the largest, as another device does.
BATCH_SIZES = {"cuda": 128, "cpu": 32}
AHEAD = 2  # batches that are resized while one is computed


class ResizedImages:
    """uint8 (N, H, W, C) as the extractor's inputs, made like clean-fid's.

    Args:
        images: the array; not copied.
        extractor: whose `resize` is applied.
    """

    def __init__(self, images: np.ndarray, extractor: Extractor) -> None:
        self.images, self.resize = images, extractor.resize

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        """Image `index` as float32 (3, h, w) in 0..255."""
        image = np.array(self.resize(to_rgb(self.images[index])))
        tensor = torch.from_numpy(image).permute(2, 0, 1)
        if image.dtype == np.uint8:
            # clean-fid divides by 255 and multiplies again; so do its last bits.
            return tensor.float().div(255) * 255
        return tensor


def batches(inputs: ResizedImages, size: int, threads: int) -> Iterator[Tensor]:
    """Inputs in their order, float32 (B, 3, h, w), each made as if alone.

    A resize takes milliseconds, and a GPU less for the network. So where the process
    has several threads they resize the next two batches while one is computed; Pillow
    lets go of Python's lock. No more than three batches are in memory.

    Args:
        inputs: of images.
        size: images a batch; the last has what is left.
        threads: 1: no threads besides this one.
    """
    spans = [range(n, min(n + size, len(inputs))) for n in range(0, len(inputs), size)]
    if threads == 1:
        for span in spans:
            yield torch.stack([inputs[index] for index in span])
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[list[Future[Tensor]]] = deque()
        for span in [*spans, *[range(0)] * AHEAD]:
            ahead.append([pool.submit(inputs.__getitem__, index) for index in span])
            if len(ahead) > AHEAD:
                done = ahead.popleft()
                if done:
                    yield torch.stack([one.result() for one in done])


def extract_features(
    images: np.ndarray,
    extractor: Extractor,
    device: torch.device,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Features and class probabilities of images, in their order.

    Args:
        images: uint8 (N, H, W, C), grey or RGB.
        extractor: on the same device.
        device: that computes.
        batch_size: images a pass, None: BATCH_SIZES; results agree between sizes up to
            float32 rounding.
        progress: called after each batch.

    Returns:
        float32 (N, D) and float32 (N, C).

    Raises:
        EvaluationError: not such an array, or the network gave NaN or infinity.
    """
    _require_images(images)
    size = batch_size or BATCH_SIZES[device.type]
    inputs = ResizedImages(images, extractor)
    kept: list[np.ndarray] = []
    done = 0
    with torch.inference_mode():
        for batch in batches(inputs, size, torch.get_num_threads()):
            pair = extractor.forward(batch.to(device))
            parts = [part.float().cpu().numpy() for part in pair]
            # into place: joined at the end, they would be in memory twice
            kept = kept or [
                np.empty((len(images), part.shape[1]), np.float32) for part in parts
            ]
            for whole, part in zip(kept, parts, strict=True):
                whole[done : done + len(batch)] = part
            done += len(batch)
            if progress is not None:
                progress(done, len(images))
    features, probabilities = kept
    require_finite(features, "features")
    return features, require_finite(probabilities, "probabilities")


def save_features(
    path: Path | str,
    extractor: str,
    features: np.ndarray,
    probabilities: np.ndarray,
    recognised: np.ndarray | None = None,
) -> None:
    """Write features.npz, from which samples can be measured without their images.

    It holds "extractor", and of the first K images, KEPT_IMAGES at the most, "features"
    (K, D) and "probabilities" (K, C) in float16, whose rounding moves a value by 0.05 %
    at the most, and "recognised" bool (K,). Image i is the sample set's, whose classes
    go round.

    Args:
        path: of the file.
        extractor: its identity.
        features, probabilities: of `extract_features`, all images.
        recognised: whether a classifier sees in each image its class; None: not known.

    Raises:
        EvaluationError: a feature is too large for float16 (65,504).
    """
    with np.errstate(over="ignore"):
        halves = features[:KEPT_IMAGES].astype(np.float16)
    save_npz(
        path,
        extractor=extractor,
        features=require_finite(halves, "features in half precision"),
        probabilities=probabilities[:KEPT_IMAGES].astype(np.float16),
        **({} if recognised is None else {"recognised": recognised[:KEPT_IMAGES]}),
    )


def _require_images(images: np.ndarray) -> None:
    shaped = images.ndim == 4 and images.shape[3] in CHANNELS
    if images.dtype != np.uint8 or not shaped:
        raise EvaluationError(
            f"images are {images.dtype} {images.shape}, not uint8 (N, H, W, 1 or 3)",
            "the file that was to be measured",
            "make it again with prepare_data or generate_samples",
        )
    if len(images) == 0:
        raise EvaluationError("no images to measure", "", "generate some")
