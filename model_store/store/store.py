"""Names -> versions -> aliases, in a local folder.

    <root>/<name>/<version>/      one immutable version, see version.py
    <root>/<name>/aliases.json    {"production": 3}; the only file that ever changes

A version appears by the renaming of a filled sibling folder, so a reader sees all of it or
nothing, and two publishers cannot take the same number. Until an alias `production` is set, it
means the oldest version: publishing never changes what is served, promoting does.
"""

import contextlib
import errno
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from model_store.class_latents import NO_CLASSES, ClassLatents
from model_store.errors import (
    AliasNotFoundError,
    InvalidReferenceError,
    ManifestError,
    ModelNotFoundError,
    PublishError,
    StoreError,
    VersionNotFoundError,
)
from model_store.spec import PRODUCTION, Alias, Description, Manifest, ModelRef, Name
from model_store.store import version as version_files
from model_store.vae.model import VAE, build_vae

SHIPPED = Path(__file__).resolve().parents[2] / "weights"
"""The store that comes with zserve."""

_STAGING = ".publishing-"
_ABANDONED_AFTER_S = 24 * 3600
_NAME = TypeAdapter(Name)
_ALIAS = TypeAdapter(Alias)
_ALIASES = TypeAdapter(dict[Alias, int])


@dataclass(frozen=True)
class StoredModel:
    """One version, loaded: what it is, and the network in evaluation mode on the CPU."""

    manifest: Manifest
    vae: VAE
    class_latents: ClassLatents = NO_CLASSES
    """One mixture a class, in the order of `manifest.classes`; none where it has none."""


class Store:
    """The models under one folder. Cheap to make; holds no state but the path."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # --- finding ---

    def names(self) -> tuple[str, ...]:
        """Names that have at least one version, sorted."""
        if not self.root.is_dir():
            return ()
        folders = (entry.name for entry in self.root.iterdir() if entry.is_dir())
        return tuple(sorted(name for name in folders if _is_name(name) and self._versions(name)))

    def versions(self, name: str) -> tuple[int, ...]:
        """Versions of a model, ascending; raises ModelNotFoundError."""
        versions = self._versions(name) if _is_name(name) else ()
        if not versions:
            known = ", ".join(self.names()) or "none"
            raise ModelNotFoundError(f"no model {name[:80]!r} in the store; it holds: {known}")
        return versions

    def aliases(self, name: str) -> dict[str, int]:
        """Alias -> version, with `production` always among them."""
        oldest = self.versions(name)[0]
        return {PRODUCTION: oldest} | self._read_aliases(name)

    def resolve(self, ref: ModelRef) -> ModelRef:
        """The same reference with its version; raises NotFoundError."""
        versions = self.versions(ref.name)
        version = ref.version
        if version is None:
            aliases = self.aliases(ref.name)
            alias = ref.alias or PRODUCTION
            if alias not in aliases:
                raise AliasNotFoundError(
                    f"{ref.name} has no alias {alias!r}; it has {', '.join(sorted(aliases))}"
                )
            version = aliases[alias]
        if version not in versions:
            raise VersionNotFoundError(
                f"{ref.name} has no version {version}; "
                f"it has {', '.join(str(known) for known in versions)}"
            )
        return ModelRef(name=ref.name, version=version)

    # --- reading ---

    def manifest(self, ref: ModelRef) -> Manifest:
        """What a version is; raises NotFoundError, ManifestError."""
        return version_files.read_manifest(self._folder(ref))

    def load(self, ref: ModelRef) -> StoredModel:
        """A version with its weights, checked; raises NotFoundError, CorruptVersionError."""
        folder = self._folder(ref)
        manifest = version_files.read_manifest(folder)
        weights = version_files.read_weights(folder, manifest)
        class_latents = version_files.read_class_latents(folder, manifest)
        return StoredModel(manifest, build_vae(manifest.spec, weights), class_latents)

    def figure(self, ref: ModelRef, figure: str) -> bytes:
        """The PNG of a figure, such as `samples`; raises NotFoundError, CorruptVersionError."""
        folder = self._folder(ref)
        return version_files.read_figure(folder, version_files.read_manifest(folder), figure)

    def card(self, ref: ModelRef) -> str:
        """The card of a version, Markdown."""
        folder = self._folder(ref)
        return version_files.read_file(
            folder, version_files.read_manifest(folder), version_files.CARD
        ).decode()

    def verify(self, ref: ModelRef) -> Manifest:
        """Check every file and every tensor of a version; raises CorruptVersionError."""
        folder = self._folder(ref)
        manifest = version_files.read_manifest(folder)
        version_files.read_weights(folder, manifest)
        version_files.read_class_latents(folder, manifest)
        for filename in manifest.files:
            version_files.read_file(folder, manifest, filename)
        return manifest

    # --- writing ---

    def publish(
        self,
        name: str,
        description: Description,
        weights: Mapping[str, Tensor],
        *,
        card: Callable[[ModelRef], str],
        figures: Mapping[str, bytes] | None = None,
        class_latents: ClassLatents = NO_CLASSES,
    ) -> Manifest:
        """Add a version and return its manifest; after any error the store is as it was.

        `card` writes the card once the version is known; `figures` maps names without `.png` to
        PNG files; `class_latents` is empty or has a mixture for each class of the description.
        Raises ShapeError or NonFiniteError for what could not be loaded again,
        InvalidReferenceError for a bad name, PublishError where the disk refuses.
        """
        _check_name(name)
        version_files.check_weights(name, description.spec, weights)
        files = {f"{figure}.png": png for figure, png in (figures or {}).items()}
        files[version_files.WEIGHTS] = version_files.to_bytes(weights)
        if class_latents:
            version_files.check_class_latents(name, description, class_latents)
            files[version_files.CLASS_LATENTS] = version_files.class_latents_to_bytes(class_latents)
        parent = self.root / name
        try:
            with _staging_folder(parent) as staging:
                for filename, content in files.items():
                    version_files.write_durably(staging / filename, content)
                return self._take_next_version(name, description, staging, files, card)
        except OSError as error:
            raise PublishError(
                f"cannot publish {name} in {self.root}: {error.strerror or error}; "
                "the store is as it was"
            ) from error

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version, atomically; promotion and roll-back alike."""
        self.resolve(ModelRef(name=name, version=version))
        try:
            _ALIAS.validate_python(alias)
        except ValidationError as error:
            raise InvalidReferenceError(
                f"{alias[:80]!r} is not an alias; use letters, digits, - and _, a letter first"
            ) from error
        folder = self.root / name
        try:
            with FileLock(folder / ".aliases.lock"):
                aliases = self._read_aliases(name) | {alias: version}
                text = json.dumps(aliases, indent=2, sort_keys=True) + "\n"
                temporary = folder / ".aliases.json.new"
                version_files.write_durably(temporary, text.encode())
                temporary.replace(folder / "aliases.json")
                version_files.sync_folder(folder)
        except OSError as error:
            raise StoreError(
                f"cannot set {name}@{alias} in {self.root}: {error.strerror or error}"
            ) from error

    # --- inside ---

    def _folder(self, ref: ModelRef) -> Path:
        return self.root / ref.name / str(self.resolve(ref).version)

    def _versions(self, name: str) -> tuple[int, ...]:
        try:
            entries = [entry.name for entry in (self.root / name).iterdir()]
        except OSError:
            return ()
        return tuple(sorted(int(entry) for entry in entries if _is_version(entry)))

    def _read_aliases(self, name: str) -> dict[str, int]:
        path = self.root / name / "aliases.json"
        try:
            return _ALIASES.validate_json(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise ManifestError(f"{name}: aliases.json is unreadable: {error}") from error

    def _take_next_version(
        self,
        name: str,
        description: Description,
        staging: Path,
        files: Mapping[str, bytes],
        card: Callable[[ModelRef], str],
    ) -> Manifest:
        """Complete the staged files with card and manifest, and rename: the moment it exists."""
        parent = self.root / name
        version = max(self._versions(name), default=0)
        while True:
            version += 1
            ref = ModelRef(name=name, version=version)
            complete = {**files, version_files.CARD: card(ref).encode()}
            manifest = Manifest(
                **dict(description),
                name=name,
                version=version,
                created_at=datetime.now(UTC).replace(microsecond=0),
                files={file: version_files.record(complete[file]) for file in sorted(complete)},
            )
            text = manifest.model_dump_json(indent=2) + "\n"
            version_files.write_durably(staging / version_files.CARD, complete[version_files.CARD])
            version_files.write_durably(staging / version_files.MANIFEST, text.encode())
            version_files.sync_folder(staging)
            if _rename_unless_taken(staging, parent / str(version)):
                return manifest


@contextlib.contextmanager
def _staging_folder(parent: Path) -> Iterator[Path]:
    """A fresh sibling of the versions, gone afterwards whatever happens."""
    staging = parent / f"{_STAGING}{uuid.uuid4().hex}"
    staging.mkdir(parents=True)
    _sweep_abandoned(parent)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with contextlib.suppress(OSError):
            parent.rmdir()  # only succeeds where a first publish failed and left nothing


def _sweep_abandoned(parent: Path) -> None:
    """Remove what publishers that were killed have left; readers never looked at it."""
    for folder in parent.glob(f"{_STAGING}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(folder)


def _rename_unless_taken(staging: Path, target: Path) -> bool:
    """Whether the folder has its final name, durably; False where another publisher has it."""
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    try:
        version_files.sync_folder(target.parent)
    except OSError:
        target.rename(staging)
        raise
    return True


def _is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise InvalidReferenceError(
            f"{name[:80]!r} is not a model name; use a-z, 0-9, '.', '_' and '-', "
            "a letter or digit first, at most 63"
        )


def _is_version(entry: str) -> bool:
    return entry.isascii() and entry.isdigit() and not entry.startswith("0")
