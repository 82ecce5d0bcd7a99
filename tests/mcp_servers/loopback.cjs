// Preloaded into servers that would listen on every interface, and at a port that may be taken: they listen on this
// machine alone, at a free port or at $PORT, and print where.
"use strict";

const net = require("node:net");

const listen = net.Server.prototype.listen;

process.env.PORT ??= "0";

net.Server.prototype.listen = function (port, ...rest) {
  this.once("listening", () => console.log(`loopback listens on http://127.0.0.1:${this.address().port}`));
  return listen.call(
    this,
    { port: Number(port), host: "127.0.0.1" },
    rest.find((one) => typeof one === "function"),
  );
};
