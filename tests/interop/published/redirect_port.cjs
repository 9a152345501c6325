// Preloaded into amqplib's own suite: a few of its tests name `amqp://localhost` without a port, and the broker under
// test does not listen on 5672. Connections to the default port go to the broker under test instead.
const net = require('node:net');

const DEFAULT_PORT = 5672;
const broker = new URL(process.env.INTEROP_URI);
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...args) {
  // net.connect() hands its normalized arguments over as one array.
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (options && Number(options.port) === DEFAULT_PORT) {
    options.host = broker.hostname;
    options.port = Number(broker.port || DEFAULT_PORT);
  }
  return connect.apply(this, args);
};
