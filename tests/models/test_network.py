"""The numpy network: its gradient is the slope of its loss, and a seed is a network."""

import numpy as np
import pytest

from klined_models.network import Adam, Network, batches


def sample(seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.random((12, 4))
    return random.normal(size=(12, 5)), labels / labels.sum(axis=1, keepdims=True), random.random(12) + 0.1


def test_gradient_equals_the_finite_difference() -> None:
    network = Network((5, 7, 6, 4), seed=1)
    observations, labels, weight = sample()
    _, gradients = network.gradients(observations, labels, weight)
    for array, gradient in zip(network.parameters(), gradients, strict=True):
        index = np.unravel_index(np.abs(gradient).argmax(), array.shape)
        kept = array[index]
        array[index] = kept + 1e-6
        above, _ = network.gradients(observations, labels, weight)
        array[index] = kept - 1e-6
        below, _ = network.gradients(observations, labels, weight)
        array[index] = kept
        assert gradient[index] == pytest.approx((above - below) / 2e-6, rel=1e-5)


def test_training_lowers_the_loss_and_is_reproducible() -> None:
    losses = []
    for _ in range(2):
        network = Network((5, 8, 4), seed=2)
        adam = Adam(network, decay=0.0)
        run = []
        for _ in range(200):
            loss, gradients = network.gradients(*sample())
            adam.step(gradients, 0.02)
            run.append(loss)
        losses.append(run)
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0] - 0.05


def test_an_epoch_visits_every_row_at_most_once_in_seeded_order() -> None:
    first = [index for batch in batches(100, 30, epoch=0, seed=5) for index in batch]
    assert len(first) == len(set(first)) == 90
    assert first == [index for batch in batches(100, 30, epoch=0, seed=5) for index in batch]
    assert first != [index for batch in batches(100, 30, epoch=1, seed=5) for index in batch]
