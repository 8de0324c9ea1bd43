"""Which addresses an item may lead to, and the only way by which yt-dlp gets to them.

A link of a list, a redirect, a video of a page, a segment or a key of a play list: strangers write them all. None may
reach this machine, or the network that it stands in.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from yt_dlp.networking._requests import RequestsHTTPAdapter, RequestsRH
from yt_dlp.networking._urllib import UrllibRH
from yt_dlp.networking.exceptions import RequestError
from yt_dlp.utils.networking import select_proxy

__all__ = ["PrivateHostError", "is_public", "request_handlers"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_HOLDS_IPV4 = tuple(
    ipaddress.IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
"""IPv6 that ends in the IPv4 address which is reached: compatible, mapped, translated, NAT64."""
_LOCAL = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("fec0::/10"),
    ipaddress.IPv4Network("192.0.0.0/24"),
)
"""What older versions of Python take for global."""


class PrivateHostError(RequestError):  # type: ignore[misc]  # yt-dlp is untyped
    """An item leads to this machine or into a private network. No connection was made."""


def is_public(text: str) -> bool:
    """True if an IP address is one of the open internet, also where it wraps another one.

    Args:
        text: as the resolver gives it, `127.0.0.1` or `fe80::1%eth0`.
    """
    address = _unwrapped(ipaddress.ip_address(text.partition("%")[0]))
    other = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not other and not any(address in network for network in _LOCAL)


def request_handlers(*, allow_private_hosts: bool) -> list[type[Any]]:
    """The handlers of yt-dlp that are left: `requests` for the web, and one for `data:`, which opens nothing.

    yt-dlp has others (urllib, websockets, curl); what they connect to cannot be looked at between name and connection.
    """
    return [_WebRH if allow_private_hosts else _PublicRH, _DataRH]


def _unwrapped(address: _Address) -> _Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _HOLDS_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.sixtofour or address


def _checked_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, as IP addresses, so that what is checked is what is connected to.

    Raises:
        PrivateHostError: if any of them is not public. One of several is enough: which one is taken is chance.
        socket.gaierror: if the name is not known.
    """
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except UnicodeError:
        raise RequestError(f"no host name: {host!r:.80}") from None
    addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
    for address in addresses:
        if not is_public(address):
            where = host if host == address else f"{host} ({address})"
            raise PrivateHostError(
                f"leads to {where}: this machine or a private network, where a list has no business; "
                "if it is your own server: --allow-private-hosts, with --retry-failed"
            )
    return addresses


class _Public(HTTPConnection):
    """Resolves the name itself, checks, and connects to the very address that it checked."""

    def _new_conn(self) -> socket.socket:
        host = self._dns_host
        try:
            addresses = _checked_addresses(host.strip("[]"), self.port)
        except socket.gaierror as error:
            raise NameResolutionError(host, self, error) from error
        failed: Exception = NewConnectionError(self, f"no address of {host}")
        try:
            for self._dns_host in addresses:
                try:
                    return super()._new_conn()
                except (NewConnectionError, ConnectTimeoutError) as error:
                    failed = error
        finally:
            self._dns_host = host
        raise failed


class _PublicTls(_Public, HTTPSConnection):
    """The same under TLS: the certificate is that of the name."""


class _PublicPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Public


class _PublicTlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PublicTls


class _Adapter(RequestsHTTPAdapter):  # type: ignore[misc]  # yt-dlp is untyped
    """Asked once for every hop of a redirect."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response: requests.Response = super().send(request, *args, **kwargs)
        if response.is_redirect:  # `requests` reads the body to its end, whatever its size; it is of no use to anybody
            response.close()
            response._content, response._content_consumed = b"", True
        return response


class _PublicAdapter(_Adapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicPool, "https": _PublicTlsPool}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if select_proxy(request.url, kwargs.get("proxies") or {}):
            _check_behind_proxy(request.url or "")
        return super().send(request, *args, **kwargs)


def _check_behind_proxy(url: str) -> None:
    """A proxy is the user's own, wherever it stands; it resolves the name again, so this is as much as can be done."""
    parts = urlsplit(url)
    try:
        _checked_addresses(parts.hostname or "", parts.port or 80)
    except socket.gaierror:
        return  # known to the proxy alone


class _WebRH(RequestsRH):  # type: ignore[misc]  # yt-dlp is untyped
    adapter: type[_Adapter] = _Adapter

    def _create_instance(self, *args: Any, **kwargs: Any) -> Any:
        session = super()._create_instance(*args, **kwargs)
        adapter = self.adapter(
            ssl_context=session.adapters["https://"]._pm_args.get("ssl_context"),
            source_address=self.source_address,
            max_retries=urllib3.util.Retry(False),
        )
        for prefix in ("https://", "http://"):
            session.mount(prefix, adapter)
        return session


class _PublicRH(_WebRH):
    adapter = _PublicAdapter


class _DataRH(UrllibRH):  # type: ignore[misc]  # yt-dlp is untyped
    """`data:` alone: its content stands in the address itself."""

    _SUPPORTED_URL_SCHEMES = ("data",)
