"""B0 and B1: training and sampling as public code does them.

DataLoader, fp16 autocast and GradScaler on a GPU, four separate forwards, an optimiser
over a list of tensors, an EMA loop in Python, `.item()` in every step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench.plain_unet import PlainUNet


class PlainImages(Dataset):
    """uint8 images as a torchvision-like data set: one float image a call."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index].float() / 127.5 - 1.0, int(self.labels[index])


def plain_dash_loss(student: nn.Module, teacher: nn.Module, x_t, t, y, noise) -> Tensor:
    """L_DASH (Eq. 8; 1, 1, 0.1) from four forwards, weights 1."""
    null = torch.full_like(y, student.config.num_classes)
    with torch.no_grad():
        cond_t, uncond_t = teacher(x_t, t, y), teacher(x_t, t, null)
    cond, uncond = student(x_t, t, y), student(x_t, t, null)
    cond, uncond = cond.to(noise.dtype), uncond.to(noise.dtype)
    loss = nn.functional.mse_loss(cond, cond_t.to(noise.dtype))
    loss = loss + nn.functional.mse_loss(uncond, uncond_t.to(noise.dtype))
    return loss + 0.1 * nn.functional.mse_loss(cond, noise)


class PlainTraining:
    """One network trained plainly; `teacher` None: noise prediction, labels dropped.

    Args:
        model, teacher: with their weights, on the device.
        images: (N, 3, H, W) uint8 on the CPU; labels (N,).
        alpha_bar: (T,).
        resident: data on the device and no logging (B1); else B0.
    """

    def __init__(
        self,
        model: PlainUNet,
        teacher: PlainUNet | None,
        images: Tensor,
        labels: Tensor,
        alpha_bar: Tensor,
        batch_size: int,
        resident: bool,
    ) -> None:
        self.model, self.teacher = model.train(), teacher and teacher.eval()
        self.device = next(model.parameters()).device
        self.alpha_bar = alpha_bar.float().to(self.device)
        self.batch_size, self.resident = batch_size, resident
        self.half = self.device.type == "cuda"
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, 234_000
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.half)
        self.ema = copy.deepcopy(model).requires_grad_(False)
        self.logged: list[float] = []
        if resident:
            self.images, self.labels = images.to(self.device), labels.to(self.device)
        else:
            self.batches = self._batches(images, labels)

    def _batches(self, images: Tensor, labels: Tensor) -> Iterator[tuple]:
        workers = 4 if self.half else 0
        loader = DataLoader(
            PlainImages(images, labels),
            self.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            pin_memory=self.half,
            persistent_workers=workers > 0,
        )
        while True:
            yield from loader

    def _next(self) -> tuple[Tensor, Tensor]:
        if not self.resident:
            x, y = next(self.batches)
            return x.to(self.device), y.to(self.device)
        shape = (self.batch_size,)
        chosen = torch.randint(len(self.images), shape, device=self.device)
        return self.images[chosen].float() / 127.5 - 1.0, self.labels[chosen]

    def step(self) -> None:
        """One iteration."""
        x0, y = self._next()
        t = torch.randint(len(self.alpha_bar), (len(x0),), device=self.device)
        noise = torch.randn_like(x0)
        level = self.alpha_bar[t][:, None, None, None]
        x_t = level.sqrt() * x0 + (1 - level).sqrt() * noise
        with torch.autocast(self.device.type, torch.float16, enabled=self.half):
            loss = self._loss(x_t, t, y, noise)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        with torch.no_grad():
            for average, value in zip(
                self.ema.parameters(), self.model.parameters(), strict=True
            ):
                average.mul_(0.999).add_(value, alpha=0.001)
        if not self.resident:
            self.logged.append(loss.item())

    def _loss(self, x_t: Tensor, t: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        if self.teacher is not None:
            return plain_dash_loss(self.model, self.teacher, x_t, t, y, noise)
        dropped = torch.rand(len(y), device=self.device) < 0.1
        y = torch.where(dropped, self.model.config.num_classes, y)
        return nn.functional.mse_loss(self.model(x_t, t, y).float(), noise)


@torch.no_grad()
def plain_sample(
    model: nn.Module, alpha_bar: Tensor, noise: Tensor, y: Tensor, steps: int, w: float
) -> Tensor:
    """DDIM with guidance, two forwards a step, the state as the network's output."""
    x, null = noise, torch.full_like(y, model.config.num_classes)
    total = len(alpha_bar)
    times = list(range(0, total, total // steps))[::-1]
    for now, following in zip(times, [*times[1:], None], strict=True):
        t = torch.full((len(x),), now, device=x.device)
        cond, uncond = model(x, t, y), model(x, t, null)
        eps = uncond + w * (cond - uncond)
        a = alpha_bar[now].item()
        b = 1.0 if following is None else alpha_bar[following].item()
        x0 = ((x - (1 - a) ** 0.5 * eps) / a**0.5).clamp(-1, 1)
        x = b**0.5 * x0 + (1 - b) ** 0.5 * eps
    return x
