"""The subcommands of `zserve` that work without a service: serving, training, the store.

pyproject.toml registers each of them in the group of entry points `zserve.commands`. Packages are
imported when a command runs, so that `zserve --help` stays quick.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A subcommand that another package can register in the same way, also as a plain function.

    Attributes:
        summary: One line for `zserve --help`; lower case, without a full stop.
        run: Takes the arguments after the name, and returns the exit status.
        add_options: Adds what the command accepts to a parser, from which completions are made.
    """

    summary: str
    run: Callable[[Sequence[str]], int]
    add_options: Callable[[ArgumentParser], None] | None = None

    def __call__(self, arguments: Sequence[str]) -> int:
        """Run the command."""
        return self.run(arguments)


# --- the service -------------------------------------------------------------------------------


def _serve(arguments: Sequence[str]) -> int:
    # The module sets the number of threads, before numpy is imported.
    from app import __main__ as service  # noqa: PLC0415 - see the module's docstring

    return service.main(arguments, prog="zserve serve")


def _serve_options(parser: ArgumentParser) -> None:
    from app.server.cli import add_options  # noqa: PLC0415

    add_options(parser)


def _doctor(arguments: Sequence[str]) -> int:
    from app.server.doctor import main  # noqa: PLC0415

    return main(arguments, prog="zserve doctor")


def _doctor_options(parser: ArgumentParser) -> None:
    from app.server.doctor import add_options  # noqa: PLC0415

    add_options(parser)


serve = Command("serve the models of a store over HTTP", _serve, _serve_options)
doctor = Command("look for what is wrong, and say what to do", _doctor, _doctor_options)


# --- the store ---------------------------------------------------------------------------------


def _of_store(name: str) -> Command:
    """Return the command `zserve models NAME`."""

    def run(arguments: Sequence[str]) -> int:
        from model_store.store.cli import main  # noqa: PLC0415

        return main([name, *arguments], prog="zserve models")

    def add_options(parser: ArgumentParser) -> None:
        from model_store.store import cli  # noqa: PLC0415

        cli.add_options(parser, name)

    return Command(_STORE_COMMANDS[name], run, add_options)


_STORE_COMMANDS = {
    "list": "list the versions of a store: quality, size, age",
    "show": "print the card of a version",
    "verify": "check every file and every weight",
    "promote": "point an alias at a version, or roll back",
    "push": "copy versions to another store",
    "pull": "copy versions from another store",
    "sync": "copy all versions and aliases to another store",
    "seal": "add the checksum over the whole version to one that has none",
    "resolve": "print the version that a reference means now",
    "rm": "remove versions that no alias names",
    "rename": "give a model another name",
    "prune": "remove versions that no alias names and that are not the newest",
}
models_list = _of_store("list")
models_show = _of_store("show")
models_verify = _of_store("verify")
models_promote = _of_store("promote")
models_push = _of_store("push")
models_pull = _of_store("pull")
models_sync = _of_store("sync")
models_seal = _of_store("seal")
models_resolve = _of_store("resolve")
models_rm = _of_store("rm")
models_rename = _of_store("rename")
models_prune = _of_store("prune")


def _export(arguments: Sequence[str]) -> int:
    from model_store.exporting.cli import main  # noqa: PLC0415

    return main(arguments, prog="zserve models export")


def _export_options(parser: ArgumentParser) -> None:
    from model_store.exporting.cli import add_options  # noqa: PLC0415

    add_options(parser)


def _import(arguments: Sequence[str]) -> int:
    from model_store.importing.cli import main  # noqa: PLC0415

    return main(arguments, prog="zserve models import")


def _import_options(parser: ArgumentParser) -> None:
    from model_store.importing.cli import add_options  # noqa: PLC0415

    add_options(parser)


models_export = Command("write a version as ONNX or PyTorch", _export, _export_options)
models_import = Command("publish a model that was made elsewhere", _import, _import_options)


# --- models in this process --------------------------------------------------------------------


def _latents(arguments: Sequence[str]) -> int:
    from zserve.latents_command import main  # noqa: PLC0415

    return main(arguments)


def _latents_options(parser: ArgumentParser) -> None:
    from zserve.latents_command import add_options  # noqa: PLC0415

    add_options(parser)


def _mcp(arguments: Sequence[str]) -> int:
    from zserve.mcp_command import main  # noqa: PLC0415

    return main(arguments)


def _mcp_options(parser: ArgumentParser) -> None:
    from zserve.mcp_command import add_options  # noqa: PLC0415

    add_options(parser)


latents = Command("write the latents of many images as a table", _latents, _latents_options)
mcp = Command("offer tools that return images to agents, over stdin and stdout", _mcp, _mcp_options)


# --- training ----------------------------------------------------------------------------------


def _of_training(name: str, summary: str) -> Command:
    """Return the command `zserve NAME`, which needs what the extra `train` installs."""

    def run(arguments: Sequence[str]) -> int:
        from training.__main__ import main  # noqa: PLC0415

        return main([name, *arguments])

    def add_options(parser: ArgumentParser) -> None:
        from training.cli.app import app  # noqa: PLC0415
        from training.cli.described import add_options_of  # noqa: PLC0415

        add_options_of(parser, app, name)

    return Command(summary, run, add_options)


train = _of_training("train", "train a preset or on a folder of images, and publish a version")
evaluate = _of_training("evaluate", "measure a version again, and check its card")
compare = _of_training("compare", "compare versions: a table of numbers, and figures")
tune = _of_training("tune", "search for better settings of a preset")
presets = _of_training("presets", "list what can be trained")
publish = _of_training("publish", "publish a run again")
republish = _of_training("republish", "measure a version again, and publish it")
complete = _of_training("complete", "publish a version with the measured parts that it lacks")
judge = _of_training("judge", "train the classifiers that judge samples")
data = _of_training("data", "draw data sets from packages with an open licence")
