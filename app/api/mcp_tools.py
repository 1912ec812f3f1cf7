"""The tools of the Model Context Protocol: five functions that answer with images.

The service offers them at /mcp, and `zserve mcp` over stdin and stdout. Both give a `Models`, which
finds models and reads images; everything else is here.
"""

import functools
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, ParamSpec, Protocol

import numpy as np
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, InputRequiredResult, Tool, ToolAnnotations
from pydantic import Field

from app.api.problems import find_remedy
from app.api.result import square_columns
from app.errors import LimitError, ServiceError
from app.imaging.grid import enlarge, make_grid
from app.imaging.png import encode_png
from app.inference.functions import ModelFunctions
from app.inference.loaded_model import LoadedModel
from app.off_loop import call
from app.operations import draw_latents, find_class
from app.sampling.latents import SEEDS, consecutive_seeds, random_seed, standard_normal
from app.sampling.paths import lerp, slerp, traversal, traversal_values
from app.typing import Bytes, Floats
from model_store.errors import ImageError, StoreError
from model_store.preprocessing import from_bytes
from model_store.spec import Manifest

MAX_IMAGES = 64
"""Largest number of images of an answer."""
LARGEST_SIDE = 640
"""Pixels of the longer side up to which a picture is enlarged, so that its reader can see it."""
MAX_SCALE = 12
_LARGE = 50_000
"""Pixel values of a picture from which on it is encoded beside the event loop."""

INSTRUCTIONS = """\
Variational autoencoders of small images, such as handwritten digits, clothes, letters and faces.
show_models names the models, their classes and what they draw. The same seed gives the same image.
"""

Arguments = ParamSpec("Arguments")
Answer = list[Image | str]

Model = Annotated[
    str | None,
    Field(description="Name of a model, or name@version; the default model if absent."),
]
Seed = Annotated[
    int | None,
    Field(ge=0, le=SEEDS - 1, description="The same seed gives the same image; random if absent."),
]


class Models(Protocol):
    """The models that the tools can use, and the functions that compute them."""

    @property
    def functions(self) -> ModelFunctions:
        """Return the functions of a model as coroutines."""

    async def get(self, reference: str | None) -> LoadedModel:
        """Return a model, or the default model."""

    async def manifests(self) -> list[Manifest]:
        """Return the manifest of every model, the default model first."""

    async def samples(self, manifest: Manifest) -> bytes | None:
        """Return the published figure of samples of a model, a PNG, or None."""

    async def prepare(self, image: str, model: LoadedModel) -> Bytes:
        """Return an image, base64 or a name of a file, in a model's form; (1, channels, ...)."""


@dataclass(frozen=True, eq=False)
class Tools:
    """The functions behind the tools."""

    models: Models

    async def show_models(self, model: Model = None) -> Answer:
        """List the models with their classes and directions, and show samples of one of them."""
        manifests = await self.models.manifests()
        shown = manifests[0] if model is None else (await self.models.get(model)).manifest
        text = "\n".join(_line(manifest) for manifest in manifests)
        figure = await self.models.samples(shown)
        if figure is None:
            return [text]
        return [Image(data=figure, format="png"), f"{text}\n\nThe picture: samples of {shown.ref}."]

    async def generate_images(
        self,
        n: Annotated[int, Field(ge=1, le=MAX_IMAGES, description="Number of images.")] = 4,
        label: Annotated[
            str | None, Field(description="A class of the model, such as 7 or Sneaker.")
        ] = None,
        seed: Seed = None,
        temperature: Annotated[
            float, Field(ge=0, le=4, description="0 is the most typical image, 1 is usual.")
        ] = 1.0,
        model: Model = None,
    ) -> Answer:
        """Draw new images, of a class or of everything that the model has learnt, as one grid."""
        loaded = await self.models.get(model)
        index = None if label is None else find_class(label, loaded)
        first = random_seed() if seed is None else seed
        seeds = consecutive_seeds(first, n)
        z = await draw_latents(self.models.functions, loaded, seeds, temperature, index)
        images = await self.models.functions.decode_levels(loaded, z)
        named = None if index is None else loaded.classes[index]
        parameters = {"seed": first, "n": n, "label": named, "temperature": temperature}
        return await _answer(loaded, images, square_columns(n), parameters)

    async def reconstruct_image(
        self,
        image: Annotated[
            str, Field(description="An image file as base64 or data URL, or the path of a file.")
        ],
        model: Model = None,
    ) -> Answer:
        """Show what the model sees of an image, and what it makes of it, side by side."""
        loaded = await self.models.get(model)
        levels = await self.models.prepare(image, loaded)
        mu, _ = await self.models.functions.encode(loaded, from_bytes(levels))
        made = await self.models.functions.decode_levels(loaded, mu)
        return await _answer(loaded, np.concatenate([levels, made]), 2, {"image": "uploaded"})

    async def interpolate_images(
        self,
        seed_a: Annotated[int, Field(ge=0, le=SEEDS - 1, description="Seed of the first image.")],
        seed_b: Annotated[int, Field(ge=0, le=SEEDS - 1, description="Seed of the last image.")],
        steps: Annotated[int, Field(ge=2, le=16, description="Number of images.")] = 8,
        path: Literal["linear", "slerp"] = "slerp",
        model: Model = None,
    ) -> Answer:
        """Show how the image of one seed turns into that of another, as one row."""
        loaded = await self.models.get(model)
        along = slerp if path == "slerp" else lerp
        z = along(_latent(seed_a, loaded), _latent(seed_b, loaded), steps)
        images = await self.models.functions.decode_levels(loaded, z)
        parameters = {"seed_a": seed_a, "seed_b": seed_b, "steps": steps, "path": path}
        return await _answer(loaded, images, steps, parameters)

    async def traverse_dimensions(
        self,
        seed: Seed = None,
        dims: Annotated[
            list[int] | None,
            Field(max_length=8, description="Latent dimensions; the most informative if absent."),
        ] = None,
        steps: Annotated[int, Field(ge=2, le=8, description="Images in a row.")] = 7,
        span: Annotated[float, Field(gt=0, le=10, description="From -span to +span.")] = 3.0,
        model: Model = None,
    ) -> Answer:
        """Show what single latent dimensions change: one row for each, around the image of a seed."""
        loaded = await self.models.get(model)
        chosen = tuple(dims) if dims else loaded.manifest.informative_dimensions()[:8]
        wrong = [dim for dim in chosen if not 0 <= dim < loaded.latent]
        if wrong:
            raise LimitError(
                f"dims: the model has no dimension {wrong[0]}",
                limit=loaded.latent - 1,
                remedy=f"choose from 0 to {loaded.latent - 1}",
            )
        start = np.zeros(loaded.latent, np.float32) if seed is None else _latent(seed, loaded)
        z = traversal(start, chosen, traversal_values(span, steps))
        images = await self.models.functions.decode_levels(loaded, z)
        parameters = {"seed": seed, "dims": list(chosen), "steps": steps, "span": span}
        return await _answer(loaded, images, steps, parameters)


class _StrictServer(MCPServer[Any]):
    """A server that refuses arguments which a tool does not have; the package would ignore them."""

    async def list_tools(self) -> list[Tool]:
        """Return the tools; their schemas say that there are no other arguments."""
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema["additionalProperties"] = False
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; raises ToolError if it has no argument of a name."""
        schemas = {tool.name: tool.input_schema for tool in await self.list_tools()}
        known = schemas[name]["properties"] if name in schemas else arguments
        unknown = [argument for argument in arguments if argument not in known]
        if unknown:
            raise ToolError(
                f"{name} has no argument {unknown[0][:80]!r}; it has {', '.join(known)}"
            )
        return await super().call_tool(name, arguments, context)


def make_server(models: Models, version: str) -> MCPServer[Any]:
    """Return a server with the tools, without a transport."""
    tools = Tools(models)
    with _root_logger_as_it_is():
        server = _StrictServer(
            "zserve", instructions=INSTRUCTIONS, version=version, log_level="WARNING"
        )
    for function in (
        tools.show_models,
        tools.generate_images,
        tools.reconstruct_image,
        tools.interpolate_images,
        tools.traverse_dimensions,
    ):
        server.add_tool(
            _with_remedies(function),
            structured_output=False,
            annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
        )
    return server


class _root_logger_as_it_is:  # noqa: N801 - read as a function
    """Keep MCPServer from adding a handler to the root logger, which belongs to the program."""

    def __enter__(self) -> None:
        self._handler = logging.NullHandler()
        logging.getLogger().addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._handler)


def _with_remedies(
    function: Callable[Arguments, Awaitable[Answer]],
) -> Callable[Arguments, Awaitable[Answer]]:
    """Turn the errors that the service knows into messages for the caller, with the remedy."""

    @functools.wraps(function)
    async def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        try:
            return await function(*args, **kwargs)
        except (ServiceError, StoreError, ImageError) as error:
            remedy = find_remedy(error)
            raise ToolError(f"{error}; {remedy}" if remedy else str(error)) from error

    return guarded


async def _answer(
    model: LoadedModel, images: Bytes, columns: int, parameters: Mapping[str, object]
) -> Answer:
    """Return images as one enlarged picture, and what repeats them as text."""
    grid = make_grid(images, columns)
    scale = max(1, min(MAX_SCALE, LARGEST_SIDE // max(grid.shape[1:])))
    large = grid.size * scale**2 >= _LARGE
    content = await call(lambda: encode_png(enlarge(grid, scale)), off_loop=large)
    present = {name: value for name, value in parameters.items() if value is not None}
    return [Image(data=content, format="png"), json.dumps({"model": model.name, **present})]


def _latent(seed: int, model: LoadedModel) -> Floats:
    """Return the latent of a seed; (latent,)."""
    return np.asarray(standard_normal(consecutive_seeds(seed, 1), model.latent)[0])


def _line(manifest: Manifest) -> str:
    """Return one line about a model."""
    channels, height, width = manifest.spec.image.shape
    line = (
        f"{manifest.ref}: {width}x{height} {'grey' if channels == 1 else 'colour'} images of "
        f"{manifest.training.dataset}, {manifest.spec.latent} latent dimensions"
    )
    return f"{line}; classes: {', '.join(manifest.classes)}" if manifest.classes else line
