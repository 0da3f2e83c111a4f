"""Options by their former names, in every command that had others."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from pose_tracking.cli.former_options import ATTRIBUTE, CommandWithFormerOptions, formerly
from pose_tracking.cli.main import build


def run(*words: str) -> tuple[str, str]:
    app = typer.Typer()

    @app.command(cls=CommandWithFormerOptions)
    @formerly(lr="learning-rate")
    def command(learning_rate: float = 0.5, names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
        typer.echo(f"{learning_rate} {names}")

    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


@pytest.mark.parametrize("words", [("--lr", "0.1"), ("--lr=0.1",)])
def test_a_former_name_is_taken_with_a_warning_that_names_the_new_one(words: tuple[str, ...]) -> None:
    out, warning = run(*words)
    assert out.startswith("0.1 ")
    assert "--lr is now called --learning-rate" in warning


def test_the_name_of_today_is_taken_silently() -> None:
    assert run("--learning-rate", "0.1") == ("0.1 None\n", "")
    assert run("--", "--lr") == ("0.5 ['--lr']\n", "")


def commands(group: Any, path: str = "") -> dict[str, Any]:
    if not hasattr(group, "commands"):
        return {path: group}
    return {k: v for name, command in group.commands.items() for k, v in commands(command, f"{path} {name}").items()}


def test_options_of_version_0_1_0_lead_to_options_of_today() -> None:
    """A former name is not an option any more, and what it stands for is one."""
    renamed = {}
    for path, command in commands(typer.main.get_command(build())).items():
        options = {name for parameter in command.params for name in parameter.opts}
        for old, new in getattr(command.callback, ATTRIBUTE, {}).items():
            assert isinstance(command, CommandWithFormerOptions)
            assert new in options
            assert old not in options
            renamed[f"{path} {old}"] = new
    assert (
        renamed.items()
        >= {
            " train segmentation --batch": "--batch-size",
            " train pose --lr": "--learning-rate",
            " train pose --out": "--run-dir",
            " calibrate --out": "--run-dir",
        }.items()
    )


def test_training_commands_share_names() -> None:
    found = commands(typer.main.get_command(build()))
    for name in ("segmentation", "pose"):
        options = {o for parameter in found[f" train {name}"].params for o in parameter.opts}
        assert options >= {"--batch-size", "--learning-rate", "--run-dir", "--frozen-groups", "--threads", "--seed"}
