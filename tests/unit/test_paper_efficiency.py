"""Table S1: ratios only of what was measured on one device, in one way."""

from types import SimpleNamespace

import pytest

from dash_repro.paper.rows import Collected, Row
from dash_repro.paper.tables.efficiency import _comparable


def profile(instance, name, device, kind):
    """Rows of one profile.json: a number, and how it was measured."""
    texts = {"device": device, "peak_memory_kind": kind}
    number = Row(instance=instance, metric="profile", name=name, value="2.0")
    return [number] + [
        Row(instance=instance, metric="profile_text", name=key, value=value)
        for key, value in texts.items()
    ]


@pytest.mark.parametrize(
    ("name", "device", "kind", "wanted"),
    [
        ("peak_memory_bytes", "GPU", "cuda_allocated", True),
        ("peak_memory_bytes", "GPU", "cpu_tensors", False),
        ("sampling_latency_s", "another GPU", "cuda_allocated", False),
        ("parameters", "another GPU", "cpu_tensors", True),
        ("sampling_flops", "another GPU", "cpu_tensors", True),
    ],
)
def test_ratios_of_like_with_like(name, device, kind, wanted):
    teacher = profile("teacher", name, "GPU", "cuda_allocated")
    student = profile("student", name, device, kind)
    context = SimpleNamespace(collected=Collected(teacher + student, "a test"))
    assert _comparable(context, [teacher[0], student[0]]) is wanted
