const { describe, it } = require('node:test');
const assert = require('node:assert');
const { uniqueName, event, withChannel, exclusiveQueue, get, collect, texts } = require('./helpers');

describe('queues', () => {
  it('are_declared_with_their_counts', () => withChannel(async (channel) => {
    const queue = uniqueName('counts');
    assert.deepStrictEqual(await channel.assertQueue(queue, { exclusive: true }),
      { queue, messageCount: 0, consumerCount: 0 });
    await channel.consume(queue, () => {});
    assert.strictEqual((await channel.checkQueue(queue)).consumerCount, 1);
  }));

  it('get_a_generated_name', () => withChannel(async (channel) => {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    assert.match(queue, /^amq\.gen-[A-Za-z0-9_-]{22}$/);
  }));

  it('that_are_missing_close_the_channel_with_404', () => withChannel(async (channel) => {
    const closed = event(channel, 'error');
    await assert.rejects(channel.checkQueue('interop.missing'), (error) => {
      assert.strictEqual(error.code, 404);
      assert.strictEqual(error.classId, 50);
      assert.strictEqual(error.methodId, 10);
      assert.match(error.message, /NOT_FOUND - no queue 'interop\.missing' in vhost '\/'/);
      return true;
    });
    await closed;
  }));

  it('redeclared_differently_close_the_channel_with_406', () => withChannel(async (channel, connection) => {
    const queue = uniqueName('redeclared');
    await channel.assertQueue(queue, { durable: true });
    await assert.rejects(channel.assertQueue(queue, { durable: false }),
      /406 \(PRECONDITION-FAILED\) with message "PRECONDITION_FAILED - inequivalent arg 'durable'/);
    await (await connection.createChannel()).deleteQueue(queue);
  }));

  it('purged_and_deleted_report_their_messages', () => withChannel(async (channel, connection) => {
    const queue = await exclusiveQueue(channel);
    channel.sendToQueue(queue, Buffer.from('1'));
    channel.sendToQueue(queue, Buffer.from('2'));
    assert.deepStrictEqual(await channel.purgeQueue(queue), { messageCount: 2 });
    channel.sendToQueue(queue, Buffer.from('3'));
    assert.deepStrictEqual(await channel.deleteQueue(queue), { messageCount: 1 });
    assert.deepStrictEqual(await channel.deleteQueue(queue), { messageCount: 0 });
  }));

  it('expire_messages_into_their_dead_letter_exchange', () => withChannel(async (channel) => {
    const dead = await exclusiveQueue(channel);
    const source = await exclusiveQueue(channel, {
      messageTtl: 50, deadLetterExchange: '', deadLetterRoutingKey: dead, expires: 60_000, maxLength: 10,
    });
    channel.sendToQueue(source, Buffer.from('late'));
    const { properties } = await get(channel, dead);
    const [death] = properties.headers['x-death'];
    assert.deepStrictEqual(
      [death.reason, death.queue, death.count, death.exchange, death['routing-keys']],
      ['expired', source, 1, '', [source]]);
    assert.strictEqual(death.time['!'], 'timestamp');
  }));

  it('with_priorities_deliver_the_highest_first', () => withChannel(async (channel) => {
    const queue = await exclusiveQueue(channel, { maxPriority: 9 });
    for (const priority of [1, 9, 5]) channel.sendToQueue(queue, Buffer.from(`${priority}`), { priority });
    await channel.checkQueue(queue);
    assert.deepStrictEqual(texts(await collect(channel, queue, 3)), ['9', '5', '1']);
  }));
});

describe('exchanges', () => {
  const routes = [
    { type: 'direct', pattern: 'a.b', args: {}, key: 'a.b', headers: {}, miss: 'a.c' },
    { type: 'fanout', pattern: '', args: {}, key: 'anything', headers: {} },
    { type: 'topic', pattern: 'a.*.#', args: {}, key: 'a.b.c.d', headers: {}, miss: 'a' },
    { type: 'headers', pattern: '', args: { 'x-match': 'all', n: 1 }, key: '', headers: { n: 1 } },
  ];
  for (const { type, pattern, args, key, headers, miss } of routes) {
    it(`${type}_routes_what_matches`, () => withChannel(async (channel) => {
      const { exchange } = await channel.assertExchange(uniqueName(type), type, { durable: false });
      const queue = await exclusiveQueue(channel);
      await channel.bindQueue(queue, exchange, pattern, args);
      if (miss) channel.publish(exchange, miss, Buffer.from('missed'));
      channel.publish(exchange, key, Buffer.from('routed'), { headers });
      assert.strictEqual((await get(channel, queue)).content.toString(), 'routed');
      await channel.unbindQueue(queue, exchange, pattern, args);
      await channel.deleteExchange(exchange, { ifUnused: true });
    }));
  }

  it('bound_to_exchanges_pass_messages_on', () => withChannel(async (channel) => {
    const source = (await channel.assertExchange(uniqueName('source'), 'direct', { durable: false })).exchange;
    const target = (await channel.assertExchange(uniqueName('target'), 'fanout', { durable: false })).exchange;
    const queue = await exclusiveQueue(channel);
    await channel.bindExchange(target, source, 'key');
    await channel.bindQueue(queue, target, '');
    channel.publish(source, 'key', Buffer.from('passed on'));
    assert.strictEqual((await get(channel, queue)).content.toString(), 'passed on');
    await channel.unbindExchange(target, source, 'key');
    await channel.deleteExchange(source, { ifUnused: true });
    await channel.deleteExchange(target);
  }));

  it('that_are_missing_close_the_channel_on_publish', () => withChannel(async (channel, connection) => {
    const failed = event(channel, 'error');
    channel.publish('interop.missing', 'key', Buffer.from(''));
    const [error] = await failed;
    assert.deepStrictEqual([error.code, error.classId, error.methodId], [404, 60, 40]);
    // The connection goes on.
    await exclusiveQueue(await connection.createChannel());
  }));

  it('refuse_to_be_redeclared_with_another_type', () => withChannel(async (channel) => {
    await channel.checkExchange('amq.direct');
    await assert.rejects(channel.assertExchange('amq.direct', 'fanout'),
      /inequivalent arg 'type' for exchange 'amq\.direct' in vhost '\/': received 'fanout' but current is 'direct'/);
  }));
});
