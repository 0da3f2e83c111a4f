from __future__ import annotations

import logging
from dataclasses import dataclass, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.core.config import current_name, from_mapping, option, validate
from pose_tracking.core.errors import ConfigError, PoseTrackingError


@dataclass(frozen=True)
class Inner:
    rate: float = option(1.0, "rate", unit="Hz", range=(0.0, 10.0))
    mode: str = option("slow", "mode", choices=("slow", "fast"))


@dataclass(frozen=True)
class Outer:
    count: int = option(3, "count", range=(1, 5), runtime=True)
    flag: bool = option(False, "flag")
    limit: float | None = option(None, "limit", range=(0.0, 1.0))
    pair: tuple[float, float] = option((0.0, 1.0), "pair", range=(-1.0, 1.0))
    names: list[str] = option([], "names")
    table: dict[int, str] = option({}, "table")
    inner: Inner = option(Inner(), "inner")


def test_empty_mapping_gives_the_defaults() -> None:
    assert from_mapping(Outer, {}, "x.yaml") == Outer()


def test_values_are_read_and_widened() -> None:
    config = from_mapping(
        Outer,
        {
            "count": 5,
            "flag": True,
            "limit": 1,
            "pair": [0, 1],
            "names": ["a"],
            "table": {1: "one"},
            "inner": {"rate": 2, "mode": "fast"},
        },
        "x.yaml",
    )
    assert config == Outer(5, True, 1.0, (0.0, 1.0), ["a"], {1: "one"}, Inner(2.0, "fast"))
    assert isinstance(config.limit, float)
    assert isinstance(config.pair, tuple)
    assert isinstance(config.inner.rate, float)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cuont": 3}, ["x.yaml", "'cuont'", "count"]),
        ({"count": 9}, ["count", "9", "1 to 5"]),
        ({"count": "3"}, ["count", "'3'", "int"]),
        ({"count": 3.0}, ["count", "3.0", "int"]),
        ({"count": True}, ["count", "True", "int"]),
        ({"flag": 1}, ["flag", "1", "bool"]),
        ({"limit": 2.0}, ["limit", "2.0", "0 to 1"]),
        ({"limit": "a"}, ["limit", "'a'"]),
        ({"pair": [0.0]}, ["pair", "2 entries"]),
        ({"pair": [0.0, 7.0]}, ["pair", "-1 to 1"]),
        ({"pair": 1.0}, ["pair", "not a list"]),
        ({"names": [1]}, ["names", "1", "str"]),
        ({"table": [1]}, ["table", "not a mapping"]),
        ({"inner": {"rate": 11.0}}, ["inner", "rate", "11.0", "0 to 10 Hz"]),
        ({"inner": {"mode": "medium"}}, ["inner", "mode", "'medium'", "slow, fast"]),
        ({"inner": {"speed": 1}}, ["x.yaml.inner", "'speed'", "rate"]),
        ({"inner": 3}, ["x.yaml.inner", "mapping", "3"]),
        ([], ["x.yaml", "mapping"]),
    ],
)
def test_a_wrong_value_is_named(values: object, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping(Outer, values, "x.yaml")  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_null_stands_for_none_only_where_it_may() -> None:
    assert from_mapping(Outer, {"limit": None}, "x").limit is None
    with pytest.raises(ConfigError):
        from_mapping(Outer, {"count": None}, "x")


def test_mutable_defaults_are_not_shared() -> None:
    first, second = Outer(), Outer()
    first.names.append("x")
    assert second.names == []


def test_metadata_reaches_the_fields() -> None:
    metadata = {f.name: f.metadata for f in fields(Outer)}
    assert metadata["count"]["range"] == (1, 5)
    assert metadata["count"]["runtime"]
    assert not metadata["flag"]["runtime"]
    assert {f.name: f.metadata["unit"] for f in fields(Inner)} == {"rate": "Hz", "mode": ""}


@given(st.floats(allow_nan=False))
def test_validate_accepts_exactly_the_range(value: float) -> None:
    if 0.0 <= value <= 10.0:
        validate(Inner(rate=value))
    else:
        with pytest.raises(ConfigError, match="rate"):
            validate(Inner(rate=value))


def test_not_a_number_is_out_of_range() -> None:
    with pytest.raises(ConfigError, match="rate"):
        validate(Inner(rate=float("nan")))


def test_a_config_error_is_the_users_to_mend() -> None:
    assert issubclass(ConfigError, PoseTrackingError)


@dataclass(frozen=True)
class Renamed:
    rate: float = option(1.0, "rate", range=(0.0, 10.0), formerly="speed")
    inner: Inner = option(Inner(), "inner", formerly="group")
    other: int = option(0, "other")


def test_former_names_are_read_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    values = {"speed": 2, "group": {"rate": 3.0}}
    for _ in range(2):
        assert from_mapping(Renamed, values, "old.yaml") == Renamed(2.0, Inner(3.0))
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [
        "old.yaml: option 'speed' is now called 'rate'; the old name goes with the next version",
        "old.yaml: option 'group' is now called 'inner'; the old name goes with the next version",
    ]
    assert set(values) == {"speed", "group"}


def test_a_former_name_is_checked_like_the_new_one() -> None:
    with pytest.raises(ConfigError, match="rate = 11.0 is outside 0 to 10"):
        from_mapping(Renamed, {"speed": 11.0}, "checked.yaml")


@pytest.mark.parametrize("values", [{"speed": 2, "rate": 2}, {"group": {}, "inner": {}}])
def test_old_and_new_name_together_are_an_error(values: dict[str, object]) -> None:
    old, new = values
    with pytest.raises(ConfigError, match=f"'{old}' is the former name of '{new}': state one of them"):
        from_mapping(Renamed, values, "both.yaml")


def test_names_that_were_never_others_give_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert [current_name(Renamed, name, "same.yaml") for name in ("rate", "other", "unknown", "")] == [
        "rate", "other", "unknown", "",
    ]  # fmt: skip
    from_mapping(Renamed, {"rate": 2, "other": 1}, "same.yaml")
    assert not caplog.records


def test_keys_of_several_types_are_named_too() -> None:
    with pytest.raises(ConfigError, match="unknown option 1"):
        from_mapping(Outer, {"x": 3, 1: 2}, "x.yaml")  # type: ignore[dict-item]
