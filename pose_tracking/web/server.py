"""Runs the application."""

from __future__ import annotations

import logging
from pathlib import Path

from .app import create_app
from .config import WebConfig

LOG = logging.getLogger(__name__)


def serve(
    config: WebConfig, port: int, certificate: Path | None = None, key: Path | None = None, proxy: str | None = None
) -> None:
    """Serve until it is interrupted.

    Args:
        config: what to show, to whom.
        port: to listen at; 0: any that is free, which the log names.
        certificate, key: files for https; None: plain http.
        proxy: address of a proxy whose X-Forwarded headers are believed; None: of nobody.

    Raises:
        ConfigError: it would be open to anyone.
        StoreError: the file of users cannot be opened.
    """
    import uvicorn

    app = create_app(config)
    if not config.is_local and certificate is None and proxy is None:
        LOG.warning("passwords cross the network in the clear: give --certificate and --key, or a proxy with https")
    uvicorn.run(
        app, host=config.host, port=port, ssl_certfile=certificate, ssl_keyfile=key, server_header=False,
        proxy_headers=proxy is not None, forwarded_allow_ips=proxy, log_level="info", access_log=False,
        timeout_keep_alive=20, h11_max_incomplete_event_size=32_768, limit_concurrency=200,
    )  # fmt: skip
