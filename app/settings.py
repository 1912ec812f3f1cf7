"""All settings and limits of the service, read from ZSERVE_* environment variables."""

import difflib
import importlib.util
import os
import re
import tempfile
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SettingsError
from app.prefixes import normal_prefix
from app.rates import Rate
from model_store.spec import ModelRef
from model_store.store import check_address, is_url

PREFIX = "ZSERVE_"

_OTHER_VARIABLES = {
    "ZSERVE_DATA_DIR",
    "ZSERVE_RUNS",
    "ZSERVE_URL",
    "ZSERVE_TOKEN",
    "ZSERVE_BENCHMARK",
}
"""Variables that training, the client and the benchmarks read, and that the service ignores."""

_SERVICE_LINK = re.compile(
    r"ZSERVE(_\w+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
"""Variables that Kubernetes sets in each container beside a service whose name begins with zserve."""


_SITE = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:\d{1,5})?", re.ASCII)


class Settings(BaseSettings):
    """Settings of the service; the field max_images is the variable ZSERVE_MAX_IMAGES."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 chooses a free port."
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses and networks of reverse proxies, separated by commas, whose "
        "X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Prefix headers are believed; * believes "
        "everybody.",
    )
    root_path: str = Field(
        default="",
        description="Path under which a reverse proxy publishes the service, such as /zserve, if the "
        "proxy does not send X-Forwarded-Prefix.",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Number of processes that share the port. By default one for each core, at most "
        "16 and only as many as there is memory for (256 MiB each); one if there is a GPU.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Plain text, or one JSON object per line."
    )
    log_requests: bool = Field(
        default=True, description="Log one line per request, if log_level is info or debug."
    )
    telemetry: bool = Field(
        default=True, description="Count and time requests for /metrics, and trace them."
    )
    docs_url: HttpUrl | None = Field(
        default=None, description="Address of a documentation site, which /docs then links to."
    )

    frame_ancestors: str = Field(
        default="",
        description="Other sites that may show the page in a frame, separated by spaces, such as "
        "https://huggingface.co; by default none.",
    )
    openai_api: bool = Field(
        default=False,
        description="Answer POST /v1/images/generations and GET /v1/models in the form of OpenAI's API, "
        "so that its clients and chat front ends can be pointed at the service.",
    )
    mcp: bool = Field(
        default=False,
        description="Offer the tools of the Model Context Protocol at /mcp; needs the package mcp.",
    )

    store: Path | str | None = Field(
        default=None,
        description="Folder with the models, or address of an object store: s3://bucket/prefix, "
        "gs://bucket/prefix or az://container/prefix; or a repository of the Hugging Face hub: "
        "hf://org/name[@revision]. By default `models/`, into which training "
        "publishes, together with the shipped models.",
    )
    store_cache: Path | None = Field(
        default=None,
        description="Folder for copies of what an object store has, which all workers of the machine "
        "share. By default zserve in the user's folder for caches, such as ~/.cache/zserve.",
    )
    store_cache_bytes: int = Field(
        default=4 * 1024**3,
        ge=1,
        description="Total size (bytes) of these copies; the least recently used are deleted first.",
    )
    require_signature: Path | None = Field(
        default=None,
        description="File of a public key (PEM). Only versions that are signed by it are served: "
        "`zserve models push --sign` signs.",
    )
    model: str = Field(default="mnist", description="Model to use when a request names none.")
    max_loaded_models: int = Field(
        default=4,
        ge=1,
        description="Versions in memory at once; the least recently used are dropped first.",
    )
    max_loaded_bytes: int = Field(
        default=1024**3,
        ge=1,
        description="Total size (bytes) of the weights in memory; a single version may be larger.",
    )
    torch_threads: int = Field(
        default=1,
        ge=1,
        description="Threads per worker that compute. With more than one, the last bits of a float "
        "version's images depend on their place in a batch; exact versions do not change.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Device to compute on; auto uses a GPU if there is one."
    )

    max_images: int = Field(
        default=256, ge=2, description="Maximum number of images in one answer."
    )
    max_streamed_images: int = Field(
        default=10_000,
        ge=2,
        description="Maximum number of images in one zip archive, which is sent while it is made.",
    )
    max_score_draws: int = Field(
        default=4096,
        ge=1,
        description="Maximum number of draws of one request to /score: images times draws.",
    )
    max_compressed_images: int = Field(
        default=1000,
        ge=1,
        description="Maximum number of images in one compressed file.",
    )
    max_answer_pixels: int = Field(
        default=16_000_000,
        ge=1,
        description="Maximum number of pixels in one answer, after scale= is applied.",
    )
    batch_requests: int = Field(
        default=64,
        ge=1,
        description="Maximum number of requests in one batch; 1 switches batching off.",
    )
    queue_bytes: int = Field(
        default=2**28,
        ge=1,
        description="Maximum memory (bytes) of the images that are queued or being computed; an empty "
        "queue takes a request of any size.",
    )
    target_wait_s: float = Field(
        default=2.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest estimated time (seconds) until the images of a request are computed; a "
        "request that would take longer because others wait is refused at once.",
    )
    request_timeout_s: float = Field(
        default=30.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest time (seconds) that a request waits for the model.",
    )
    retry_after_s: int = Field(
        default=1,
        ge=0,
        description="Least value (seconds) of the Retry-After header of a 503; if requests wait, it is "
        "the estimated time until they are computed.",
    )
    shutdown_timeout_s: int = Field(
        default=30,
        ge=0,
        description="Longest time (seconds) that stopping waits for running requests.",
    )
    shutdown_delay_s: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Time (seconds) between the moment at which a stopping service answers /readyz "
        "with 503 and the moment at which it accepts no more connections. Set it to the time that "
        "a load balancer takes to notice.",
    )
    heartbeat_timeout_s: float = Field(
        default=30.0,
        ge=2,
        allow_inf_nan=False,
        description="Time (seconds) without a sign of life after which one of several workers is "
        "killed and replaced.",
    )

    max_connections: int = Field(
        default=2048,
        ge=1,
        description="Maximum number of open connections of a worker. It is lowered to leave 128 file "
        "descriptors of the process free. Beyond it, the connection that has waited longest for its "
        "client is closed; if there is none, the new connection is answered with 503.",
    )
    max_held_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1,
        description="Maximum number of bytes that a worker holds for clients that send the rest of a "
        "body, or read an answer, later; the connections with the most bytes are closed first.",
    )
    max_head_bytes: int = Field(
        default=64 * 1024,
        ge=1024,
        description="Maximum number of bytes of the URL and the headers of a request.",
    )
    head_timeout_s: float = Field(
        default=10.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest time (seconds) from a new connection, or from the first byte of a later "
        "request, to the end of the headers.",
    )
    keep_alive_timeout_s: float = Field(
        default=5.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest time (seconds) that a connection stays open between two requests.",
    )
    min_bytes_per_s: float = Field(
        default=1024.0,
        ge=0,
        allow_inf_nan=False,
        description="Lowest rate (bytes per second) at which a client may send a body or read an "
        "answer; slower connections are closed.",
    )
    rate_window_s: float = Field(
        default=10.0,
        gt=0,
        allow_inf_nan=False,
        description="Time (seconds) over which min_bytes_per_s is measured.",
    )
    max_body_bytes: int = Field(
        default=1024 * 1024, ge=1, description="Maximum number of bytes in a body without files."
    )
    max_file_bytes: int = Field(
        default=20 * 1024 * 1024, ge=1, description="Maximum number of bytes in one uploaded file."
    )
    max_upload_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1, description="Maximum number of bytes in a body with files."
    )
    max_buffered_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1,
        description="Maximum number of bytes of all bodies in memory; more are answered with 503.",
    )
    max_v2_body_bytes: int = Field(
        default=24 * 1024 * 1024,
        ge=1,
        description="Maximum number of bytes in a request body below /v2, as it is sent and after "
        "decompression. The default has room for max_images colour images of 32x32 as JSON, which "
        "takes up to 25 bytes for each value; raw bytes take 4.",
    )
    max_large_bodies: int = Field(
        default=4,
        ge=1,
        description="Maximum number of bodies above max_body_bytes that a worker reads at the same time; "
        "each takes up to four times max_v2_body_bytes of memory. Further ones wait.",
    )
    max_pixels: int = Field(
        default=50 * 1024 * 1024,
        ge=1,
        description="Maximum number of pixels in one uploaded image.",
    )
    max_upload_pixels: int = Field(
        default=100 * 1024 * 1024,
        ge=1,
        description="Maximum number of pixels in all images of a request.",
    )
    queue_uploads: int = Field(
        default=32,
        ge=1,
        description="Maximum number of requests whose images wait to be decoded or are being "
        "decoded; photos are counted apart from small images.",
    )
    upload_processes: int = Field(
        default=1, ge=1, description="Processes per worker that decode photos at the same time."
    )
    upload_cpu_s: float = Field(
        default=0.42,
        gt=0,
        allow_inf_nan=False,
        description="Time (seconds) of the CPU for decoding an image of up to 1 MiB; each further image "
        "of the request may take 2 ms. Decoding is stopped after it. Raise it on slow machines.",
    )
    upload_cpu_s_per_mib: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="Further time (seconds) of the CPU for each further MiB.",
    )
    upload_memory_bytes: int = Field(
        default=1024**3, ge=1, description="Maximum memory of a process that decodes photos."
    )
    max_temperature: float = Field(
        default=10.0, gt=0, allow_inf_nan=False, description="Maximum of the parameter temperature."
    )
    max_span: float = Field(
        default=10.0, gt=0, allow_inf_nan=False, description="Maximum of the parameter span."
    )

    promotion_timeout_s: float = Field(
        default=5.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest time (seconds) that a promotion waits for another process that is "
        "promoting a version of the same model.",
    )
    admin_token: SecretStr | None = Field(
        default=None,
        description="Bearer token that a promotion requires; if it is not set, promotion is disabled.",
    )
    token_rate_limit: str = Field(
        default="10/minute",
        description="Maximum rate of wrong tokens and keys from one client, per worker.",
    )
    api_keys: Path | None = Field(
        default=None,
        description="File of API keys, which calls then require; `python -m app.access` adds one.",
    )
    rate_limit: str | None = Field(
        default=None,
        description="Maximum rate of calls that compute, such as 100/minute: of each API key, or of "
        "each client if there are no keys, per worker.",
    )
    rate_limit_redis: SecretStr | None = Field(
        default=None,
        description="Address of a Redis server that counts for all workers together, such as "
        "redis://localhost:6379/0.",
    )

    @field_validator("store", mode="before")
    @classmethod
    def _read_store(cls, store: object) -> object:
        return Path(store) if isinstance(store, str) and not is_url(store) else store

    @field_validator("store")
    @classmethod
    def _check_store(cls, store: Path | str | None) -> Path | str | None:
        """Refuse a folder that does not exist: a store that is not mounted looks like an empty one."""
        if isinstance(store, str):
            check_address(store)
        elif store is not None and not store.is_dir():
            kind = "is not a folder" if store.exists() else "the folder does not exist"
            raise ValueError(f"{kind}; create it, or name the folder with the models")
        return store

    @field_validator("frame_ancestors")
    @classmethod
    def _check_frame_ancestors(cls, sites: str) -> str:
        for site in sites.split():
            if not _SITE.fullmatch(site):
                raise ValueError(
                    f"{site[:80]!r} is no site; write https://host or https://host:port"
                )
        return " ".join(sites.split())

    @field_validator("require_signature")
    @classmethod
    def _check_public_key(cls, key: Path | None) -> Path | None:
        if key is not None:
            if importlib.util.find_spec("model_signing") is None:
                raise ValueError(
                    "signatures need the package model-signing: pip install 'zserve[sign]'"
                )
            if not key.is_file() or b"PUBLIC KEY" not in key.read_bytes():
                raise ValueError("the file is no public key; name a PEM file with PUBLIC KEY in it")
        return key

    @field_validator("mcp")
    @classmethod
    def _check_mcp(cls, mcp: bool) -> bool:
        if mcp and importlib.util.find_spec("mcp") is None:
            raise ValueError("the tools need the package mcp: pip install 'zserve[mcp]'")
        return mcp

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, prefix: str) -> str:
        return normal_prefix(prefix)

    @field_validator("rate_limit", "token_rate_limit")
    @classmethod
    def _check_rate(cls, rate: str | None) -> str | None:
        return None if rate is None else str(Rate.parse(rate))

    @field_validator("rate_limit_redis")
    @classmethod
    def _check_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
                raise ValueError("an address of Redis begins with redis://, rediss:// or unix://")
            if importlib.util.find_spec("redis") is None:
                raise ValueError("Redis needs the package redis: pip install 'zserve[redis]'")
            _check_redis_url(url.get_secret_value())
        return url

    @property
    def store_cache_folder(self) -> Path:
        """Return `store_cache`, or its default."""
        if self.store_cache is not None:
            return self.store_cache
        parent = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
        if not Path(parent).is_absolute():  # a user without a home
            parent = tempfile.gettempdir()
        return Path(parent) / "zserve"

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, proxies: str) -> str:
        for proxy in proxies.split(",") if proxies.strip() not in {"", "*"} else ():
            ip_network(proxy.strip())
        return proxies

    @model_validator(mode="after")
    def _check_model_reference(self) -> Self:
        ModelRef.parse(self.model)
        return self


def read_settings(**options: object) -> Settings:
    """Read the environment; options that are not None come first.

    Raises SettingsError with one line that names the option or variable.
    """
    _refuse_unknown_variables(os.environ)
    options = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**options)  # type: ignore[arg-type]
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        message = str(problem["msg"]).removeprefix("Value error, ")
        if not problem["loc"]:
            raise SettingsError(message) from error
        field = str(problem["loc"][0])
        name = f"--{field.replace('_', '-')}" if field in options else f"{PREFIX}{field.upper()}"
        secret = field in {"admin_token", "rate_limit_redis"}
        value = "" if secret else f" (got {str(problem['input'])[:80]!r})"
        raise SettingsError(f"{name}: {message}{value}") from error


def _check_redis_url(url: str) -> None:
    """Raise ValueError, without the text of the address: it may have a password."""
    from redis.connection import parse_url  # noqa: PLC0415 - redis is an optional package

    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        raise ValueError(
            "this is no address of Redis; write redis://user:password@host:port/number, with % codes "
            "for special characters"
        ) from None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """Raise SettingsError if a variable begins with ZSERVE_ and is no setting: it may be misspelt."""
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    words = sorted(name.removeprefix(PREFIX) for name in settings | _OTHER_VARIABLES)
    for variable in environment:
        name = variable.upper()
        if not name.startswith(PREFIX) or name in settings | _OTHER_VARIABLES:
            continue
        if _SERVICE_LINK.fullmatch(name):
            continue
        similar = difflib.get_close_matches(name.removeprefix(PREFIX), words, n=1)
        advice = (
            f"did you mean {PREFIX}{similar[0]}?"
            if similar
            else "remove it; docs/settings.md lists all"
        )
        raise SettingsError(f"{variable[:80]} is no setting of the service; {advice}")
