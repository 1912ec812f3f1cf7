"""Every setting and every limit of the service, from ZSERVE_* variables; frozen."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SettingsError
from model_store.spec import ModelRef

PREFIX = "ZSERVE_"


class Settings(BaseSettings):
    """How the service runs. The name of a field is its variable: max_images, ZSERVE_MAX_IMAGES."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port; 0 takes a free one.")
    workers: int = Field(default=1, ge=1, le=256, description="Processes behind the port.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or one JSON object a line."
    )
    log_requests: bool = Field(default=True, description="A line for each request, at info.")
    telemetry: bool = Field(default=True, description="Count and time requests, for /metrics.")

    store: Path | None = Field(
        default=None,
        description="Folder of the models; by default `models/`, into which training publishes, "
        "together with the shipped ones.",
    )
    model: str = Field(default="mnist", description="Model of requests that name none.")
    max_loaded_models: int = Field(
        default=4, ge=1, description="Versions in memory at once; the least recently used leave."
    )
    max_loaded_bytes: int = Field(
        default=1024**3, ge=1, description="Size of their weights together; one always stays."
    )
    torch_threads: int = Field(
        default=1,
        ge=1,
        description="Of one worker; with more than one the last bits depend on the place in a batch.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto takes a GPU where there is one."
    )

    max_images: int = Field(default=256, ge=2, description="Images in one answer.")
    max_streamed_images: int = Field(
        default=10_000, ge=2, description="Images in one zip, which is sent while it is made."
    )
    max_answer_pixels: int = Field(
        default=16_000_000, ge=1, description="Pixels of one answer's images, with scale=."
    )
    batch_requests: int = Field(
        default=64, ge=1, description="Requests that may share a tile; 1 switches batching off."
    )
    queue_images: int = Field(default=4096, ge=1, description="Images waiting to be computed.")
    request_timeout_s: float = Field(
        default=30.0, gt=0, allow_inf_nan=False, description="Longest wait for the model."
    )
    retry_after_s: int = Field(default=1, ge=0, description="Sent with every 503.")
    shutdown_timeout_s: int = Field(default=30, ge=0, description="For requests under way.")

    max_body_bytes: int = Field(default=1024 * 1024, ge=1, description="Size of a request body.")
    max_pixels: int = Field(default=1024 * 1024, ge=1, description="Pixels of one uploaded image.")
    max_temperature: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    max_span: float = Field(default=10.0, gt=0, allow_inf_nan=False)

    admin_token: SecretStr | None = Field(
        default=None, description="Bearer token for promotion; promotion is off without one."
    )

    @model_validator(mode="after")
    def _check_that_one_request_fits_into_the_queue(self) -> Self:
        if self.queue_images < self.max_images:
            raise ValueError(
                f"queue_images is {self.queue_images}, max_images {self.max_images}: "
                "the largest request must fit into the queue"
            )
        return self

    @model_validator(mode="after")
    def _check_that_the_model_can_be_named(self) -> Self:
        ModelRef.parse(self.model)
        return self


def read_settings(**options: object) -> Settings:
    """Settings from the environment, options first; raises SettingsError with one line."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        message = str(problem["msg"]).removeprefix("Value error, ")
        if not problem["loc"]:
            raise SettingsError(message) from error
        field = str(problem["loc"][0])
        name = f"--{field}" if field in given else f"{PREFIX}{field.upper()}"
        shown = "" if field == "admin_token" else f" (got {str(problem['input'])[:80]!r})"
        raise SettingsError(f"{name}: {message}{shown}") from error
