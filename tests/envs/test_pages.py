"""Arrays that share one stretch of memory: theirs alone, on lines, and no other numbers than were asked for."""

import numpy as np

from klined_models.envs.pages import LINE, PAGE, laid, lined


def test_arrays_begin_on_lines_and_none_lies_in_another() -> None:
    kinds = [((5, 3), np.float64), ((0, 7), np.float32), ((2, 3, 1), np.float32), ((1,), np.uint8)]
    arrays = laid(*kinds)
    for k, (array, (shape, dtype)) in enumerate(zip(arrays, kinds, strict=True)):
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.ctypes.data % LINE == 0
        assert not array.any()
        array[...] = k + 1
    assert [set(array.ravel().tolist()) for array in arrays] == [{1}, set(), {3}, {4}]


def test_what_fills_large_pages_begins_on_one() -> None:
    (small,), (large,) = laid(((PAGE // 8 - 1,), np.float64)), laid(((PAGE // 8,), np.float64))
    assert large.ctypes.data % PAGE == 0
    assert small.nbytes < PAGE <= large.nbytes


def test_lined_rows_hold_the_same_numbers_and_zeros_behind() -> None:
    given = [np.arange(30.0).reshape(2, 5, 3), np.arange(32, dtype=np.float32).reshape(2, 16)]
    wide, whole = lined(given)
    assert wide.shape == (2, 5, 8)
    assert np.array_equal(wide[..., :3], given[0])
    assert not wide[..., 3:].any()
    assert np.array_equal(whole, given[1])
