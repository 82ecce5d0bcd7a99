// A client in JavaScript. It starts a session, follows it over cut connections and restarts of the server, and lets
// whoever sits at the keyboard answer the tool uses:
//
//     npm ci && node client.mjs 127.0.0.1:50051 ../../../proto
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const [address, protos] = process.argv.slice(2);
const definition = loader.loadSync('managedagents/v1/service.proto', {
  includeDirs: [protos],
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { ManagedAgentRuntime } = grpc.loadPackageDefinition(definition).managedagents.v1;
const service = new ManagedAgentRuntime(address, grpc.credentials.createInsecure(), {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.max_receive_message_length': 16 * 1024 * 1024,
});
const typed = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const AGENT = {
  name: 'operator',
  model: {
    scripted: {
      responses: [
        { text: 'On it.', tool_calls: [{ name: 'deploy', input_json: '{"service": "web"}' }] },
        { text: 'Version 8 of web is live.', delay: { seconds: 1 } },
      ],
    },
  },
  tools: [{ custom: { name: 'deploy', description: 'Deploys a service.' } }],
};

const text = (words) => [{ text: { text: words } }];

// A call that may not have come through is made again with the same request id, so that it happens once.
async function call(method, request) {
  const whole = { request_id: randomUUID(), ...request };
  for (;;) {
    try {
      return await new Promise((resolve, reject) => {
        service[method](whole, (error, answer) => (error ? reject(error) : resolve(answer)));
      });
    } catch (error) {
      await orGiveUp(error);
    }
  }
}

// The events of a session, each once and in order, until the session is over.
async function* follow(sessionId) {
  let last = 0;
  for (;;) {
    try {
      for await (const reply of service.StreamEvents({ session_id: sessionId, from_seq: last })) {
        for (const event of reply.batch?.events ?? []) yield event;
        last = reply.batch?.through_seq ?? last;
        if (reply.ended?.final) return;
      }
    } catch (error) {
      await orGiveUp(error);
    }
  }
}

async function orGiveUp(error) {
  if (error.code !== grpc.status.UNAVAILABLE) throw error;
  await sleep(100);
}

const agent = await call('Create', { definition: AGENT });
const session = await call('StartSession', {
  agent_id: agent.agent_id,
  initial_events: [{ user_message: { content: text('Deploy web.') } }],
});

for await (const event of follow(session.session_id)) {
  console.log(event.seq, event.payload.replace('_', '.'));
  if (event.agent_custom_tool_use) {
    const use = event.agent_custom_tool_use;
    console.log(`${use.name} ${use.input_json}?`);
    const { value: answer } = await typed.next();
    const result = { custom_tool_use_id: use.custom_tool_use_id, content: text(answer) };
    await call('SendEvent', { session_id: session.session_id, event: { user_custom_tool_result: result } });
  } else if (event.agent_message) {
    console.log(event.agent_message.content.map((block) => block.text.text).join(''));
  } else if (event.status_idle) {
    await call('Archive', { session_id: session.session_id });
  }
}
process.stdin.destroy();
service.close();
