from collections import Counter

import pytest

from unlearn_bench.seeded import SeededRandom


def test_pinned_so_that_a_change_of_python_or_of_the_class_is_seen():
    # random.Random("1/a").random() is documented to give the same sequence in every version
    stream = SeededRandom(1, "a")
    assert [stream.below(1000) for _ in range(4)] == PINNED


def test_keys_are_independent():
    first, second = SeededRandom(1, "a"), SeededRandom(1, "b")
    second.below(10)
    assert [first.below(1000) for _ in range(4)] == PINNED


def test_draw_gives_different_positions_evenly():
    stream = SeededRandom(0, "draw")
    counts = Counter(item for _ in range(3000) for item in stream.draw("abcde", 2))
    # each of 5 items in 2 of 5 draws: 1200 of 3000, standard deviation sqrt(3000 * 0.4 * 0.6) = 26.8
    assert all(abs(count - 1200) < 5 * 26.8 for count in counts.values())
    assert sorted(stream.shuffled("abcde")) == list("abcde")
    with pytest.raises(ValueError, match="6 of 5"):
        stream.draw("abcde", 6)


def test_bounds():
    stream = SeededRandom(0, "bounds")
    assert {stream.between(3, 5) for _ in range(200)} == {3, 4, 5}
    assert {stream.pick("xy") for _ in range(100)} == {"x", "y"}


PINNED = [688, 55, 989, 501]
