"""A real Envoy before the server, as docs/proxies.md configures it, but that it cuts what lasts."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from support.typed import Page, free_port


@asynccontextmanager
async def envoy(upstream: str, *, longest_stream: str) -> AsyncIterator[str]:
    """Gives its address, where it will soon speak gRPC and gRPC-Web: clients try for a while. A stream is cut after
    `longest_stream`, say 1s."""
    port = int(free_port())
    config = json.dumps(_config(port, upstream, longest_stream))
    command = (Path(sys.executable).with_name("envoy"), "--config-yaml", config)
    quiet = ("--log-level", "error", "--disable-hot-restart", "--concurrency", "1")
    process = await asyncio.create_subprocess_exec(*command, *quiet)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


def _config(port: int, upstream: str, longest_stream: str) -> dict[str, Any]:
    """That of the page, with this port, this upstream, and the cut."""
    (block,) = Page("docs/proxies.md").blocks("yaml")
    config: dict[str, Any] = yaml.safe_load(block)
    (listener,) = config["static_resources"]["listeners"]
    (cluster,) = config["static_resources"]["clusters"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    stream = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    host, _, server_port = upstream.rpartition(":")
    endpoint["address"]["socket_address"] = {"address": host, "port_value": int(server_port)}
    listener["address"]["socket_address"]["port_value"] = port
    stream["max_stream_duration"] = {"max_stream_duration": longest_stream}
    return config
