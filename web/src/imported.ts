// Reads the Markdown that a conversation was exported as. It holds one branch and no settings.

const YOU = new Set(['You', '我', '你']);
const SYSTEM = new Set(['System prompt', '系统提示词', 'System', '系统提示']);
const THOUGHT = /^> \*\*[^*\n]+\*\*\s*$/;
const FENCE = /^ {0,3}(`{3,}(?!.*`)|~{3,})/;

interface Part {
  role: 'user' | 'assistant';
  name: string;
  lines: string[];
}

/** What /api/import takes. Throws where the text is not an exported conversation. */
export function fromMarkdown(text: string, fileName: string, now = Date.now() / 1000): object {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  let title = '';
  const system: string[] = [];
  let into: string[] | null = null;
  const parts: Part[] = [];
  let fence = '';
  for (const line of lines) {
    const mark = FENCE.exec(line);
    const wasFenced = fence !== '';
    if (mark && !fence) fence = mark[1]!;
    else if (mark?.[1]!.startsWith(fence) && !line.slice(mark[0].length).trim()) fence = '';
    const heading = wasFenced ? undefined : /^## (.+)$/.exec(line)?.[1]?.trim();
    const last = parts[parts.length - 1];
    if (!wasFenced && !title && !last && /^# /.test(line)) {
      title = line.slice(2).trim();
    } else if (heading !== undefined && YOU.has(heading) && last?.role !== 'user') {
      parts.push({ role: 'user', name: '', lines: [] });
      into = parts[parts.length - 1]!.lines;
    } else if (heading !== undefined && last?.role === 'user') {
      parts.push({ role: 'assistant', name: heading, lines: [] });
      into = parts[parts.length - 1]!.lines;
    } else if (heading !== undefined && !last && SYSTEM.has(heading)) {
      into = system;
    } else {
      // A heading of the text itself was written one space in.
      into?.push(!wasFenced && line.startsWith(' ## ') ? line.slice(1) : line);
    }
  }
  if (!parts.length || parts[0]!.role !== 'user') throw new Error(`${fileName}: no question in it`);
  const messages: object[] = [];
  let parent: string | null = null;
  for (const part of parts) {
    const id = freshId();
    const { reasoning, content } = part.role === 'assistant' ? apart(part.lines) : { reasoning: '', content: part.lines };
    messages.push({
      id,
      parent,
      role: part.role,
      content: content.join('\n').trim(),
      reasoning,
      created: now,
      state: 'done',
      model: part.name,
    });
    parent = id;
  }
  return {
    format: 'pocketr1-conversations',
    version: 1,
    conversations: [
      {
        id: freshId(),
        title,
        renamed: true,
        created: now,
        updated: now,
        system: system.join('\n').trim() || null,
        settings: {},
        leaf: parent,
        messages,
      },
    ],
  };
}

/** The thought, quoted under its bold heading, and the answer behind it. */
function apart(lines: string[]): { reasoning: string; content: string[] } {
  let at = 0;
  while (at < lines.length && !lines[at]!.trim()) at++;
  if (!THOUGHT.test(lines[at] ?? '')) return { reasoning: '', content: lines };
  const thought: string[] = [];
  for (at++; at < lines.length && lines[at]!.startsWith('>'); at++) thought.push(lines[at]!.replace(/^> ?/, ''));
  return { reasoning: thought.join('\n').trim(), content: lines.slice(at) };
}

function freshId(): string {
  const random = new Uint8Array(16);
  crypto.getRandomValues(random);
  return Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
