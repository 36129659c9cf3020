from bench.progress import Remaining, duration


def test_durations_read_naturally():
    assert [duration(s) for s in (0.4, 59.4, 60, 185, 3725)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "3 min 05 s",
        "1 h 02 min",
    ]


def test_remaining_time_is_unknown_before_the_first_cell():
    assert Remaining(["a", "b"]).seconds() is None


def test_remaining_time_uses_the_time_of_like_cells():
    remaining = Remaining(["cold", "cold", "warm", "warm", "new"])
    remaining.finished("cold", 30.0)
    remaining.finished("warm", 2.0)
    # one more cold (30), one more warm (2), one unknown kind at the mean of both (16)
    assert remaining.seconds() == 48.0
