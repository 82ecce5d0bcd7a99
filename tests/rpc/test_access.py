"""Who may call: bearer tokens, TLS, client certificates."""

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from managedagents.v1 import service_pb2 as pb
from support.calls import refused, scripted, send, start, until
from support.requests import SERVICE, raw_call
from support.server import Stub, running

TOKEN = "tok_good-1.2~3+4/5="
LIST = pb.ListSessionsRequest()


def bearing(*values: str) -> tuple[tuple[str, str], ...]:
    return tuple(("authorization", value) for value in values)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[grpc.aio.Channel]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "tokens").write_text(f"# for the tests\n\ntok_other\n  {TOKEN}  \n")
    flags = ("--tokens", str(folder / "tokens"))
    async with running(folder / "log.db", *flags) as server, server.channel() as channel:
        yield channel


@pytest.mark.parametrize("value", [f"Bearer {TOKEN}", f"bearer   {TOKEN}", "Bearer tok_other"])
async def test_a_known_token_may_call(guarded: grpc.aio.Channel, value: str) -> None:
    assert await Stub(guarded).ListSessions(LIST, metadata=bearing(value)) == pb.ListSessionsResponse()


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("Bearer",),
        ("Bearer tok_bad",),
        (TOKEN,),
        (f"Basic {TOKEN}",),
        (f"Bearer {TOKEN}x",),
        (f"Bearer {TOKEN[:-1]}",),
        (f"Bearer {TOKEN} tok_other",),
        ("Bearer # for the tests",),
    ],
)
async def test_anything_else_is_unauthenticated(guarded: grpc.aio.Channel, values: Sequence[str]) -> None:
    refusal = await refused(Stub(guarded).ListSessions(LIST, metadata=bearing(*values)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert refusal.retry_after is None


@pytest.mark.parametrize("method", [*(method.name for method in SERVICE.methods), "Explode"])
async def test_no_method_is_open(guarded: grpc.aio.Channel, method: str) -> None:
    assert (await refused(raw_call(guarded, method, b"\xff"))).reason == "UNAUTHENTICATED"


async def test_health_is_open_to_balancers_that_know_no_token(guarded: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(guarded)
    answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


class Certificates:
    """An authority of the test's own, and what it signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._openssl("req", "-x509", *self._new_key("ca"), "-subj", "/CN=tests", "-days", "2", "-out", "ca.pem")
        for name in ("server", "client"):
            self._openssl("req", *self._new_key(name), "-subj", "/CN=localhost", "-out", f"{name}.csr")
            (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
            self._openssl(
                *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
                *("-extfile", "names", "-days", "2", "-out", f"{name}.pem"),
            )

    @staticmethod
    def _new_key(name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@asynccontextmanager
async def secured(db: Path, certificates: Certificates, *flags: str) -> AsyncIterator[str]:
    """The address of a server with a certificate."""
    tls = ("--tls-cert", certificates.path("server.pem"), "--tls-key", certificates.path("server.key"))
    async with running(db, *tls, *flags) as server:
        yield server.address


async def test_tls_is_spoken_and_nothing_else(tmp_path: Path, certificates: Certificates) -> None:
    async with secured(tmp_path / "log.db", certificates) as address:
        trusting = grpc.ssl_channel_credentials(certificates.read("ca.pem"))
        async with grpc.aio.secure_channel(address, trusting) as channel:
            stub = Stub(channel)
            session_id = await start(stub, scripted({"text": "ok"}))
            await send(stub, session_id, "go")
            await until(stub, session_id, "status.idle")
        async with grpc.aio.insecure_channel(address) as channel:
            assert (await refused(Stub(channel).ListSessions(LIST))).code is grpc.StatusCode.UNAVAILABLE
        strange = grpc.ssl_channel_credentials(certificates.read("client.pem"))
        async with grpc.aio.secure_channel(address, strange) as channel:
            assert (await refused(Stub(channel).ListSessions(LIST))).code is grpc.StatusCode.UNAVAILABLE


async def test_with_an_authority_clients_must_show_a_certificate(tmp_path: Path, certificates: Certificates) -> None:
    flags = ("--tls-client-ca", certificates.path("ca.pem"))
    async with secured(tmp_path / "log.db", certificates, *flags) as address:
        root = certificates.read("ca.pem")
        known = grpc.ssl_channel_credentials(root, certificates.read("client.key"), certificates.read("client.pem"))
        async with grpc.aio.secure_channel(address, known) as channel:
            assert await Stub(channel).ListSessions(LIST) == pb.ListSessionsResponse()
        async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(root)) as channel:
            assert (await refused(Stub(channel).ListSessions(LIST))).code is grpc.StatusCode.UNAVAILABLE


async def test_with_tls_and_tokens_it_listens_beyond_loopback(tmp_path: Path, certificates: Certificates) -> None:
    (tmp_path / "tokens").write_text(TOKEN)
    flags = ("--tokens", str(tmp_path / "tokens"), "--listen", "0.0.0.0:0")
    async with secured(tmp_path / "log.db", certificates, *flags) as address:
        local = address.replace("0.0.0.0", "127.0.0.1")
        trusting = grpc.ssl_channel_credentials(certificates.read("ca.pem"))
        async with grpc.aio.secure_channel(local, trusting) as channel:
            listed = await Stub(channel).ListSessions(LIST, metadata=bearing(f"Bearer {TOKEN}"))
            assert listed == pb.ListSessionsResponse()
            assert (await refused(Stub(channel).ListSessions(LIST))).code is grpc.StatusCode.UNAUTHENTICATED
