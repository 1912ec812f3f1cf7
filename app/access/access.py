"""Decide about a request: who sends it, what its key may do, and whether it exceeds a rate."""

import hmac
import ipaddress
from collections.abc import Set as AbstractSet

from app.access.api_keys import SCOPES, KeyRing, Scope, digest_of
from app.access.limiter import Limiter, MemoryLimiter
from app.errors import (
    MissingScopeError,
    PromotionDisabledError,
    RateLimitedError,
    UnauthorizedError,
)
from app.rates import Rate
from app.settings import Settings

ADMIN = "admin"
"""Name of the sender of a request with the admin token."""


class Access:
    """The keys, the admin token and the limits of the service.

    Attributes:
        guarded: True if calls need a key or have a limit.
    """

    def __init__(self, settings: Settings) -> None:
        token = settings.admin_token
        self._admin_digest = None if token is None else digest_of(token.get_secret_value())
        self._keys = None if settings.api_keys is None else KeyRing(settings.api_keys)
        self._guesses = _limiter(settings, settings.token_rate_limit, "guesses")
        self._calls = None
        if settings.rate_limit is not None:
            self._calls = _limiter(settings, settings.rate_limit, "calls")
        self.guarded = self._keys is not None or self._calls is not None

    async def admit(self, secret: str | None, host: str | None, scopes: AbstractSet[Scope]) -> None:
        """Admit a call that needs these scopes.

        `host` is the address of the client, None if it has none. Raises UnauthorizedError,
        MissingScopeError and RateLimitedError.
        """
        client = client_of(host)
        sender = client
        if self._keys is not None:
            sender = await self._identify(secret, client, scopes)
        if self._calls is not None:
            wait_s = await self._calls.take(sender)
            if wait_s > 0:
                raise _too_many("requests", self._calls.rate, wait_s)

    async def admit_promotion(self, secret: str | None, host: str | None) -> None:
        """Admit a promotion, by the admin token or a key with the scope promote.

        Raises PromotionDisabledError if there is neither token nor key, and the errors of `admit`.
        """
        if self._admin_digest is None and self._keys is None:
            raise PromotionDisabledError(
                "the service was started without an admin token",
                remedy="set ZSERVE_ADMIN_TOKEN and restart the service, "
                "or run `python -m model_store promote` where the store is",
            )
        await self._identify(secret, client_of(host), {"promote"})

    async def close(self) -> None:
        """Close the connections of the limits."""
        await self._guesses.close()
        if self._calls is not None:
            await self._calls.close()

    async def _identify(self, secret: str | None, client: str, scopes: AbstractSet[Scope]) -> str:
        """Return the name of the key that a request was sent with.

        Each attempt counts as a guess before it is checked, and a valid one clears the count: of
        guesses that arrive together no more than the limit are checked.
        """
        if not secret:
            raise _unauthorized()
        wait_s = await self._guesses.take(client)
        if wait_s > 0:
            raise _too_many("attempts with a wrong token or key", self._guesses.rate, wait_s)
        name, allowed = self._compare(secret)
        await self._guesses.forget(client)
        missing = [scope for scope in SCOPES if scope in scopes and scope not in allowed]
        if missing:
            raise MissingScopeError(
                f"the key {name} lacks the scope {missing[0]}",
                remedy=f"use a key with the scope {missing[0]}, or ask the operator to add it",
            )
        return name

    def _compare(self, secret: str) -> tuple[str, AbstractSet[Scope]]:
        """Return name and scopes of the key or token with this text; raises UnauthorizedError."""
        digest = digest_of(secret)
        is_admin = hmac.compare_digest(self._admin_digest or "", digest)
        key = None if self._keys is None else self._keys.find(secret)
        if is_admin:
            return ADMIN, frozenset(SCOPES)
        if key is None:
            raise _unauthorized()
        return f"key {key.name}", key.scopes


def client_of(host: str | None) -> str:
    """Return the client that an address belongs to: an IPv4 address, or a /64 network of IPv6.

    One subscriber has a whole /64 and could use a new address for each request.
    """
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or "local"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def _limiter(settings: Settings, rate: str, name: str) -> Limiter:
    """Return a limit that is counted in Redis if one is configured, or else in this process."""
    if settings.rate_limit_redis is None:
        return MemoryLimiter(Rate.parse(rate))
    # Imported late: redis is an optional package.
    from app.access.redis_limiter import RedisLimiter  # noqa: PLC0415

    url = settings.rate_limit_redis.get_secret_value()
    return RedisLimiter(Rate.parse(rate), url, name=name)


def _unauthorized() -> UnauthorizedError:
    return UnauthorizedError(
        "the token is missing or wrong", remedy="send the header Authorization: Bearer TOKEN"
    )


def _too_many(what: str, rate: Rate, wait_s: float) -> RateLimitedError:
    return RateLimitedError(
        f"too many {what}: the limit is {rate}",
        limit=rate.count,
        remedy="try again after the time in Retry-After",
        retry_after_s=wait_s,
    )
