"""Policies are found by their public entry points, and a wrong name is answered with the right one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from klined.errors import ConfigError, ModelError
from klined.policies.onnx import OnnxPolicy
from klined.policies.registry import load_policy, policies
from klined.policies.rules import EmaCross


def test_rules_load_by_name_with_their_options() -> None:
    policy = load_policy("ema_cross", {"size": 0.5, "long_only": True})
    assert isinstance(policy, EmaCross)
    assert {"flat", "ema_cross", "momentum", "mean_reversion", "onnx"} <= set(policies())


def test_path_ending_in_onnx_loads_the_file(files: Any, saved: Callable[[bytes], Path]) -> None:
    assert isinstance(load_policy(str(saved(files.policy()))), OnnxPolicy)
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be read"):
        load_policy("gone.onnx")


def test_unknown_name_is_refused_with_the_nearest_and_the_list() -> None:
    with pytest.raises(
        ConfigError, match=r"'ema_crosss' is not known \(did you mean 'ema_cross'\?\); choose one of .*flat"
    ):
        load_policy("ema_crosss")


def test_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no option 'sise' \(did you mean 'size'\?\); it takes size, long_only"):
        load_policy("ema_cross", {"sise": 0.5})


def test_option_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not take"):
        load_policy("ema_cross", {"size": "half"})


def test_onnx_without_a_path_says_what_it_needs() -> None:
    with pytest.raises(ConfigError, match="needs option 'path'"):
        load_policy("onnx")
