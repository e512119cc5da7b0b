"""The benchmark of steps beside their products alone notes all of them, and no more."""

import re

import pytest
from torch.utils.flop_counter import FlopCounterMode

from bench.products import DEMO, Case, _random, noted, rows, work_of
from bench.work import OurTraining

CASE = Case("tiny", DEMO, 8, 8, 4, 2, packs=(1, 2))


@pytest.mark.parametrize("width", [None, 4])
def test_noted_products_do_the_work_of_the_step(width):
    """Counted by torch: of a whole step, and of what was noted, run again alone."""
    work = work_of(CASE)
    step = OurTraining(work, width, 1, "eager", "fp32").step
    step()
    with FlopCounterMode(display=False) as whole:
        step()
    again = 0
    for (func, args, kwargs), count in noted(step).items():
        with FlopCounterMode(display=False) as one:
            func(*map(_random, args), **{key: _random(v) for key, v in kwargs})
        again += count * one.get_total_flops()
    assert again == whole.get_total_flops() > 0
    # nothing asks for the gradient of the images, and torch does not count attention
    assert 0.9 * work.step_flops(width) < again <= work.step_flops(width)


def test_the_page_has_a_row_a_step_and_a_row_a_pack():
    page = "".join(rows([CASE]))
    shares = re.findall(r"\| (\d+)% \| [\d.]+ \| [\d.]+ \|$", page, re.M)
    assert len(shares) == 2 and all(0 < int(share) < 130 for share in shares)
    assert re.search(r"^\| 1 \| [\d.]+ \| 1\.00x \|$", page, re.M)
    assert re.search(r"^\| 2 \| [\d.]+ \| [\d.]+x \|$", page, re.M)
