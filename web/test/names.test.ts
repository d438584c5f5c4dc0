import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exportName } from '../src/names';

test('a title becomes a file name', () => {
  assert.equal(exportName('Pens and notebooks', 'json'), 'Pens and notebooks.json');
  assert.equal(exportName('买笔和笔记本', 'markdown'), '买笔和笔记本.md');
});

test('nothing in a title leads out of the folder', () => {
  assert.equal(exportName('../../etc/passwd', 'json'), 'etc passwd.json');
  assert.equal(exportName('a\\b:c*d?"<>|', 'json'), 'a b c d.json');
});

test('what cannot be seen is left out', () => {
  assert.equal(exportName('a\u202egnp.\u0000b', 'markdown'), 'a gnp. b.md');
});

test('a title of nothing has a name all the same', () => {
  for (const title of ['', '  ', '...', '///']) assert.equal(exportName(title, 'json'), 'conversation.json');
  assert.equal(exportName('NUL', 'json'), 'conversation.json');
});

test('a long title is cut between characters', () => {
  const name = exportName('😀'.repeat(100), 'json');
  assert.equal(Array.from(name).length, 60 + 5);
  assert.ok(!/[\ud800-\udbff](?![\udc00-\udfff])/.test(name));
});
