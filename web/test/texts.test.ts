import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, bytes, duration, large } from '../src/format';
import { firstLanguage, texts } from '../src/texts';

test('the language is the one chosen, else the first of the browser that is there', () => {
  assert.equal(firstLanguage('zh', ['en-GB']), 'zh');
  assert.equal(firstLanguage(null, ['fr', 'zh-TW', 'en']), 'zh');
  assert.equal(firstLanguage(null, ['en-US', 'zh']), 'en');
  assert.equal(firstLanguage('xx', ['de']), 'en');
});

test('both languages say as much', () => {
  assert.deepEqual(Object.keys(texts.zh).sort(), Object.keys(texts.en).sort());
  assert.equal(texts.zh.prompts.length, texts.en.prompts.length);
  assert.equal(texts.zh.sums.length, texts.en.sums.length);
  assert.equal(texts.zh.keys.length, texts.en.keys.length);
});

test('durations', () => {
  assert.equal(duration(0.42, texts.en), '<1 s');
  assert.equal(duration(12.3, texts.en), '12 s');
  assert.equal(duration(59.7, texts.en), '1 min 0 s');
  assert.equal(duration(125, texts.zh), '2 分 5 秒');
});

test('sizes', () => {
  assert.equal(bytes(999), '999 B');
  assert.equal(bytes(1_234_000_000), '1.2 GB');
  assert.equal(bytes(78_400_000), '78 MB');
  assert.equal(bytes(999_700_000), '1.0 GB');
  assert.equal(large(1_780_000_000), '1.78 B');
});

test('conversations are grouped by days of the calendar', () => {
  const now = new Date(2026, 4, 10, 0, 30);
  const at = (hours: number) => now.getTime() / 1000 - hours * 3600;
  assert.equal(age(at(0.2), now), 'today');
  assert.equal(age(at(1), now), 'yesterday');
  assert.equal(age(at(48), now), 'week');
  assert.equal(age(at(24 * 30), now), 'earlier');
});
