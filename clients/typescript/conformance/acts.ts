/** What the program can do beside scenarios, for tests in which several languages meet: tests/conformance/README.md. */

import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { Client, kindOf, type Tools } from "managedagents";
import { connect } from "managedagents/node";
import { StreamEndReason } from "managedagents/v1";

interface Act {
  /** What it is given, after the address and the session. */
  readonly usage: string;
  /** So many of them must be there. */
  readonly needs: number;
  readonly do: (client: Client, sessionId: string, given: readonly string[]) => Promise<void>;
}

const ACTS: Readonly<Record<string, Act>> = {
  follow: { usage: "COUNT", needs: 1, do: follow },
  run: { usage: "TEXT [TOOL=VALUE ...]", needs: 1, do: run },
  answer: { usage: "VALUE", needs: 1, do: answer },
  log: { usage: "", needs: 0, do: log },
};

/** Undefined: there is no act of this name. It throws what is wrong. */
export function actOf(name = ""): ((given: readonly string[]) => Promise<void>) | undefined {
  const act = Object.hasOwn(ACTS, name) ? ACTS[name] : undefined;
  if (act === undefined) return undefined;
  return async ([address, sessionId, ...given]) => {
    if (address === undefined || sessionId === undefined || given.length < act.needs) {
      throw new Error(`usage: ${name} ADDRESS SESSION ${act.usage}`);
    }
    // A URL is one of a proxy, asked as a browser does.
    const isUrl = address.startsWith("http");
    const client = isUrl ? new Client(createGrpcWebTransport({ baseUrl: address })) : connect(address);
    try {
      await act.do(client, sessionId, given);
    } finally {
      client.close();
    }
  };
}

async function follow(client: Client, sessionId: string, [count = ""]: readonly string[]): Promise<void> {
  if (!/^[1-9]\d*$/.test(count)) throw new Error(`${count} is no number of followers`);
  let waiting = Number(count);
  const begins = (): void => {
    if (--waiting === 0) console.log("following");
  };
  const seen = await Promise.all(Array.from({ length: waiting }, () => seqs(client, sessionId, begins)));
  const last = Math.max(...seen.map(({ length }) => length));
  const wrong = [...seen.keys()].filter((number) => !isAll(seen[number] ?? [], last));
  if (wrong.length > 0) throw new Error(`followers ${wrong.join(", ")} saw something else`);
  console.log(`${count} followers, ${last} events each`);
}

/** Those of the whole session. */
async function seqs(client: Client, sessionId: string, begins: () => void): Promise<bigint[]> {
  const seen: bigint[] = [];
  for await (const { seq } of client.follow(sessionId)) {
    seen.push(seq);
    if (seen.length === 1) begins();
  }
  if (seen.length === 0) throw new Error("the session was over before its first event was seen");
  return seen;
}

function isAll(seqs: readonly bigint[], last: number): boolean {
  return seqs.length === last && seqs.every((seq, index) => seq === BigInt(index + 1));
}

async function run(client: Client, sessionId: string, [words = "", ...given]: readonly string[]): Promise<void> {
  const tools: Tools = Object.fromEntries(
    given.map((tool) => {
      const [name = "", ...value] = tool.split("=");
      return [name, () => value.join("=")];
    }),
  );
  const result = await client.run(sessionId, words, { tools });
  console.log(`${result.stopReason} ${result.text}`);
}

async function answer(client: Client, sessionId: string, [value = ""]: readonly string[]): Promise<void> {
  for await (const { payload } of client.follow(sessionId)) {
    if (payload.case !== "agentCustomToolUse") continue;
    const { customToolUseId } = payload.value;
    await client.send(sessionId, { userCustomToolResult: { customToolUseId, content: [{ text: { text: value } }] } });
    console.log(`answered ${customToolUseId}`);
    return;
  }
  throw new Error("the session was over before a custom tool was used");
}

async function log(client: Client, sessionId: string): Promise<void> {
  const events = client.follow(sessionId);
  for await (const event of events) console.log(`${event.seq} ${kindOf(event)}`);
  if (events.ended === undefined) throw new Error("the log did not end");
  console.log(`ended ${StreamEndReason[events.ended.reason].toLowerCase()} ${events.ended.lastSeq}`);
}
