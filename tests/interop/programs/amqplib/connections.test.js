const { describe, it } = require('node:test');
const assert = require('node:assert');
const { URI, amqp, event, withConnection, withChannel, exclusiveQueue } = require('./helpers');

const changed = (change) => {
  const url = new URL(URI);
  change(url);
  return url.href;
};

describe('connections', () => {
  it('carry_the_servers_properties', () => withConnection(async (connection) => {
    const { serverProperties } = connection.connection;
    assert.strictEqual(serverProperties.product, 'RabbitMQ');
    assert.strictEqual(serverProperties.capabilities['basic.nack'], true);
    assert.strictEqual(connection.connection.channelMax, 2047);
    assert.strictEqual(connection.connection.frameMax, 131072);
  }));

  it('with_a_wrong_password_are_refused_with_403', () => assert.rejects(
    amqp.connect(changed((url) => { url.password = 'wrong'; })),
    /403 \(ACCESS-REFUSED\).*Login was refused using authentication mechanism PLAIN/));

  // amqplib does not pass the code on when it is connection.open that is refused.
  it('to_a_missing_vhost_are_refused', () => assert.rejects(
    amqp.connect(changed((url) => { url.pathname = '/nowhere'; })),
    /Expected ConnectionOpenOk; got <ConnectionClose channel:0>/));

  it('accept_amqplain_credentials', async () => {
    const { username, password } = new URL(URI);
    await withConnection((connection) => connection.createChannel(),
      { credentials: amqp.credentials.amqplain(username, password) });
  });

  it('accept_a_name', () => withConnection((connection) => connection.createChannel(),
    { clientProperties: { connection_name: 'interop' } }));

  it('with_a_heartbeat_stay_open_while_idle', async () => {
    const connection = await amqp.connect(changed((url) => { url.searchParams.set('heartbeat', '1'); }));
    const failed = event(connection, 'error');
    // Two missed heartbeats would end it within three seconds, whichever side missed them.
    const idle = new Promise((resolve) => { setTimeout(resolve, 3500, 'idle'); });
    assert.strictEqual(await Promise.race([failed, idle]), 'idle');
    await connection.close();
  });

  it('refuse_a_frame_max_below_the_minimum', () => assert.rejects(
    amqp.connect(changed((url) => { url.searchParams.set('frameMax', '1000'); }))));

  // connection.close overtakes what other channels still have to send; the broker must read on until the client is done.
  it('close_cleanly_while_messages_are_on_their_way', async () => {
    const connection = await amqp.connect(URI);
    const failed = event(connection, 'error');
    const channel = await connection.createChannel();
    const queue = await exclusiveQueue(channel);
    for (let n = 0; n < 2000; n++) channel.sendToQueue(queue, Buffer.alloc(100));
    assert.strictEqual(await Promise.race([connection.close(), failed]), undefined);
  });

  it('are_closed_by_a_connection_error', () => withConnection(async (connection) => {
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    const failed = event(connection, 'error');
    const queue = await exclusiveQueue(channel);
    await channel.consume(queue, () => {}, { consumerTag: 'same' });
    channel.consume(queue, () => {}, { consumerTag: 'same' }).catch(() => {});
    const [error] = await failed;
    assert.strictEqual(error.code, 530);
    assert.match(error.message, /attempt to reuse consumer tag 'same'/);
  }));
});

describe('channels', () => {
  it('work_side_by_side_in_hundreds', () => withConnection(async (connection) => {
    const channels = await Promise.all(Array.from({ length: 500 }, () => connection.createChannel()));
    const queue = await exclusiveQueue(channels[0]);
    await Promise.all(channels.map(async (channel) => {
      channel.sendToQueue(queue, Buffer.from('x'));
      await channel.close();
    }));
    const last = await connection.createChannel();
    assert.strictEqual((await last.checkQueue(queue)).messageCount, 500);
  }));

  it('fail_alone', () => withChannel(async (channel, connection) => {
    const other = await connection.createChannel();
    await assert.rejects(channel.checkExchange('interop.missing'), /404/);
    await exclusiveQueue(other);
  }));
});
