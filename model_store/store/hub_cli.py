"""Push to a repository of the Hugging Face hub, and pull from one, for the commands of the store."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from model_store.command_line import counted
from model_store.errors import CorruptVersionError, InvalidAddressError, PublishError
from model_store.spec import PRODUCTION
from model_store.store.hub import is_hub
from model_store.store.hub_push import push_version
from model_store.store.store import Store
from model_store.store.transfer import select


def split_address(arguments: Sequence[str], option: str | None, name: str) -> tuple[str, list[str]]:
    """Return the other store and the references: the store may stand among them if it is hf://.

    Raises InvalidAddressError unless there is exactly one.
    """
    addresses = [each for each in arguments if is_hub(each)]
    references = [each for each in arguments if not is_hub(each)]
    stores = [*addresses, *([] if option is None else [option])]
    if len(stores) != 1:
        problem = "no store is" if not stores else "several stores are"
        raise InvalidAddressError(f"{problem} named; write {name} STORE, or hf://org/name")
    return stores[0], references


def push_to_hub(
    store: Store, url: str, references: Iterable[str], license_id: str, private_key: Path | None
) -> int:
    """Push versions, each as a commit with a tag and perhaps signed; return the exit status."""
    refs = select(store, references)
    if len({ref.name for ref in refs}) > 1:
        raise InvalidAddressError(
            f"{url} holds the versions of one model; name it: models push NAME[@VERSION] {url}"
        )
    pushed, failed = 0, 0
    for ref in refs:
        try:
            if push_version(store, ref, url, license_id=license_id, private_key=private_key):
                pushed += 1
                print(f"pushed  {ref} to {url}", flush=True)
        except (CorruptVersionError, PublishError) as error:
            failed += 1
            print(f"FAILED  {error}", flush=True)
    there = len(refs) - pushed - failed
    print(f"{counted(pushed, 'version')} pushed from {store} to {url}, {there} were there already")
    return 1 if failed else 0


def pulled_references(source: Store, references: Sequence[str]) -> list[str]:
    """Return the references to pull: without any, the version of main or of the revision."""
    if references:
        return list(references)
    return [f"{name}@{PRODUCTION}" for name in source.names()]
