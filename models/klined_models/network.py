"""A small multilayer perceptron in numpy: forward, backward, Adam. Enough for cloning, and no framework to install.

Float64 throughout; the same seed and data give the same weights on the same numpy and CPU class.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Network:
    """Layers `sizes[0] -> ... -> sizes[-1]`, tanh between them, logits out."""

    def __init__(self, sizes: tuple[int, ...], seed: int) -> None:
        random = np.random.Generator(np.random.Philox(seed))
        self.sizes = sizes
        self.weights: list[Array] = []
        self.biases: list[Array] = []
        for fan_in, fan_out in pairwise(sizes):
            self.weights.append(random.normal(0.0, 1.0 / np.sqrt(fan_in), (fan_in, fan_out)))
            self.biases.append(np.zeros(fan_out))
        self.weights[-1] *= 0.1  # begin undecided

    def logits(self, observations: Array) -> Array:
        """Shape (n, sizes[0]) to (n, sizes[-1])."""
        return self._forward(observations)[-1]

    def choose(self, observations: Array) -> NDArray[np.int64]:
        """Index of the largest logit of each row; ties go to the lower index, as in ONNX ArgMax."""
        return np.asarray(self.logits(observations).argmax(axis=1))

    def gradients(self, observations: Array, labels: Array, weight: Array) -> tuple[float, list[Array]]:
        """Weighted cross entropy to soft `labels` and its gradient, in the order of `parameters`."""
        layers = self._forward(observations)
        shifted = layers[-1] - layers[-1].max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        log_probs = shifted - log_sum
        share = weight[:, None] / weight.sum()
        loss = float(-(share * labels * log_probs).sum())
        delta = share * (np.exp(log_probs) - labels)
        found: list[Array] = []
        for k in range(len(self.weights) - 1, -1, -1):
            found += [delta.sum(axis=0), layers[k].T @ delta]
            if k:
                delta = (delta @ self.weights[k].T) * (1.0 - layers[k] ** 2)
        return loss, found[::-1]

    def parameters(self) -> list[Array]:
        """Weights and biases, layer by layer; arrays to be changed in place."""
        return [array for pair in zip(self.weights, self.biases, strict=True) for array in pair]

    def round_to(self, step: float) -> None:
        """Put every parameter on a grid, so that the last bits of another CPU's arithmetic leave no trace."""
        for array in self.parameters():
            array[...] = np.round(array / step) * step

    def _forward(self, observations: Array) -> list[Array]:
        layers = [observations]
        for k, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            layer = layers[-1] @ weights + biases
            layers.append(np.tanh(layer) if k < len(self.weights) - 1 else layer)
        return layers


class Adam:
    """Adam (Kingma and Ba 2014, algorithm 1) with decoupled weight decay (Loshchilov and Hutter 2017)."""

    def __init__(self, network: Network, decay: float) -> None:
        self._parameters = network.parameters()
        self._first = [np.zeros_like(array) for array in self._parameters]
        self._second = [np.zeros_like(array) for array in self._parameters]
        self._decay = decay
        self._steps = 0

    def step(self, gradients: list[Array], rate: float) -> None:
        self._steps += 1
        bias1, bias2 = 1.0 - 0.9**self._steps, 1.0 - 0.999**self._steps
        for k, gradient in enumerate(gradients):
            first, second, array = self._first[k], self._second[k], self._parameters[k]
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            array -= rate * (first / bias1 / (np.sqrt(second / bias2) + 1e-8) + self._decay * array)


def batches(rows: int, size: int, epoch: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Indices of each mini-batch of one epoch, shuffled by (seed, epoch)."""
    order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(rows)
    for start in range(0, rows - size + 1, size):
        yield order[start : start + size]
