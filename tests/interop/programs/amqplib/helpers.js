// What every file of these programs needs: the broker's address, names of one's own, and waiting for events.
const { randomUUID } = require('node:crypto');
const amqp = require('amqplib');

const URI = process.env.INTEROP_URI;

const uniqueName = (what) => `interop.${what}.${randomUUID().slice(0, 8)}`;

/** Resolve with the arguments of the emitter's next event of this name. */
const event = (emitter, name) => new Promise((resolve) => emitter.once(name, (...args) => resolve(args)));

/** Run `body` with a connection that is closed afterwards, whatever happened to it. */
async function withConnection(body, options) {
  const connection = await amqp.connect(URI, options);
  // Tests that expect an error listen for it themselves; without any listener the process would end.
  connection.on('error', () => {});
  try {
    return await body(connection);
  } finally {
    await connection.close().catch(() => {});
  }
}

async function withChannel(body, kind = 'createChannel') {
  return withConnection(async (connection) => {
    const channel = await connection[kind]();
    channel.on('error', () => {});
    return body(channel, connection);
  });
}

const withConfirmChannel = (body) => withChannel(body, 'createConfirmChannel');

/** An exclusive queue under a name of its own. */
async function exclusiveQueue(channel, options) {
  return (await channel.assertQueue(uniqueName('queue'), { exclusive: true, ...options })).queue;
}

/** Consume until `count` messages are there. */
function collect(channel, queue, count, options) {
  const messages = [];
  return new Promise((resolve, reject) => {
    channel.consume(queue, (message) => {
      messages.push(message);
      if (messages.length === count) resolve(messages);
    }, options).catch(reject);
  });
}

/** The next message, once it is there. */
async function get(channel, queue, options) {
  const deadline = Date.now() + 15_000;
  while (Date.now() < deadline) {
    const message = await channel.get(queue, options);
    if (message) return message;
  }
  throw new Error(`no message arrived in ${queue}`);
}

const texts = (messages) => messages.map((message) => message.content.toString());

module.exports = {
  URI, amqp, uniqueName, event, withConnection, withChannel, withConfirmChannel, exclusiveQueue, collect, get, texts,
};
