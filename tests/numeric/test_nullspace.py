"""Appendix E: what the composite and gap losses leave undetermined, and Eq. 8 not.

And its practical side: students that never meet the null token.
"""

import pytest
import torch
from training_tools import (
    make_data,
    make_teacher,
    run_students,
    student_job,
    tiny_params,
)

from dash_repro.diffusion.guidance import guided_eps
from dash_repro.models.checkpoint import load_checkpoint
from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.objectives import losses

B, W = 4, 4.0
GENERATOR = torch.Generator().manual_seed(3)


def rand():
    return torch.randn(B, 3, 2, 2, generator=GENERATOR, dtype=torch.float64)


CS, US, CT, UT, SHIFT = (rand() for _ in range(5))
WEIGHTS = torch.rand(B, generator=GENERATOR, dtype=torch.float64) + 0.5


def composite(cond, uncond, scale=W):
    return losses.composite_loss(cond, uncond, CT, UT, scale, WEIGHTS)


def gap(cond, uncond):
    return losses.gap_loss(cond, uncond, CT, UT, WEIGHTS)


def dual(cond, uncond):
    im = losses.imitation_loss(cond, CT, WEIGHTS)
    return im + losses.unconditional_loss(uncond, UT, WEIGHTS)


@pytest.mark.parametrize("scale", [1.5, 4.0, 7.0])
def test_composite_is_zero_on_the_shifted_family(scale):
    """w delta on the null branch and (w - 1) delta on the conditional one (Eq. 12)."""
    shifted = (CT + (scale - 1.0) * SHIFT, UT + scale * SHIFT)
    assert composite(*shifted, scale).item() < 1e-28
    assert gap(*shifted).item() > 0.1
    assert dual(*shifted).item() > 0.1


def test_printed_shift_of_both_branches_alone_is_not_in_the_null_space():
    assert composite(CT, UT + W * SHIFT).item() > 0.1


def test_collapse_is_an_exact_zero():
    """Both branches equal to the composite prediction (Eq. 13)."""
    guided = guided_eps(CT, UT, W)
    assert composite(guided, guided).item() == 0.0
    assert dual(guided, guided).item() > 0.1


def test_composite_unchanged_along_its_null_space_anywhere():
    moved = composite(CS + (W - 1.0) * SHIFT / W, US + SHIFT)
    torch.testing.assert_close(moved, composite(CS, US), rtol=1e-12, atol=0)


def test_gap_unchanged_under_a_common_shift():
    torch.testing.assert_close(gap(CS + SHIFT, US + SHIFT), gap(CS, US))
    assert dual(CS + SHIFT, US + SHIFT).item() != pytest.approx(dual(CS, US).item())


def hessian_rank(loss):
    """Rank of the loss's Hessian in both branches: 2 d where the minimum is unique."""
    d = CT.numel()

    def function(flat):
        return loss(flat[:d].view_as(CT), flat[d:].view_as(CT))

    point = torch.cat([CS.flatten(), US.flatten()])
    hessian = torch.autograd.functional.hessian(function, point)
    return int(torch.linalg.matrix_rank(hessian))


def test_dimensions_of_the_solution_sets():
    d = CT.numel()
    assert hessian_rank(composite) == d
    assert hessian_rank(gap) == d
    assert hessian_rank(dual) == 2 * d
    assert dual(CT, UT).item() == 0.0


def test_two_values_of_w_leave_no_null_space():
    """So a composite loss whose w changes from batch to batch has one solution."""

    def both(cond, uncond):
        return composite(cond, uncond, 1.5) + composite(cond, uncond, 5.0)

    assert hessian_rank(both) == 2 * CT.numel()


def test_gradient_of_composite_on_the_two_branches_is_parallel():
    """w and 1 - w times one residual (Eq. 11): the null branch is pushed away."""
    cond, uncond = CS.clone().requires_grad_(), US.clone().requires_grad_()
    composite(cond, uncond).backward()
    torch.testing.assert_close(uncond.grad, (1.0 - W) / W * cond.grad)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Each student of interest after some iterations from one start."""
    root = tmp_path_factory.mktemp("nullspace")
    params = tiny_params()
    make_data(root)
    make_teacher(root, params)
    names = ["cond_only", "no_un", "fitnets", "dash", "scratch", "gap_match"]
    jobs = [student_job(root, params, name) for name in names]
    assert run_students(jobs)
    assert [job.status for job in jobs] == ["done"] * len(jobs)
    found = {}
    for name, job in zip(names, jobs, strict=True):
        checkpoint = load_checkpoint(job.output("model.safetensors"))
        found[name] = (checkpoint.model, build_unet(checkpoint.config, 42))
    return found


@pytest.mark.parametrize("name", ["cond_only", "no_un", "fitnets"])
def test_null_row_is_never_moved_without_a_null_branch(trained, name):
    model, initial = trained[name]
    moved = model.label.weight - initial.label.weight
    assert (moved[model.null_token] == 0.0).all()
    assert (moved[: model.null_token].abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize("name", ["dash", "scratch", "gap_match"])
def test_null_row_is_trained_with_one(trained, name):
    model, initial = trained[name]
    row = model.null_token
    assert (model.label.weight[row] != initial.label.weight[row]).any()


def test_null_row_gradient_is_exactly_zero_for_cond_only():
    config = UNetConfig(8, 1, 3, (1, 2, 2, 2), 4, 0.1, 4, 1e-6, 8)
    model = build_unet(config, 0)
    x = torch.randn(B, 3, 8, 8)
    labels = torch.tensor([0, 1, 2, 0])
    eps = model(x, torch.arange(B), labels)
    target = torch.zeros_like(eps)
    losses.imitation_loss(eps, target, torch.ones(B)).backward()
    grad = model.label.weight.grad
    assert (grad[model.null_token] == 0.0).all()
    assert (grad[:3].abs().amax(dim=1) > 0).all()
