"""A real Envoy before the server, as docs/proxies.md configures it, but that it cuts what lasts."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import yaml

from support.typed import Page


@asynccontextmanager
async def envoy(upstream: str, *, longest_stream: str) -> AsyncIterator[str]:
    """Gives its address, where it speaks gRPC and gRPC-Web. A stream is cut after `longest_stream`, say 1s."""
    config = json.dumps(_config(upstream, longest_stream))
    with tempfile.NamedTemporaryFile("r") as admin:
        command = (Path(sys.executable).with_name("envoy"), "--config-yaml", config, "--admin-address-path", admin.name)
        quiet = ("--log-level", "error", "--disable-hot-restart", "--concurrency", "1")
        process = await asyncio.create_subprocess_exec(*command, *quiet)
        try:
            async with asyncio.timeout(30), httpx2.AsyncClient() as client:
                while not (asked := admin.read()):
                    admin.seek(0)
                    assert process.returncode is None, "envoy has ended"
                    await asyncio.sleep(0.02)
                address = await _address(client, f"http://{asked}/listeners?format=json")
            yield address
        finally:
            process.kill()
            await process.wait()


async def _address(client: httpx2.AsyncClient, listeners: str) -> str:
    """Where it listens, once it does."""
    while True:
        for listener in (await client.get(listeners)).json().get("listener_statuses", ()):
            address = listener["local_address"]["socket_address"]
            return f"{address['address']}:{address['port_value']}"
        await asyncio.sleep(0.02)


def _config(upstream: str, longest_stream: str) -> dict[str, Any]:
    """That of the page, with a port of its own, this upstream, and the cut."""
    (block,) = Page("docs/proxies.md").blocks("yaml")
    config: dict[str, Any] = yaml.safe_load(block)
    (listener,) = config["static_resources"]["listeners"]
    (cluster,) = config["static_resources"]["clusters"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    stream = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    host, _, port = upstream.rpartition(":")
    endpoint["address"] = _socket(host, int(port))
    listener["address"] = _socket("127.0.0.1", 0)
    stream["max_stream_duration"] = {"max_stream_duration": longest_stream}
    return {"admin": {"address": _socket("127.0.0.1", 0)}, **config}


def _socket(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
