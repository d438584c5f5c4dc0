import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Follower } from '../src/follow';
import type { Heard, Source } from '../src/follow';
import type { Message } from '../src/types';

class FakeSource implements Source {
  readyState = 0;
  onopen: ((event: Event) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  closed = false;
  private readonly listeners = new Map<string, (event: MessageEvent<string>) => void>();

  constructor(readonly url: string) {}

  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void {
    this.listeners.set(type, listener);
  }
  close(): void {
    this.closed = true;
    this.readyState = 2;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
  }
  send(type: string, data: unknown, id = ''): void {
    this.listeners.get(type)?.({ data: typeof data === 'string' ? data : JSON.stringify(data), lastEventId: id } as MessageEvent<string>);
  }
  /** The connection breaks; the browser asks again (`closed` false) or gives up. */
  break(closed: boolean): void {
    this.readyState = closed ? 2 : 0;
    this.onerror?.({} as Event);
  }
}

function reader(over: Heard['over'] = () => Promise.resolve('running')) {
  const sources: FakeSource[] = [];
  const log: string[] = [];
  let text = '';
  const heard: Heard = {
    waiting: ({ retry_after }) => log.push(`waiting ${retry_after}`),
    begun: () => log.push('begun'),
    piece: (kind, more) => (text += kind === 'answer' ? more : `(${more})`),
    stats: ({ tokens }) => log.push(`stats ${tokens}`),
    ended: (message) => log.push(`ended ${message.content}`),
    failed: ({ code }) => log.push(`failed ${code}`),
    connected: (yes) => log.push(yes ? 'on' : 'off'),
    over,
  };
  const follower = new Follower('r 1', heard, (url) => {
    const source = new FakeSource(url);
    sources.push(source);
    return source;
  });
  return { follower, sources, log, text: () => text };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

test('an answer is heard to its end, and then nothing is asked', () => {
  const { follower, sources, log, text } = reader();
  follower.start();
  const source = sources[0]!;
  assert.equal(source.url, '/api/replies/r%201/events?after=0');
  source.open();
  source.send('begun', { thinking: true }, '1');
  source.send('piece', { kind: 'reasoning', text: 'hm' }, '2');
  source.send('piece', { kind: 'answer', text: 'yes' }, '3');
  source.send('stats', { tokens: 2 });
  source.send('ended', { content: 'yes' } as Message, '4');
  assert.equal(text(), '(hm)yes');
  assert.deepEqual(log, ['on', 'begun', 'stats 2', 'ended yes']);
  assert.ok(source.closed);
  assert.equal(sources.length, 1);
});

test('what the browser hears again after a break is not shown twice', () => {
  const { follower, sources, log, text } = reader();
  follower.start();
  const source = sources[0]!;
  source.open();
  source.send('piece', { kind: 'answer', text: 'a' }, '1');
  source.send('piece', { kind: 'answer', text: 'b' }, '2');
  source.break(false);
  source.open();
  source.send('piece', { kind: 'answer', text: 'b' }, '2');
  source.send('piece', { kind: 'answer', text: 'c' }, '3');
  assert.equal(text(), 'abc');
  assert.deepEqual(log, ['on', 'off', 'on']);
  assert.equal(sources.length, 1);
});

test('where the browser gives up, it is asked again behind the last event', async () => {
  const { follower, sources, text } = reader();
  follower.start();
  sources[0]!.open();
  sources[0]!.send('piece', { kind: 'answer', text: 'a' }, '7');
  sources[0]!.break(true);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(sources.length, 2);
  assert.equal(sources[1]!.url, '/api/replies/r%201/events?after=7');
  sources[1]!.send('piece', { kind: 'answer', text: 'b' }, '8');
  assert.equal(text(), 'ab');
  follower.stop();
});

test('where the answer ended unheard, nothing more is asked', async () => {
  let looked = 0;
  const { follower, sources } = reader(async () => {
    looked++;
    return 'settled';
  });
  follower.start();
  sources[0]!.break(true);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(looked, 1);
  assert.equal(sources.length, 1);
});

test('a server that is away is asked again', async () => {
  const { follower, sources } = reader(() => Promise.reject(new Error('away')));
  follower.start();
  sources[0]!.break(true);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(sources.length, 2);
  follower.stop();
});

test('a stopped reader hears nothing', async () => {
  const { follower, sources, log, text } = reader();
  follower.start();
  follower.stop();
  sources[0]!.send('piece', { kind: 'answer', text: 'late' }, '1');
  sources[0]!.break(true);
  await settle();
  assert.equal(text(), '');
  assert.deepEqual(log, []);
});

test('when the network is back, a broken connection is made anew and a good one is left alone', () => {
  const { follower, sources } = reader();
  follower.start();
  sources[0]!.open();
  follower.nudge();
  assert.equal(sources.length, 1);
  sources[0]!.break(false);
  follower.nudge();
  assert.equal(sources.length, 2);
  assert.ok(sources[0]!.closed);
  follower.stop();
});

test('waiting for room is told until the answer begins', () => {
  const { follower, sources, log, text } = reader();
  follower.start();
  sources[0]!.send('waiting', { retry_after: 2 });
  sources[0]!.send('begun', { thinking: false }, '1');
  sources[0]!.send('waiting', { retry_after: 4 }, '1');
  sources[0]!.send('piece', { kind: 'answer', text: 'a' }, '2');
  assert.deepEqual(log, ['waiting 2', 'begun']);
  assert.equal(text(), 'a');
  follower.stop();
});

test('damaged data is passed over', () => {
  const { follower, sources, text } = reader();
  follower.start();
  sources[0]!.send('piece', '{"kind":', '1');
  sources[0]!.send('piece', { kind: 'answer', text: 'x' }, '2');
  assert.equal(text(), 'x');
  follower.stop();
});

test('a failure ends it', () => {
  const { follower, sources, log } = reader();
  follower.start();
  sources[0]!.send('failed', { message: 'm', code: 'context-full' }, '1');
  assert.deepEqual(log, ['failed context-full']);
  assert.ok(sources[0]!.closed);
});
