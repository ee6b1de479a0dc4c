"""The daemon's quick way to an observation leaves the bytes of the kernel's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.kernels import layout as at
from klined.kernels.assembly import assemble
from klined.kernels.rows import Block
from klined.trader.assembler import Assembler
from klined.trader.plans import ETH44, ETH44_MTF, OUTSIDE, declared_plan

SHUFFLED = declared_plan(
    "shuffled", ["position", "close", "held", "volume", "rsi", "sentiment_score", "open", *OUTSIDE][:7]
)
VALUE = st.one_of(st.floats(-2.0, 2.0), st.sampled_from([np.nan, 1e19, 1e38, 3.5e38, 1e300, -0.0]))


@pytest.mark.parametrize("plan", [ETH44, ETH44_MTF, SHUFFLED], ids=lambda plan: plan.name)
@given(data=st.data())
def test_observation_has_the_bytes_of_the_kernel(plan: object, data: st.DataObject) -> None:
    assert isinstance(plan, type(ETH44))
    features, seen = Block(2, plan.market_dim), np.zeros((2, plan.dim), np.float32)
    features.array[1] = data.draw(st.lists(VALUE, min_size=plan.market_dim, max_size=plan.market_dim))
    account = Block(1, at.NQ).row[0]
    account[at.LOTS], account[at.MARK], account[at.ENTRY] = data.draw(st.sampled_from([-2.0, 0.0, 3.0])), 10.0, 9.0
    account[at.ATR], account[at.EXPOSURE], account[at.LAST_TARGET] = 0.5, data.draw(st.floats(-2.0, 2.0)), np.nan
    expected = np.zeros(plan.dim, np.float32)
    row = memoryview(expected).cast("B").cast("f")
    with np.errstate(all="ignore"):
        told = assemble(plan.slots, features.row[1], account, 0.25, row)
        assert Assembler(plan, features, seen).observe(1, account, 0.25) == told
    assert seen[1].tobytes() == expected.tobytes()
    assert not seen[0].any()
