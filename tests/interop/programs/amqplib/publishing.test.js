const { describe, it } = require('node:test');
const assert = require('node:assert');
const {
  uniqueName, event, withChannel, withConfirmChannel, exclusiveQueue, collect, get,
} = require('./helpers');

describe('properties', () => {
  it('all_arrive_as_sent', () => withChannel(async (channel) => {
    const queue = await exclusiveQueue(channel);
    const sent = {
      contentType: 'text/plain', contentEncoding: 'identity', deliveryMode: 2, priority: 3, correlationId: 'c',
      replyTo: 'r', expiration: '60000', messageId: 'm', timestamp: 1700000000, type: 't', userId: 'guest', appId: 'a',
    };
    channel.sendToQueue(queue, Buffer.from('body'), sent);
    const { properties } = await get(channel, queue);
    for (const [field, value] of Object.entries(sent)) assert.strictEqual(properties[field], value, field);
  }));

  const values = {
    byte: { '!': 'byte', value: -5 }, short: { '!': 'short', value: -500 }, int: -70000, long: { '!': 'long', value: 2 ** 40 },
    float: { '!': 'float', value: 0.5 }, double: 1.25, timestamp: { '!': 'timestamp', value: 1700000000 },
    decimal: { '!': 'decimal', value: { digits: 314, places: 2 } }, true: true, false: false, void: null,
    string: 'ä', bytes: Buffer.from([0, 255]), array: [1, 'two', [true]], table: { nested: { deep: null } },
  };
  const plain = new Set(['byte', 'short', 'long', 'float']);
  for (const [kind, value] of Object.entries(values)) {
    it(`header_of_type_${kind}_arrives_as_sent`, () => withChannel(async (channel) => {
      const queue = await exclusiveQueue(channel);
      channel.sendToQueue(queue, Buffer.from(''), { headers: { value } });
      const received = (await get(channel, queue)).properties.headers.value;
      assert.deepStrictEqual(received, plain.has(kind) ? value.value : value);
    }));
  }
});

describe('bodies', () => {
  for (const size of [0, 1, 131064, 131065, 10 * 1024 * 1024]) {
    it(`of_${size}_bytes_arrive_whole`, () => withChannel(async (channel) => {
      const queue = await exclusiveQueue(channel);
      const body = Buffer.alloc(size, '0123456789');
      channel.sendToQueue(queue, body);
      assert.ok((await get(channel, queue)).content.equals(body));
    }));
  }
});

describe('confirms', () => {
  it('come_for_every_message', () => withConfirmChannel(async (channel) => {
    const queue = await exclusiveQueue(channel);
    let confirmed = 0;
    for (let n = 0; n < 1000; n++) {
      channel.sendToQueue(queue, Buffer.from(`${n}`), { persistent: true }, (error) => { if (!error) confirmed++; });
    }
    await channel.waitForConfirms();
    assert.strictEqual(confirmed, 1000);
    assert.strictEqual((await channel.checkQueue(queue)).messageCount, 1000);
  }));

  it('follow_the_return_of_an_unroutable_message', () => withConfirmChannel(async (channel) => {
    const order = [];
    channel.on('return', (message) => order.push(['return', message.fields.replyCode, message.fields.replyText,
      message.fields.routingKey, message.content.toString()]));
    channel.publish('', 'interop.nowhere', Buffer.from('back'), { mandatory: true }, () => order.push(['ack']));
    await channel.waitForConfirms();
    assert.deepStrictEqual(order, [['return', 312, 'NO_ROUTE', 'interop.nowhere', 'back'], ['ack']]);
  }));

  it('are_negative_when_a_full_queue_rejects', () => withConfirmChannel(async (channel) => {
    const queue = await exclusiveQueue(channel, { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } });
    channel.sendToQueue(queue, Buffer.from('fits'));
    await channel.waitForConfirms();
    channel.sendToQueue(queue, Buffer.from('does not fit'));
    await assert.rejects(channel.waitForConfirms(), /nacked/);
  }));

  it('are_positive_without_any_route', () => withConfirmChannel(async (channel) => {
    channel.publish('amq.direct', uniqueName('no-route'), Buffer.from('dropped'));
    await channel.waitForConfirms();
  }));
});

describe('refused messages', () => {
  const refusals = [
    { what: 'invalid_expiration', options: { expiration: 'soon' }, text: /invalid expiration 'soon'/ },
    { what: 'foreign_user_id', options: { userId: 'other' },
      text: /user_id property set to 'other' but authenticated user was 'guest'/ },
  ];
  for (const { what, options, text } of refusals) {
    it(`${what}_closes_the_channel_with_406`, () => withChannel(async (channel) => {
      const failed = event(channel, 'error');
      channel.publish('', await exclusiveQueue(channel), Buffer.from(''), options);
      const [error] = await failed;
      assert.strictEqual(error.code, 406);
      assert.match(error.message, text);
    }));
  }
});

describe('direct reply-to', () => {
  it('answers_requests_without_a_queue', () => withChannel(async (server, connection) => {
    const queue = await exclusiveQueue(server);
    await server.consume(queue, (request) => {
      const { replyTo, correlationId } = request.properties;
      server.sendToQueue(replyTo, Buffer.from(`re: ${request.content}`), { correlationId });
    }, { noAck: true });
    const client = await connection.createChannel();
    const answers = collect(client, 'amq.rabbitmq.reply-to', 3, { noAck: true });
    for (const n of [1, 2, 3]) {
      client.sendToQueue(queue, Buffer.from(`${n}`), { replyTo: 'amq.rabbitmq.reply-to', correlationId: `${n}` });
    }
    assert.deepStrictEqual(
      (await answers).map((m) => [m.properties.correlationId, m.content.toString()]),
      [['1', 're: 1'], ['2', 're: 2'], ['3', 're: 3']]);
  }));

  it('needs_a_consumer_first', () => withChannel(async (channel) => {
    const failed = event(channel, 'error');
    channel.sendToQueue(await exclusiveQueue(channel), Buffer.from(''), { replyTo: 'amq.rabbitmq.reply-to' });
    const [error] = await failed;
    assert.match(error.message, /406 .*fast reply consumer does not exist/);
  }));
});
