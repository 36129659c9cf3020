"""Every workload answers what an independent computation says, and a wrong answer is seen."""

import copy
import json

import pytest

from bench.check import Expected, expected, mismatch, mismatch_in_body, verify
from bench.errors import ConfigError, WrongResultError
from bench.plugins import Workload, workloads

WORKLOADS = workloads()
QUICK = [(name, size) for name in WORKLOADS for size in ("tiny", "small")]


def answer(workload_module, name, params, tmp_path):
    """What a client would get: the result after a trip through JSON."""
    if name == "imgproc":
        params = params | {"scratch": str(tmp_path)}
    return json.loads(json.dumps(workload_module(name).main(dict(params))))


@pytest.mark.parametrize(("name", "size"), [*QUICK, ("float", "paper"), ("pagerank", "paper")])
def test_action_answers_what_is_expected(name, size, workload_module, input_data, tmp_path):
    result = answer(workload_module, name, WORKLOADS[name].spec.sizes[size], tmp_path)
    assert mismatch(result, expected(WORKLOADS[name], size)) == ""


@pytest.mark.parametrize(("name", "size"), [*QUICK, ("float", "paper"), ("chameleon", "paper")])
def test_expected_result_is_the_oracles(name, size, workload_module, input_data):
    params = WORKLOADS[name].spec.sizes[size]
    computed = workload_module(name, "oracle").expected(params)
    assert mismatch(computed, Expected(expected(WORKLOADS[name], size).result, 1e-14)) == ""


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_size_has_an_expected_result(name):
    assert {"tiny", "small", "paper"} <= WORKLOADS[name].spec.sizes.keys()
    for size in WORKLOADS[name].spec.sizes:
        assert expected(WORKLOADS[name], size).result


@pytest.mark.parametrize("name", WORKLOADS)
def test_second_request_in_the_same_process_answers_alike(name, workload_module, input_data, tmp_path):
    params = WORKLOADS[name].spec.sizes["tiny"]
    first = answer(workload_module, name, params, tmp_path)
    assert answer(workload_module, name, params, tmp_path) == first


@pytest.mark.parametrize("name", ["matmul", "pagerank"])
def test_seed_decides_the_result(name, workload_module, tmp_path):
    params = WORKLOADS[name].spec.sizes["tiny"] | {"seed": 43}
    result = answer(workload_module, name, params, tmp_path)
    assert mismatch(result, expected(WORKLOADS[name], "tiny"))
    assert mismatch(result, Expected(workload_module(name, "oracle").expected(params), 1e-9)) == ""


def test_pagerank_agrees_with_the_value_that_sebs_states():
    assert expected(WORKLOADS["pagerank"], "paper").result["result"] == pytest.approx(0.00121224809, rel=1e-8)


def leaves(value, path=()):
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    else:
        yield path


def altered(value):
    if isinstance(value, str):
        return ("x" if value[0] != "x" else "y") + value[1:]
    return value * 1.05 + 0.001 if isinstance(value, float) else value + 1


@pytest.mark.parametrize("name", WORKLOADS)
def test_one_altered_element_anywhere_is_a_mismatch(name):
    due = expected(WORKLOADS[name], "small")
    for path in leaves(due.result):
        corrupt = copy.deepcopy(due.result)
        holder = corrupt
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = altered(holder[path[-1]])
        assert "result" + "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in path) in mismatch(
            corrupt, due
        )


@pytest.mark.parametrize("name", WORKLOADS)
def test_missing_or_additional_element_is_a_mismatch(name):
    due = expected(WORKLOADS[name], "small")
    for key in due.result:
        assert mismatch({k: v for k, v in due.result.items() if k != key}, due) == f"result lacks: '{key}'"
    assert mismatch(due.result | {"extra": 1}, due) == "result has too much: 'extra'"


@pytest.mark.parametrize(
    ("actual", "due"),
    [
        (1, True),
        (True, 1),
        (True, 1.0),
        ("1.0", 1.0),
        (1.0, 1),
        (None, {"a": 1}),
        ([1], [1, 2]),
        ([1, 2, 3], [1, 2]),
        ({"a": 1}, [1]),
        (float("nan"), 1.0),
        (1.0 + 1e-6, 1.0),
    ],
)
def test_other_types_and_shapes_are_mismatches(actual, due):
    assert mismatch(actual, Expected(due, 1e-9))


def test_floats_may_differ_within_the_tolerance():
    assert mismatch([1.0 + 1e-12, 2], Expected([1.0, 2], 1e-9)) == ""
    assert mismatch(1, Expected(1.0)) == ""  # "1.0" written without its fraction


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"<html>no</html>", b"[" * 100_000])
def test_garbage_body_is_a_one_line_reason(body):
    reason = mismatch_in_body(body, Expected({"a": 1}))
    assert reason
    assert "\n" not in reason
    assert len(reason) < 200


def test_wrong_result_is_an_error_that_names_the_action():
    with pytest.raises(WrongResultError, match=r"'hello' answered wrongly: result\.greeting is 'Bye'"):
        verify({"greeting": "Bye"}, expected(WORKLOADS["hello"], "tiny"), "hello")


def test_stale_expected_result_is_refused(tmp_path):
    hello = WORKLOADS["hello"]
    moved = Workload("hello", tmp_path, hello.spec)
    entry = {"tiny": {"params": {"name": "moon"}, "result": {"greeting": "Hello, moon!"}}}
    (tmp_path / "expected.json").write_text(json.dumps(entry))
    with pytest.raises(ConfigError, match="other parameters"):
        expected(moved, "tiny")
    with pytest.raises(ConfigError, match="no expected result for size 'small'"):
        expected(moved, "small")
    with pytest.raises(ConfigError, match="no size 'huge'"):
        expected(moved, "huge")
