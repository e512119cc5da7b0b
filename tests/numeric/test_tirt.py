"""TIRT: Eq. 2 and its variants, its gradient, export and transfer."""

import math

import numpy as np
import pytest
import safetensors
import torch
from training_tools import tiny_params, tiny_schedule

from dash_repro.diffusion.schedule import ScheduleError
from dash_repro.models.tensorfile import TensorFileError
from dash_repro.objectives.curriculum import (
    curriculum_from,
    load_curriculum,
    save_curriculum,
)
from dash_repro.objectives.weights import (
    TimestepWeights,
    WeightingError,
    base_weight,
    batch_omega_hat,
    min_snr_weight,
    omega_hat,
    student_weights,
    teacher_weights,
    tirt_omega,
)

T = 50
SNR = tiny_schedule(T).snr()
GENERATOR = torch.Generator().manual_seed(0)
LAMBDA = torch.randn(T, generator=GENERATOR, dtype=torch.float64)


def by_hand(lambda_, base):
    """Eq. 2 as loops; the list of omega and of omega_hat."""
    omega = []
    for snr, raw in zip(SNR.tolist(), lambda_.tolist(), strict=True):
        capped = min(snr, 5.0)
        factor = capped / snr if base == "min_snr_over_snr" else capped
        omega.append(factor / (1.0 + math.exp(-raw)))
    mean = sum(omega) / len(omega)
    return omega, [value / mean for value in omega]


@pytest.mark.parametrize("base", ["min_snr_over_snr", "min_snr"])
def test_equation_2(base):
    omega = tirt_omega(base_weight(SNR, 5.0, base), LAMBDA)
    wanted_omega, wanted = by_hand(LAMBDA, base)
    np.testing.assert_allclose(omega.numpy(), wanted_omega, rtol=1e-13)
    np.testing.assert_allclose(omega_hat(omega).numpy(), wanted, rtol=1e-13)
    assert omega_hat(omega).mean().item() == pytest.approx(1.0, abs=1e-14)


def test_bases_have_the_shapes_the_text_describes():
    paper = base_weight(SNR, 5.0, "min_snr_over_snr")
    assert torch.equal(paper, min_snr_weight(SNR, 5.0))
    assert (paper.diff() >= 0).all() and paper[-1] == 1.0  # rises towards T
    released = base_weight(SNR, 5.0, "min_snr")
    assert (released.diff() <= 0).all() and released[0] == 5.0  # falls towards T


def block(**changes):
    return {**tiny_params()["teachers"]["tirt"], **changes}


@pytest.mark.parametrize("normalizer", ["timesteps", "batch"])
@pytest.mark.parametrize("gradient", ["differentiated", "detached"])
@pytest.mark.parametrize("base", ["min_snr_over_snr", "min_snr"])
def test_gradient_against_the_formula(normalizer, gradient, base):
    t = torch.tensor([3, 3, 10, 29, 30, 49])
    losses = torch.tensor([0.9, 0.7, 0.2, 0.5, 0.3, 1.3], dtype=torch.float64)
    lambda_ = LAMBDA.clone().requires_grad_()
    omega = tirt_omega(base_weight(SNR, 5.0, base), lambda_)
    weights = batch_omega_hat(omega, t, normalizer, gradient)
    loss = (weights * losses).mean()
    loss.backward()

    values, _ = by_hand(LAMBDA, base)
    sigmoid = [1.0 / (1.0 + math.exp(-raw)) for raw in LAMBDA.tolist()]
    count = len(t)
    wanted = np.zeros(T)
    if normalizer == "timesteps":
        mean = sum(values) / T
        level = loss.item()
        for s in range(T):
            scale = values[s] * (1.0 - sigmoid[s]) / mean
            here = sum(losses[i].item() for i in range(count) if t[i] == s) / count
            pull = level / T if gradient == "differentiated" else 0.0
            wanted[s] = scale * (here - pull)
    else:
        total = sum(values[s] for s in t.tolist())
        level = loss.item() if gradient == "differentiated" else 0.0
        for i, s in enumerate(t.tolist()):
            wanted[s] += values[s] * (1.0 - sigmoid[s]) * (losses[i].item() - level)
        wanted /= total
    np.testing.assert_allclose(lambda_.grad.numpy(), wanted, rtol=1e-10, atol=1e-16)
    if normalizer == "batch":
        untouched = [s for s in range(T) if s not in t.tolist()]
        assert (lambda_.grad[untouched] == 0.0).all()


def test_expected_gradient_is_spec_sections_6_and_8():
    """dL/dlambda_s = omega_hat_s (1 - sigmoid_s) (l_s - L) / T: one sample each."""
    t = torch.arange(T)
    losses = torch.rand(T, generator=GENERATOR, dtype=torch.float64)
    lambda_ = LAMBDA.clone().requires_grad_()
    omega = tirt_omega(base_weight(SNR, 5.0, "min_snr_over_snr"), lambda_)
    weights = batch_omega_hat(omega, t, "timesteps", "differentiated")
    level = (weights * losses).mean()
    level.backward()
    hat = omega_hat(omega).detach()
    wanted = hat * (1 - torch.sigmoid(LAMBDA)) * (losses - level.detach()) / T
    torch.testing.assert_close(lambda_.grad, wanted, rtol=1e-10, atol=1e-16)


@pytest.mark.parametrize("normalizer", ["timesteps", "batch"])
def test_descent_lowers_the_weight_of_harder_timesteps(normalizer):
    """The opposite of what the text says of the curriculum (Section 3.3)."""
    weights = teacher_weights(block(normalizer=normalizer), SNR)
    losses = torch.linspace(1.0, 0.1, T)  # harder near the clean image
    optimizer = torch.optim.SGD([weights.lambda_], lr=5.0)
    for _ in range(50):
        optimizer.zero_grad()
        (weights(torch.arange(T)) * losses).mean().backward()
        optimizer.step()
    raw = weights.lambda_.detach()
    assert raw[5] < -1e-3 and raw[-1] > 1e-3


def test_batch_of_one_has_no_gradient():
    weights = teacher_weights(block(normalizer="batch"), SNR)
    (weights(torch.tensor([7])) * 0.8).mean().backward()
    assert weights.lambda_.grad.abs().max() < 1e-6


def test_teacher_variants_start_at_min_snr():
    t = torch.arange(T)
    learned = teacher_weights(block(), SNR)
    fixed = teacher_weights(block(weighting="min_snr"), SNR)
    assert fixed.lambda_ is None and list(fixed.parameters()) == []
    assert learned.lambda_.shape == (T,)
    wanted = omega_hat(min_snr_weight(SNR, 5.0)).float()
    torch.testing.assert_close(fixed(t), wanted)
    torch.testing.assert_close(learned(t), wanted)
    started = teacher_weights(block(lambda_init=1.5), SNR)
    assert (started.lambda_ == 1.5).all()


def test_min_snr_with_batch_normaliser():
    weights = teacher_weights(block(weighting="min_snr", normalizer="batch"), SNR)
    t = torch.tensor([1, 40])
    values = [min(SNR[s].item(), 5.0) / SNR[s].item() for s in t.tolist()]
    wanted = [2.0 * value / sum(values) for value in values]
    np.testing.assert_allclose(weights(t).numpy(), wanted, rtol=1e-6)


def test_student_weightings():
    transferred = omega_hat(torch.rand(T, generator=GENERATOR, dtype=torch.float64))
    t = torch.arange(T)
    transfer = student_weights("transfer", transferred, block(), SNR)
    assert torch.equal(transfer(t), transferred.float())  # Eq. 10: copied and frozen
    assert list(transfer.parameters()) == []
    min_snr = student_weights("min_snr", transferred, block(), SNR)
    wanted = omega_hat(min_snr_weight(SNR, 5.0)).float()
    torch.testing.assert_close(min_snr(t), wanted)
    assert list(min_snr.parameters()) == []
    learned = student_weights("learned", transferred, block(lambda_init=2.0), SNR)
    torch.testing.assert_close(learned(t), wanted)
    assert (learned.lambda_ == 0.0).all() and learned.lambda_.requires_grad


def test_unknown_names():
    with pytest.raises(WeightingError, match="'snr' is not known"):
        base_weight(SNR, 5.0, "snr")
    with pytest.raises(WeightingError, match="transfer, min_snr, learned"):
        student_weights("copied", SNR, block(), SNR)
    with pytest.raises(WeightingError, match="normalizer"):
        TimestepWeights(SNR, 0.0, "mean")(torch.tensor([0]))


def test_export_round_trip_and_another_schedule(tmp_path):
    schedule, path = tiny_schedule(T), tmp_path / "tirt.safetensors"
    raw = LAMBDA.float()
    save_curriculum(path, curriculum_from(raw, block(), schedule))
    found = load_curriculum(path, schedule)
    _, wanted = by_hand(raw.double(), "min_snr_over_snr")
    assert found.omega_hat.dtype == found.lambda_.dtype == torch.float64
    np.testing.assert_allclose(found.omega_hat.numpy(), wanted, rtol=1e-13)
    assert torch.equal(found.lambda_, raw.double())
    with safetensors.safe_open(path, "pt") as file:
        assert '"timesteps": 50' in file.metadata()["schedule"]
    with pytest.raises(ScheduleError, match="timesteps: 50 there, 100 in params"):
        load_curriculum(path, tiny_schedule(100))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(TensorFileError, match="not a whole"):
        load_curriculum(path, schedule)


def test_export_of_a_min_snr_teacher():
    found = curriculum_from(None, block(weighting="min_snr"), tiny_schedule(T))
    wanted = omega_hat(min_snr_weight(SNR, 5.0))
    torch.testing.assert_close(found.omega_hat, wanted, rtol=1e-14, atol=0)
    assert (found.lambda_ == 0.0).all()
