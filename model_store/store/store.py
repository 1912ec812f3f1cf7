"""Names -> versions -> aliases, in one backend, or in two folders that are read as one.

    <name>/<version>/      one immutable version, see version.py
    <name>/aliases.json    {"production": 3}; the only file that ever changes

Readers see all of a version or nothing, see backend.py. Until an alias `production` is set, the
oldest version counts as production: publishing never changes what is served, promoting does.

With a second, shipped folder, names and versions are those of both. Versions and aliases are
written to the first folder only, whose aliases take precedence.
"""

import codecs
import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from model_store import snapshots as training_snapshots
from model_store import typicality as typicality_tables
from model_store.arithmetic import golden as golden_hashes
from model_store.arithmetic.golden import ExecutorName
from model_store.arithmetic.program import ExactNetwork
from model_store.arithmetic.proof import prove
from model_store.class_latents import NO_CLASSES, ClassLatents
from model_store.compression import pixels as pixel_tables
from model_store.compression.pixels import CountedPixels, LogWeights
from model_store.directions import NO_DIRECTIONS, Directions
from model_store.encoded_images import EncodedImages
from model_store.errors import (
    AliasNotFoundError,
    CorruptVersionError,
    InvalidReferenceError,
    ManifestError,
    ModelNotFoundError,
    PublishError,
    StoreBusyError,
    StoreError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from model_store.network_size import excess
from model_store.snapshots import Snapshots
from model_store.spec import (
    PRODUCTION,
    Alias,
    Arithmetic,
    Description,
    FileRecord,
    Manifest,
    ModelRef,
    ModelSpec,
    Name,
    Onnx,
)
from model_store.store import signing
from model_store.store import version as version_files
from model_store.store.backend import ALIASES, Backend, VersionFiles
from model_store.store.cached import Cached
from model_store.store.checksums import CHECKSUMS, MANIFEST, MAX_MANIFEST_BYTES, checksums
from model_store.store.folder import Folder
from model_store.store.hub import Hub
from model_store.store.objects import Objects
from model_store.store.publishing import add_version
from model_store.store.signing import SIGNATURE
from model_store.store.tensors import Array, Weights, to_arrays, to_safetensors
from model_store.typicality import Typicality

LOCK_TIMEOUT_S = 10.0
"""Longest time (s) that setting an alias waits for other processes that set one."""

_MOST_LISTED = 20
"""Names, aliases or versions in a message; a store may have thousands."""
_NAME = TypeAdapter(Name)
_ALIAS = TypeAdapter(Alias)
_ALIASES = TypeAdapter(dict[Alias, int])


@dataclass(frozen=True, eq=False)
class StoredModel:
    """One version, read and checked.

    `model_store.vae.build_vae` builds the network of a float version from `weights`, and
    `model_store.arithmetic.model.ExactModel` that of an exact version from `network`.

    Attributes:
        manifest: what the version is and how it was made.
        weights: name -> array in the type that the network computes in; empty for an exact version,
            see `Store.float_weights`.
        class_latents: a mixture for each of `manifest.classes`, or NO_CLASSES.
        network: the proved exact network; None for a float version.
        golden: function -> SHA-256 of the exact network's results for the fixed inputs.
        pixels: distributions of grey levels by which images are compressed; None if the version has
            no pixel table.
        directions: vectors of the directions that the manifest describes, or NO_DIRECTIONS.
        typicality: how typical the version's test images are; None if the version has no table.
        encoded_images: latents of test images; None if the version has none.
    """

    manifest: Manifest
    weights: Mapping[str, Array]
    class_latents: ClassLatents = NO_CLASSES
    network: ExactNetwork | None = None
    golden: Mapping[str, str] = field(default_factory=dict)
    pixels: CountedPixels | None = None
    directions: Directions = NO_DIRECTIONS
    typicality: Typicality | None = None
    encoded_images: EncodedImages | None = None

    @property
    def spec(self) -> ModelSpec:
        """Return the spec that the weights fit."""
        return self.manifest.spec


class Store:
    """The models under a folder, or in another backend. Cheap to make; keeps no models in memory.

    Attributes:
        shipped: second folder that is read and never written, or None.
        signed_by: PEM file of a public key; `load` refuses what is not signed by it. None loads all.
    """

    def __init__(self, root: Path | Backend, *, shipped: Path | None = None) -> None:
        self.shipped = shipped
        self.signed_by: Path | None = None
        self._backend: Backend = Folder(root) if isinstance(root, Path) else root
        self._backends = (self._backend,) if shipped is None else (self._backend, Folder(shipped))

    def __str__(self) -> str:
        return " and ".join(str(backend) for backend in self._backends)

    @property
    def root(self) -> Path:
        """Return the folder that is read and written; raises StoreError if it is no folder."""
        if isinstance(self._backend, Folder):
            return self._backend.path
        raise StoreError(f"{self._backend} is not a folder")

    @property
    def in_folder(self) -> bool:
        """Return True if versions are written to a folder, and not to an object store."""
        return isinstance(self._backend, Folder)

    @property
    def unavailable(self) -> str | None:
        """Return why an object store does not answer, if its copies are used, or None."""
        return self._backend.unavailable

    def connect(self) -> None:
        """Ask an object store or the hub for its versions, to see that it answers; a folder is not asked.

        Raises StoreUnavailableError.
        """
        if isinstance(self._backend, Cached | Hub | Objects):
            self._backend.listing()

    def place(self, ref: ModelRef) -> str:
        """Return the path or address of the files of a version, as text for people."""
        return f"{self._backend}/{ref.name}/{ref.version}"

    # --- finding ---

    def names(self) -> tuple[str, ...]:
        """Return the names that have at least one version, sorted."""
        names = {name for backend in self._backends for name in backend.names() if _is_name(name)}
        return tuple(sorted(name for name in names if self._versions(name)))

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the versions of a model, ascending; raises ModelNotFoundError."""
        versions = self._versions(name) if _is_name(name) else ()
        if not versions:
            raise ModelNotFoundError(
                f"no model {name[:80]!r} in the store; it holds: {_listed(self.names())}"
            )
        return versions

    def aliases(self, name: str) -> dict[str, int]:
        """Return alias -> version, `production` included; raises ModelNotFoundError."""
        aliases = {PRODUCTION: self.versions(name)[0]}
        for backend in reversed(self._backends):
            aliases |= _read_aliases(backend, name)
        return aliases

    def resolve(self, ref: ModelRef) -> ModelRef:
        """Return the version that a reference means now; raises NotFoundError."""
        versions = self.versions(ref.name)
        version = ref.version
        if version is None:
            aliases = self.aliases(ref.name)
            alias = ref.alias or PRODUCTION
            if alias not in aliases:
                raise AliasNotFoundError(
                    f"{ref.name} has no alias {alias!r}; it has {_listed(sorted(aliases))}"
                )
            version = aliases[alias]
        if version not in versions and not self._has(ref.name, version):
            raise VersionNotFoundError(
                f"{ref.name} has no version {version}; it has {_listed(versions)}"
            )
        return ModelRef(name=ref.name, version=version)

    # --- reading ---

    def manifest(self, ref: ModelRef) -> Manifest:
        """Return the manifest of a version; raises NotFoundError, ManifestError."""
        return version_files.read_manifest(self._files(ref))

    def load(self, ref: ModelRef) -> StoredModel:
        """Read a version, check it, and prove its network if it is exact.

        Raises NotFoundError, CorruptVersionError (of which ProofError is a subclass), and SignatureError
        if `signed_by` is set and the version is not signed by this key.
        """
        version = self._files(ref)
        if self.signed_by is None:
            manifest = version_files.read_manifest(version)
        else:  # the signature covers this manifest, whose checksums the files read below must have
            manifest = self.check_signature(ref, self.signed_by)
        with _refused(manifest.ref):
            files = version_files.read_files(version, manifest)
            network = version_files.parse_network(manifest, files)
            version_files.check_snapshots(manifest, files)
            return StoredModel(
                manifest,
                {} if network else version_files.parse_weights(manifest, files),
                version_files.parse_class_latents(manifest, files),
                network,
                version_files.parse_golden(manifest, files),
                version_files.parse_pixels(manifest, files),
                version_files.parse_directions(manifest, files),
                version_files.parse_typicality(manifest, files),
                version_files.parse_encoded_images(manifest, files),
            )

    def float_weights(self, ref: ModelRef) -> Mapping[str, Array]:
        """Read and check the float weights of a version, also of an exact one.

        Raises FloatWeightsNotFoundError if the version is exact and published without them, and
        NotFoundError, CorruptVersionError.
        """
        files = self._files(ref)
        return version_files.read_float_weights(files, version_files.read_manifest(files))

    def figure(self, ref: ModelRef, figure: str) -> bytes:
        """Return the PNG of a figure such as `samples`; raises NotFoundError, CorruptVersionError."""
        files = self._files(ref)
        return version_files.read_figure(files, version_files.read_manifest(files), figure)

    def file_record(self, ref: ModelRef, filename: str) -> FileRecord:
        """Return size and checksum of a file such as `golden.json`.

        Raises NotFoundError if there is no such version or it lacks the file, and ManifestError.
        """
        return version_files.file_record(self.manifest(ref), filename)

    def file(self, ref: ModelRef, filename: str) -> bytes:
        """Return a file such as `golden.json`; raises NotFoundError, CorruptVersionError."""
        files = self._files(ref)
        manifest = version_files.read_manifest(files)
        with _refused(manifest.ref):
            return version_files.read_listed_file(files, manifest, filename)

    def card(self, ref: ModelRef) -> str:
        """Return the card of a version, Markdown; raises NotFoundError, CorruptVersionError."""
        files = self._files(ref)
        return version_files.read_card(files, version_files.read_manifest(files))

    def sealed(self, ref: ModelRef) -> bool:
        """Return True if the version has SHA256SUMS, so that a change of its manifest is noticed."""
        return version_files.read_checksums(self._files(ref)) is not None

    def verify(self, ref: ModelRef, executors: Sequence[ExecutorName] | None = None) -> Manifest:
        """Check every file and every weight of a version; raises NotFoundError, CorruptVersionError.

        The network of an exact version is proved, and its golden hashes are computed again by each
        of the executors; None means the fastest that is installed. Raises GoldenHashError if they
        differ. Graphs of ONNX are run for two images.
        """
        model = self.load(ref)
        manifest, network = model.manifest, model.network
        with _refused(manifest.ref):
            if network is not None:
                if version_files.WEIGHTS in manifest.files:
                    version_files.read_float_weights(self._files(ref), manifest)
                for executor in executors or (golden_hashes.fastest_installed(),):
                    golden_hashes.check(manifest.ref, network, model.spec, model.golden, executor)
            elif isinstance(model.spec.network, Onnx):
                from model_store.graphs.network import (  # noqa: PLC0415 - loads ONNX Runtime
                    load_graphs,
                )

                load_graphs(str(manifest.ref), model.spec, model.weights)
        return manifest

    # --- writing ---

    def publish(
        self,
        name: str,
        description: Description,
        weights: Weights | None,
        *,
        card: Callable[[ModelRef], str],
        figures: Mapping[str, bytes] | None = None,
        class_latents: ClassLatents = NO_CLASSES,
        network: ExactNetwork | None = None,
        pixels: LogWeights | None = None,
        directions: Directions = NO_DIRECTIONS,
        typicality: Typicality | None = None,
        encoded_images: EncodedImages | None = None,
        snapshots: Snapshots | None = None,
    ) -> Manifest:
        """Add a version and return its manifest; after any error the store is unchanged.

        Args:
            name: the model; its next version is one above the highest that exists.
            description: the spec of the model and how it was trained.
            weights: name -> numpy array or torch tensor; bfloat16 is stored as float32. None leaves
                the float weights out of an exact version.
            card: writes the card, Markdown, once the version is known.
            figures: name without `.png` -> content of a PNG file.
            class_latents: a mixture for each class of the description, or NO_CLASSES.
            network: makes the version exact; its golden hashes are computed by numpy, the reference.
            pixels: pixel table of an exact version with Bernoulli pixels, which can then compress
                images.
            directions: the vectors of the directions of the description, or NO_DIRECTIONS.
            typicality: how typical the test images are, or None.
            encoded_images: latents of test images, or None.
            snapshots: what the version drew while it learnt, or None.

        Raises:
            ShapeError, NonFiniteError, ProofError: the version could not be loaded again.
            InvalidReferenceError: the name is not one of a model.
            PublishError: the files cannot be written, or a part does not fit the others.
        """
        check_name(name)
        too_large = excess(description.spec)
        if too_large is not None:
            raise PublishError(f"cannot publish {name}: {too_large}")
        files = {f"{figure}.png": png for figure, png in (figures or {}).items()}
        files |= _network_files(name, description.spec, weights, network)
        if pixels is not None:
            files[version_files.PIXELS] = _pixels_file(name, description.spec, network, pixels)
        if class_latents:
            version_files.check_class_latents(name, description, class_latents)
            files[version_files.CLASS_LATENTS] = version_files.class_latents_file(class_latents)
        if directions or description.directions is not None:
            files |= _directions_files(name, description, directions)
        files |= _measured_files(name, description, typicality, encoded_images)
        if snapshots is not None:
            files[version_files.SNAPSHOTS] = _snapshots_file(name, description, snapshots)
        arithmetic: Arithmetic = "float" if network is None else "exact-1"
        return self._add(name, description, files, card, arithmetic)

    def supplement(
        self,
        ref: ModelRef,
        description: Description,
        *,
        card: Callable[[ModelRef], str],
        directions: Directions = NO_DIRECTIONS,
        typicality: Typicality | None = None,
        encoded_images: EncodedImages | None = None,
        class_latents: ClassLatents = NO_CLASSES,
        figures: Mapping[str, bytes] | None = None,
        left_out: Collection[str] = (),
    ) -> Manifest:
        """Publish the next version of a model: the files of a version, and parts that it lacks.

        All files but the card are copied, so the weights are the same bytes. The arguments are
        those of `publish`; `description` has the spec of the version. `class_latents` and `figures`
        take the places of those that the version has; the figures `left_out` are not copied.

        Raises:
            NotFoundError, CorruptVersionError: the version cannot be read.
            ShapeError: a part does not fit the version.
            PublishError: the version has such a part, or the files cannot be written.
        """
        source = self.load(ref).manifest
        parts = _measured_files(source.name, description, typicality, encoded_images)
        if directions:
            parts |= _directions_files(source.name, description, directions)
        present = sorted(parts.keys() & source.files.keys())
        if present or description.spec != source.spec:
            problem = f"it has {', '.join(present)}" if present else "its spec differs"
            raise PublishError(f"cannot supplement {source.ref}: {problem}")
        unknown = sorted(set(left_out) - set(source.figures))
        if unknown:
            raise PublishError(
                f"cannot leave {', '.join(unknown)} out of {source.ref}: its figures are "
                f"{', '.join(source.figures) or 'none'}"
            )
        if class_latents:
            version_files.check_class_latents(source.name, description, class_latents)
            parts[version_files.CLASS_LATENTS] = version_files.class_latents_file(class_latents)
        parts |= {f"{figure}.png": png for figure, png in (figures or {}).items()}
        version = self._files(ref)
        without = {version_files.CARD, *(f"{figure}.png" for figure in left_out)}
        kept = source.files.keys() - without - parts.keys()
        files = {file: version_files.read_file(version, source, file) for file in sorted(kept)}
        return self._add(source.name, description, files | parts, card, source.arithmetic)

    def files(self, ref: ModelRef) -> dict[str, bytes]:
        """Return all files of a version, checked; also its manifest, SHA256SUMS and its signature.

        The last two are left out if the version does not have them.

        Raises NotFoundError, CorruptVersionError.
        """
        version = self._files(ref)
        manifest = version_files.read_manifest(version)
        files = {file: version_files.read_file(version, manifest, file) for file in manifest.files}
        files[MANIFEST] = version.read(MANIFEST, MAX_MANIFEST_BYTES)
        sums = version_files.read_checksums(version)
        if sums is not None:
            files[CHECKSUMS] = sums
        signature = version_files.read_signature(version)
        if signature is not None:
            files[SIGNATURE] = signature
        return files

    def check_signature(self, ref: ModelRef, public_key: Path) -> Manifest:
        """Return the manifest of a version, if the version is signed by this key.

        Raises NotFoundError, CorruptVersionError (of which SignatureError is a subclass).
        """
        files = self.files(ref)
        manifest = version_files.parse_manifest(str(self.resolve(ref)), files[MANIFEST])
        signing.check(str(manifest.ref), files, public_key)
        return manifest

    def add(self, ref: ModelRef, files: Mapping[str, bytes]) -> bool:
        """Add a version of another store under its number, with the files that it has there.

        Returns False if the number is taken. A call that was interrupted can be made again. Raises
        PublishError if the files cannot be written.
        """
        assert ref.version is not None  # noqa: S101 - resolved in the other store
        with self._publishing(ref.name):
            return self._backend.create(ref.name, ref.version, files, resume=True)

    def has(self, ref: ModelRef) -> bool:
        """Return True if the store has this version."""
        return ref.version is not None and self._has(ref.name, ref.version)

    def check_writable(self) -> None:
        """Raise PublishError if an object store cannot be written; a folder is not looked at."""
        if isinstance(self._backend, Objects):
            with self._publishing("a version"):
                self._backend.check_writable()

    def copy(self, ref: ModelRef, into: "Store") -> Manifest:
        """Publish a version again in another store, with all of its files, and return its manifest.

        Its number is one above the highest of the model there. Files are copied byte by byte, also
        those that are optional; the card keeps its text.

        Raises NotFoundError, CorruptVersionError, and PublishError if the files cannot be written.
        """
        manifest = self.manifest(ref)
        version = self._files(manifest.ref)
        contents = {
            file: version_files.read_file(version, manifest, file) for file in manifest.files
        }
        card = contents.pop(version_files.CARD).decode()
        return into._add(  # noqa: SLF001 - the same class
            manifest.name, manifest.description, contents, lambda _: card, manifest.arithmetic
        )

    def seal(self, ref: ModelRef) -> Manifest:
        """Verify a version that was published without SHA256SUMS, and add that file.

        Raises NotFoundError, CorruptVersionError, and PublishError if the file cannot be written.
        """
        manifest = self.verify(ref)
        version = VersionFiles(self._backend, manifest.name, manifest.version)
        try:
            content = version.read(MANIFEST, MAX_MANIFEST_BYTES)
            self._backend.seal(version.name, version.version, checksums(manifest.files, content))
        except OSError as error:
            raise PublishError(
                f"cannot seal {manifest.ref} in {self._backend}: {error.strerror or error}"
            ) from error
        return version_files.read_manifest(version)

    def owns(self, ref: ModelRef) -> bool:
        """Return True if this store has the version and may write it: shipped ones are only read."""
        return ref.version is not None and self._backend.has(ref.name, ref.version)

    def remove(self, ref: ModelRef, *, last: bool = False) -> None:
        """Delete a version that no alias names. Its number is never used for another version.

        With `last`, the only version of a model may go too. Raises NotFoundError; StoreError if an
        alias names it, it is a shipped one, or its files cannot be deleted; and StoreBusyError if the
        aliases stay locked.
        """
        resolved = self.resolve(ref)
        version = resolved.version
        assert version is not None  # noqa: S101 - resolved
        if not self.owns(resolved):
            raise StoreError(
                f"cannot remove {resolved}: it comes with zserve, in {self.shipped}, which is never "
                "written"
            )

        def remove_unless_named(content: bytes | None) -> bytes:
            named = [alias for alias, number in self.aliases(ref.name).items() if number == version]
            if named and not (last and self.versions(ref.name) == (version,)):
                raise StoreError(
                    f"cannot remove {resolved}: {', '.join(sorted(named))} names it; promote another "
                    f"version first, or remove the whole model with `models rm {ref.name} --all`"
                )
            self._backend.remove(ref.name, version)
            return b"{}\n" if named or content is None else content

        self._change_aliases(ref.name, remove_unless_named, f"remove {resolved}")

    def forget_aliases(self, name: str) -> None:
        """Remove all aliases of a model, so that the oldest version is its production version."""
        self._change_aliases(name, lambda _: b"{}\n", f"remove the aliases of {name}")

    def set_alias(
        self, name: str, alias: str, version: int, *, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> None:
        """Point an alias at a version, atomically, to promote it or to roll back.

        Raises NotFoundError, InvalidReferenceError, StoreBusyError if the aliases stay locked, and
        StoreError if the file cannot be written.
        """
        self.resolve(ModelRef(name=name, version=version))
        try:
            _ALIAS.validate_python(alias)
        except ValidationError as error:
            raise InvalidReferenceError(
                f"{alias[:80]!r} is not an alias; use letters, digits, - and _, a letter first"
            ) from error

        def point(content: bytes | None) -> bytes:
            self.resolve(ModelRef(name=name, version=version))  # it may have been removed meanwhile
            aliases = _parse_aliases(name, content) | {alias: version}
            return (json.dumps(aliases, indent=2, sort_keys=True) + "\n").encode()

        self._change_aliases(name, point, f"set {name}@{alias}", lock_timeout_s)

    # --- inside ---

    def _change_aliases(
        self,
        name: str,
        change: Callable[[bytes | None], bytes],
        purpose: str,
        timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        """Replace aliases.json; raises StoreBusyError and StoreError, which tell the purpose."""
        try:
            self._backend.change_aliases(name, change, timeout_s)
        except TimeoutError as error:
            raise StoreBusyError(f"cannot {purpose}: {error}; the alias is unchanged") from error
        except OSError as error:
            raise StoreError(
                f"cannot {purpose} in {self._backend}: {error.strerror or error}"
            ) from error

    def _add(
        self,
        name: str,
        description: Description,
        files: Mapping[str, bytes],
        card: Callable[[ModelRef], str],
        arithmetic: Arithmetic,
    ) -> Manifest:
        """Write the next version; raises PublishError if its files cannot be written."""
        with self._publishing(name):
            highest = max(self._versions(name), default=0)
            return add_version(
                self._backend,
                name,
                description,
                files,
                card,
                arithmetic=arithmetic,
                after=highest,
            )

    @contextlib.contextmanager
    def _publishing(self, name: str) -> Iterator[None]:
        """Turn errors of the backend into PublishError."""
        try:
            yield
        except StoreUnavailableError as error:
            raise PublishError(
                f"cannot publish {name}: {error}; `python -m model_store list` shows whether the "
                "last request has arrived nevertheless"
            ) from error
        except OSError as error:
            raise PublishError(
                f"cannot publish {name} in {self._backend}: {error.strerror or error}; "
                "the store is unchanged"
            ) from error

    def _has(self, name: str, version: int) -> bool:
        return any(backend.has(name, version) for backend in self._backends)

    def _files(self, ref: ModelRef) -> VersionFiles:
        """Return the files of a version; the first backend wins if both have it."""
        version = self.resolve(ref).version
        assert version is not None  # noqa: S101 - resolved
        holders = (backend for backend in self._backends if backend.has(ref.name, version))
        return VersionFiles(next(holders, self._backend), ref.name, version)

    def _versions(self, name: str) -> tuple[int, ...]:
        return tuple(sorted(set().union(*(each.versions(name) for each in self._backends))))


@contextlib.contextmanager
def _refused(ref: ModelRef) -> Iterator[None]:
    """Turn an unexpected exception into CorruptVersionError, which names `ref`; pass StoreErrors on."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0][:200]
        raise CorruptVersionError(
            f"{ref} cannot be loaded: {type(error).__name__}: {reason}; republish it"
        ) from error


def _network_files(
    name: str, spec: ModelSpec, weights: Weights | None, network: ExactNetwork | None
) -> dict[str, bytes]:
    """Check the networks of a version and return their files."""
    if weights is None and network is None:
        raise PublishError(f"cannot publish {name}: it has neither weights nor an exact network")
    files: dict[str, bytes] = {}
    if weights is not None:
        arrays = to_arrays(weights)
        version_files.check_weights(name, spec, arrays)
        files[version_files.WEIGHTS] = to_safetensors(arrays)
    if network is not None:
        prove(network, spec)
        golden = golden_hashes.compute(network, spec, "numpy")
        files |= version_files.exact_files(network, golden)
    return files


def _pixels_file(
    name: str, spec: ModelSpec, network: ExactNetwork | None, pixels: LogWeights
) -> bytes:
    """Check a pixel table and return its file."""
    if network is None or spec.likelihood != "bernoulli":
        raise PublishError(
            f"cannot publish {name}: a pixel table belongs to an exact version with Bernoulli pixels"
        )
    content = pixel_tables.to_bytes(pixels)
    pixel_tables.from_bytes(content)
    return content


def _directions_files(
    name: str, description: Description, directions: Directions
) -> dict[str, bytes]:
    """Check directions and return their file."""
    version_files.check_directions(name, description, directions)
    return {version_files.DIRECTIONS: version_files.directions_file(directions)}


def _measured_files(
    name: str,
    description: Description,
    typicality: Typicality | None,
    encoded_images: EncodedImages | None,
) -> dict[str, bytes]:
    """Check what was measured on test images and return its files."""
    files: dict[str, bytes] = {}
    if typicality is not None:
        files[version_files.TYPICALITY] = typicality_tables.to_bytes(typicality)
    if encoded_images is not None:
        version_files.check_encoded_images(name, description, encoded_images)
        files[version_files.ENCODED_IMAGES] = version_files.encoded_images_file(encoded_images)
    return files


def _snapshots_file(name: str, description: Description, snapshots: Snapshots) -> bytes:
    """Check snapshots of a training and return their file."""
    try:
        snapshots.check_fit(description.spec, description.classes)
        return training_snapshots.to_bytes(snapshots)
    except ValueError as error:
        raise PublishError(f"cannot publish {name}: snapshots: {error}") from error


def _listed(items: Sequence[object]) -> str:
    """Return the first items for a message, and the number of the others."""
    more = f" and {len(items) - _MOST_LISTED} more" if len(items) > _MOST_LISTED else ""
    return (", ".join(map(str, items[:_MOST_LISTED])) or "none") + more


def _read_aliases(backend: Backend, name: str) -> dict[str, int]:
    try:
        return _parse_aliases(name, backend.read_aliases(name))
    except OSError as error:
        raise ManifestError(f"{name}: {ALIASES} is unreadable: {error}") from error


def _parse_aliases(name: str, content: bytes | None) -> dict[str, int]:
    if content is None:
        return {}
    try:
        return _ALIASES.validate_json(content.removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        raise ManifestError(f"{name}: {ALIASES} is unreadable: {error}") from error


def _is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def check_name(name: str) -> None:
    """Raise InvalidReferenceError unless a text can be the name of a model."""
    if not _is_name(name):
        raise InvalidReferenceError(
            f"{name[:80]!r} is not a model name; use a-z, 0-9, '.', '_' and '-', "
            "a letter or digit first, at most 63"
        )
