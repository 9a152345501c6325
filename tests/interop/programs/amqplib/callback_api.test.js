const { describe, it } = require('node:test');
const assert = require('node:assert');
const callbacks = require('amqplib/callback_api');
const { URI, uniqueName } = require('./helpers');

/** Connect and open a channel, fail the test on any unexpected error, and close when `finish` is called. */
function open(done, kind, body) {
  callbacks.connect(URI, (error, connection) => {
    if (error) return done(error);
    connection.on('error', () => {});
    connection[kind]((problem, channel) => {
      if (problem) return done(problem);
      channel.on('error', () => {});
      const finish = (failure) => connection.close(() => done(failure));
      body(channel, finish, connection);
    });
  });
}

describe('callback API', () => {
  it('publishes_and_consumes', (_t, done) => open(done, 'createChannel', (channel, finish) => {
    const queue = uniqueName('callbacks');
    channel.assertQueue(queue, { exclusive: true });
    channel.consume(queue, (message) => {
      channel.ack(message);
      finish(message.content.toString() === 'hello' ? undefined : new Error('another message came'));
    }, {}, (error) => (error ? finish(error) : channel.sendToQueue(queue, Buffer.from('hello'))));
  }));

  it('confirms_each_message_to_its_callback', (_t, done) => open(done, 'createConfirmChannel', (channel, finish) => {
    channel.publish('', 'interop.nowhere', Buffer.from(''), {}, (error) => finish(error || undefined));
  }));

  it('hands_channel_errors_to_the_listener', (_t, done) => open(done, 'createChannel', (channel, finish) => {
    channel.on('error', (error) => finish(error.code === 404 ? undefined : error));
    channel.checkQueue('interop.missing', () => {});
  }));

  it('hands_connection_errors_to_the_callback', (_t, done) => {
    const url = new URL(URI);
    url.password = 'wrong';
    callbacks.connect(url.href, (error) => {
      assert.match(error.message, /403/);
      done();
    });
  });
});
