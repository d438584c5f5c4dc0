import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { fromMarkdown } from '../src/imported';

// Node 18 keeps it out of the way.
globalThis.crypto ??= webcrypto as Crypto;

interface Exported {
  format: string;
  conversations: { title: string; system: string | null; leaf: string; messages: Record<string, string | null>[] }[];
}
const read = (text: string) => (fromMarkdown(text, 'a.md', 5) as Exported).conversations[0]!;

const text = `# Pens

## System prompt

Be short.

## You

What do 2 pens cost?

## tiny

> **Thought**
>
> 2 times 3
> is 6.

They cost **6**.

## Details

\`\`\`
## You
\`\`\`

## You

Thanks

## tiny

Welcome.
`;

test('an exported conversation is read back', () => {
  const read1 = read(text);
  assert.equal(read1.title, 'Pens');
  assert.equal(read1.system, 'Be short.');
  assert.deepEqual(
    read1.messages.map((message) => message.role),
    ['user', 'assistant', 'user', 'assistant'],
  );
  assert.equal(read1.messages[1]!.reasoning, '2 times 3\nis 6.');
  assert.equal(read1.messages[1]!.content, 'They cost **6**.\n\n## Details\n\n```\n## You\n```');
  assert.equal(read1.messages[1]!.model, 'tiny');
  assert.equal(read1.leaf, read1.messages[3]!.id);
});

test('each message follows the one before', () => {
  const { messages } = read(text);
  assert.equal(messages[0]!.parent, null);
  for (let at = 1; at < messages.length; at++) assert.equal(messages[at]!.parent, messages[at - 1]!.id);
  assert.equal(new Set(messages.map((message) => message.id)).size, 4);
});

test('Chinese exports are read too', () => {
  const { messages } = read('# 笔\n\n## 我\n\n多少钱？\n\n## tiny\n\n> **思考**\n>\n> 算\n\n六元。\n');
  assert.equal(messages[0]!.content, '多少钱？');
  assert.equal(messages[1]!.reasoning, '算');
  assert.equal(messages[1]!.content, '六元。');
});

test('a heading of a message is not a message', () => {
  const heading = ' ## You\n\nand ' + '```x`y`\n ## tiny\n\n```sh\n ## kept\n```';
  const { messages } = read(`# T\n\n## You\n\n${heading}\n\n## tiny\n\n${heading}\n\n## You\n\nmore\n`);
  const meant = '## You\n\nand ' + '```x`y`\n## tiny\n\n```sh\n ## kept\n```';
  assert.deepEqual(
    messages.map((message) => message.content),
    [meant, meant, 'more'],
  );
});

test('a quote is not a thought', () => {
  const { messages } = read('## You\n\nq\n\n## tiny\n\n > **Thought**\n> so\n');
  assert.equal(messages[1]!.reasoning, '');
  assert.equal(messages[1]!.content, '> **Thought**\n> so');
});

test('a text that was not exported is refused', () => {
  for (const wrong of ['', '# Title', 'hello', '## tiny\n\nx']) assert.throws(() => fromMarkdown(wrong, 'a.md'));
});
