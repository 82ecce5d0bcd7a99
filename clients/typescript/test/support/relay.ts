/** Stands between a client and a server, and loses what the server says. */

import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { TestContext } from "node:test";

export interface Relay {
  address: string;
  /** From now on nothing that the server says arrives, until `cut`. */
  losesAnswers: () => void;
  /** Break the connections there are; those that are made afterwards lose nothing. */
  cut: () => void;
}

export async function relay(t: TestContext, address: string): Promise<Relay> {
  const sockets = new Set<Socket>();
  let losing = false;
  const server = createServer((near) => {
    const far = connect(Number(address.split(":").pop()), "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on("data", (data) => far.write(data));
    far.on("data", (data) => losing || near.write(data));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    losing = false;
    for (const socket of sockets) socket.destroy();
  };
  t.after(() => {
    server.close();
    cut();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    losesAnswers: () => {
      losing = true;
    },
    cut,
  };
}
