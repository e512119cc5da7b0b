"""Draw images from network.pt2 with torch alone: guided DDIM, x0 clamped."""

import json
import pathlib

import torch

HERE = pathlib.Path(__file__).parent


def load():
    """Return (network, settings)."""
    network = torch.export.load(HERE / "network.pt2").module()
    return network, json.loads((HERE / "settings.json").read_text("utf-8"))


@torch.no_grad()
def sample(network, settings, noise, labels, w=4.0, steps=50):
    """Images in [-1, 1] from noise (N, C, H, W) and labels (N,) int64."""
    alpha_bar = torch.tensor(settings["alpha_bar"], dtype=torch.float64)
    total, null = len(alpha_bar), settings["num_classes"]
    assert total % steps == 0, f"steps must divide {total}"
    times = list(range(0, total, total // steps))[::-1]
    x, both = noise, torch.cat([labels, torch.full_like(labels, null)])
    for i, t in enumerate(times):
        a = alpha_bar[t].item()
        b = alpha_bar[times[i + 1]].item() if i + 1 < len(times) else 1.0
        at = torch.full((2 * len(x),), t)
        cond, uncond = network(torch.cat([x, x]), at, both).chunk(2)
        eps = uncond + w * (cond - uncond)
        x0 = ((x - (1 - a) ** 0.5 * eps) / a**0.5).clamp(-1, 1)
        eps = (x - a**0.5 * x0) / (1 - a) ** 0.5  # of that x0
        x = b**0.5 * x0 + (1 - b) ** 0.5 * eps
    return x


if __name__ == "__main__":
    network, settings = load()
    shape = (8, *settings["shape"])
    labels = torch.arange(8) % settings["num_classes"]
    images = sample(network, settings, torch.randn(shape), labels)
    print(images.shape, "in", images.min().item(), images.max().item())
