/** Over TLS, to a server whose certificate is made here. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { NoAnswerError } from "managedagents";
import { ManagedAgentRuntime } from "managedagents/v1";
import { client } from "./support/fake.js";

// Node.js makes no certificates; the server's own environment has a library that does.
const PYTHON = join(resolve(import.meta.dirname, "../../../.."), ".venv/bin/python");
const PROGRAM = `
from datetime import datetime, timedelta, timezone
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agents.test")])
now = datetime.now(timezone.utc)
certificate = (
    x509.CertificateBuilder()
    .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("agents.test")]), critical=False)
    .sign(key, hashes.SHA256())
)
pem = serialization.Encoding.PEM
print(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode())
print(certificate.public_bytes(pem).decode())
`;

test("a server with a certificate that is trusted is spoken to, and no other", async (t) => {
  const both = execFileSync(PYTHON, ["-c", PROGRAM], { encoding: "utf8" });
  const [key, cert] = both.split("\n\n");
  const adapter = connectNodeAdapter({
    routes: (router) => router.service(ManagedAgentRuntime, { status: () => ({ headSeq: 5n }) }),
  });
  const server = createSecureServer({ key, cert }, adapter);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  t.after(() => void server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;

  const trusting = client(t, address, { tls: { ca: cert, servername: "agents.test" } });
  assert.equal((await trusting.status("ses_1")).headSeq, 5n);
  for (const tls of [true, { ca: cert, servername: "else.test" }, false]) {
    await assert.rejects(client(t, address, { tls, connectTimeoutMs: 300 }).status("ses_1"), NoAnswerError);
  }
});
