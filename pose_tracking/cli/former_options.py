"""Options by the names they had in the version before: still taken, with a warning that names the new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

Function = TypeVar("Function", bound=Callable[..., object])
ATTRIBUTE = "former_options"


def formerly(**names: str) -> Callable[[Function], Function]:
    """Decorate a command: ``@formerly(lr="learning-rate")`` takes ``--lr`` for ``--learning-rate``.

    The command must be registered with ``cls=CommandWithFormerOptions``.
    """

    def mark(function: Function) -> Function:
        setattr(function, ATTRIBUTE, {f"--{old}": f"--{new}" for old, new in names.items()})
        return function

    return mark


class CommandWithFormerOptions(TyperCommand):
    """A command that reads its options under their former names too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse `args` with today's names in place of former ones."""
        known: dict[str, str] = getattr(self.callback, ATTRIBUTE, {})
        renamed = []
        for number, word in enumerate(args):
            if word == "--":  # what follows is no option
                renamed += args[number:]
                break
            name, equals, value = word.partition("=")
            if name in known:
                typer.echo(
                    f"pose-tracking: warning: {name} is now called {known[name]}; the old name goes with the next "
                    "version",
                    err=True,
                )
                word = known[name] + equals + value
            renamed.append(word)
        return super().parse_args(ctx, renamed)
