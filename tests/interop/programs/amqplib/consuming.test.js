const { describe, it } = require('node:test');
const assert = require('node:assert');
const { event, withChannel, withConfirmChannel, exclusiveQueue, collect, get, texts } = require('./helpers');

describe('consumers', () => {
  it('receive_in_order', () => withChannel(async (channel) => {
    const queue = await exclusiveQueue(channel);
    const received = collect(channel, queue, 200, { noAck: true });
    const sent = Array.from({ length: 200 }, (_, n) => `${n}`);
    for (const text of sent) channel.sendToQueue(queue, Buffer.from(text));
    assert.deepStrictEqual(texts(await received), sent);
  }));

  it('get_a_generated_tag', () => withChannel(async (channel) => {
    const { consumerTag } = await channel.consume(await exclusiveQueue(channel), () => {});
    assert.match(consumerTag, /^amq\.ctag-[A-Za-z0-9_-]{22}$/);
    await channel.cancel(consumerTag);
    await channel.cancel('never-consumed');
  }));

  it('are_limited_by_prefetch', () => withChannel(async (channel) => {
    const queue = await exclusiveQueue(channel);
    await channel.prefetch(2);
    const received = [];
    let more;
    for (let n = 0; n < 4; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
    const two = new Promise((resolve) => { more = resolve; });
    await channel.consume(queue, (message) => { if (received.push(message) % 2 === 0) more(); });
    await two;
    assert.strictEqual((await channel.checkQueue(queue)).messageCount, 2);
    assert.strictEqual(received.length, 2);
    const four = new Promise((resolve) => { more = resolve; });
    channel.ackAll();
    await four;
    assert.deepStrictEqual(texts(received), ['0', '1', '2', '3']);
  }));

  it('share_a_channel_wide_prefetch', () => withChannel(async (channel) => {
    const queue = await exclusiveQueue(channel);
    await channel.prefetch(3, true);
    let received = 0;
    await channel.consume(queue, () => received++);
    await channel.consume(queue, () => received++);
    for (let n = 0; n < 10; n++) channel.sendToQueue(queue, Buffer.from(''));
    // Two round trips: the first makes sure the messages are there, the second that their deliveries are.
    await channel.checkQueue(queue);
    assert.strictEqual((await channel.checkQueue(queue)).messageCount, 7);
    assert.strictEqual(received, 3);
  }));

  it('are_told_when_their_queue_is_deleted', () => withChannel(async (channel, connection) => {
    const queue = await exclusiveQueue(channel);
    const cancelled = collect(channel, queue, 1);
    await (await connection.createChannel()).deleteQueue(queue);
    assert.deepStrictEqual(await cancelled, [null]);
  }));

  it('that_are_exclusive_keep_others_out', () => withChannel(async (channel) => {
    const queue = await exclusiveQueue(channel);
    await channel.consume(queue, () => {}, { exclusive: true });
    await assert.rejects(channel.consume(queue, () => {}), /403 \(ACCESS-REFUSED\).*in exclusive use/);
  }));
});

describe('settling', () => {
  const setUp = async (channel, ...bodies) => {
    const queue = await exclusiveQueue(channel);
    for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body));
    return queue;
  };

  it('nack_with_requeue_redelivers_at_the_head', () => withChannel(async (channel) => {
    const queue = await setUp(channel, '1', '2');
    const first = await get(channel, queue);
    assert.strictEqual(first.fields.redelivered, false);
    channel.nack(first);
    const again = await get(channel, queue);
    assert.deepStrictEqual([again.content.toString(), again.fields.redelivered], ['1', true]);
  }));

  it('reject_without_requeue_drops', () => withChannel(async (channel) => {
    const queue = await setUp(channel, '1', '2');
    channel.reject(await get(channel, queue), false);
    assert.strictEqual((await get(channel, queue)).content.toString(), '2');
    assert.strictEqual(await channel.get(queue), false);
  }));

  it('nack_all_requeues_everything', () => withChannel(async (channel) => {
    const queue = await setUp(channel, '1', '2');
    await get(channel, queue);
    await get(channel, queue);
    channel.nackAll(true);
    assert.strictEqual((await channel.checkQueue(queue)).messageCount, 2);
  }));

  it('recover_redelivers', () => withChannel(async (channel) => {
    const queue = await setUp(channel, '1');
    await get(channel, queue);
    await channel.recover();
    assert.strictEqual((await get(channel, queue)).fields.redelivered, true);
  }));

  it('twice_closes_the_channel_with_406', () => withChannel(async (channel) => {
    const message = await get(channel, await setUp(channel, '1'));
    const failed = event(channel, 'error');
    channel.ack(message);
    channel.ack(message);
    const [error] = await failed;
    assert.match(error.message, /406 .*unknown delivery tag 1/);
  }));

  it('closing_the_channel_requeues', () => withConfirmChannel(async (channel, connection) => {
    const queue = await setUp(channel, 'held');
    const other = await connection.createChannel();
    await get(other, queue);
    await other.close();
    assert.strictEqual((await get(channel, queue)).fields.redelivered, true);
  }));
});
