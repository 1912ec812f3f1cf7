"""Describe the commands of typer to argparse, whose help all other commands of zserve have.

typer reads the command line. argparse prints what it accepts, in the form of `zserve serve --help`,
and the same description makes the completions of `zserve completion`.
"""

import argparse
import inspect
from enum import Enum
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup


class DescribedCommand(TyperCommand):
    """A command whose help looks like that of the other commands of zserve."""

    def get_help(self, ctx: Any) -> str:
        """Return the text of --help."""
        parser = argparse.ArgumentParser(
            prog=ctx.command_path,
            description=_text(self),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_parameters(parser, self)
        return parser.format_help().rstrip()


class DescribedGroup(TyperGroup):
    """A group of commands whose help looks like that of the other commands of zserve."""

    def get_help(self, ctx: Any) -> str:
        """Return the text of --help."""
        parser = argparse.ArgumentParser(prog=ctx.command_path, description=_text(self))
        add_commands(parser, self)
        return parser.format_help().rstrip()


def add_commands(parser: argparse.ArgumentParser, group: TyperGroup) -> None:
    """Add the commands of a group, with their parameters, as subcommands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in group.commands.items():
        subparser = commands.add_parser(name, help=summary(command), description=_text(command))
        add_description(subparser, command)


def add_description(parser: argparse.ArgumentParser, command: Any) -> None:
    """Add what a command of typer takes: its parameters, or the commands of a group."""
    if isinstance(command, TyperGroup):
        add_commands(parser, command)
    else:
        add_parameters(parser, command)


def add_parameters(parser: argparse.ArgumentParser, command: Any) -> None:
    """Add the arguments and options of a command."""
    for parameter in command.params:
        if parameter.hidden:
            continue
        if isinstance(parameter, TyperArgument):
            _add_argument(parser, parameter)
        else:
            _add_option(parser, parameter)


def summary(command: Any) -> str:
    """Return the first sentence of a command, lower case and without a full stop."""
    first = _text(command).partition("\n")[0].partition(". ")[0].rstrip(".")
    return _escaped(_begin_small(first))


def _begin_small(text: str) -> str:
    """Return a sentence with a small first letter, unless its first word is one such as CPU."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _text(command: Any) -> str:
    return _escaped(inspect.cleandoc(command.help or ""))


def _add_argument(parser: argparse.ArgumentParser, argument: TyperArgument) -> None:
    name = (argument.metavar or argument.name or "").removesuffix("...")
    if name.startswith("["):
        name = name.removeprefix("[").removesuffix("]")
    many = argument.nargs == -1
    parser.add_argument(
        argument.name or name,
        metavar=name,
        nargs=("+" if argument.required else "*") if many else (None if argument.required else "?"),
        help=_escaped(argument.help or ""),
    )


def _add_option(parser: argparse.ArgumentParser, option: Any) -> None:
    text = _option_text(option)
    if option.is_flag:
        parser.add_argument(*option.opts, action="store_true", dest=option.name, help=text)
        if option.secondary_opts:
            parser.add_argument(
                *option.secondary_opts,
                action="store_false",
                dest=option.name,
                help=f"the opposite of {option.opts[0]}",
            )
        return
    choices = option.type_descriptor.choices
    parser.add_argument(
        *option.opts,
        dest=option.name,
        metavar=option.metavar or (None if choices else (option.name or "").upper()),
        choices=None if choices is None else [_value(choice) for choice in choices],
        required=option.required,
        help=text,
    )


def _option_text(option: Any) -> str:
    """Return the help of an option in the form of the other commands: lower case, with its default."""
    text = _begin_small((option.help or "").rstrip("."))
    if option.default not in (None, False) and "default" not in text:
        default = option.opts[0] if option.default is True else _value(option.default)
        text = f"{text} (default: {default})"
    return _escaped(text)


def _value(choice: object) -> str:
    return str(choice.value if isinstance(choice, Enum) else choice)


def _escaped(text: str) -> str:
    """Return a text in which argparse finds no format."""
    return text.replace("%", "%%")


def add_options_of(parser: argparse.ArgumentParser, app: typer.Typer, name: str) -> None:
    """Add what one command of an application takes."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101 - an application with several commands
    add_description(parser, group.commands[name])
