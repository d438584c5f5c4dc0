import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tree } from '../src/tree';
import type { Message } from '../src/types';

function message(id: string, parent: string | null, role: 'user' | 'assistant' = 'user'): Message {
  return {
    id, parent, role, content: id, reasoning: '', created: 0, state: 'done', finish_reason: null, stats: null, error: null,
  };
}

// a ─ b ┬ c ─ d
//       └ e ─ f ; g is another first question
const messages = [
  message('a', null), message('b', 'a', 'assistant'), message('c', 'b'), message('d', 'c', 'assistant'),
  message('e', 'b'), message('f', 'e', 'assistant'), message('g', null),
];
const ids = (found: readonly Message[]) => found.map((one) => one.id).join('');

test('a path goes from the first message to the leaf', () => {
  assert.equal(ids(new Tree(messages).path('d')), 'abcd');
  assert.equal(ids(new Tree(messages).path('f')), 'abef');
});

test('without a known leaf the newest branch is shown', () => {
  assert.equal(ids(new Tree(messages).path(null)), 'g');
  assert.equal(ids(new Tree(messages.slice(0, 6)).path('gone')), 'abef');
  assert.equal(ids(new Tree([]).path(null)), '');
});

test('siblings are the branches of one parent, oldest first', () => {
  const tree = new Tree(messages);
  assert.equal(ids(tree.siblings(messages[2]!)), 'ce');
  assert.equal(ids(tree.siblings(messages[0]!)), 'ag');
  assert.equal(ids(tree.siblings(messages[1]!)), 'b');
});

test('turning to a branch ends at its newest leaf', () => {
  const more = [...messages, message('h', 'd'), message('i', 'd')];
  assert.equal(new Tree(more).leafBelow('c'), 'i');
  assert.equal(new Tree(more).leafBelow('f'), 'f');
});

test('a message whose parent is missing is still shown', () => {
  assert.equal(ids(new Tree([message('x', 'gone'), message('y', 'x')]).path('y')), 'xy');
});

test('a circle of parents ends', () => {
  const circle = [message('p', 'q'), message('q', 'p')];
  assert.equal(new Tree(circle).path('p').length, 2);
  assert.match(new Tree(circle).leafBelow('p'), /^[pq]$/);
});
