// Formulas in Markdown: $…$, $$…$$, \(…\), \[…\], and \boxed{…} standing in the text.
import type MarkdownIt from 'markdown-it';
import katex from 'katex';

const kept = new Map<string, string>();
const MOST_KEPT = 400;
const LONGEST = 4000; // characters; a longer formula is shown as text

/** HTML of a formula; of its source where KaTeX does not understand it. */
export function formula(source: string, display: boolean, escape: (text: string) => string): string {
  const key = (display ? 'd' : 'i') + source;
  const known = kept.get(key);
  if (known !== undefined) return known;
  let html: string;
  try {
    if (source.length > LONGEST) throw new RangeError('too long');
    html = katex.renderToString(source, {
      displayMode: display,
      throwOnError: true,
      trust: false,
      strict: 'ignore',
      maxExpand: 300,
      maxSize: 20,
      output: 'htmlAndMathml',
    });
    if (display) html = `<span class="math-display" tabindex="0">${html}</span>`;
  } catch {
    html = `<code class="math-source">${escape(source)}</code>`;
  }
  if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value as string);
  kept.set(key, html);
  return html;
}

/** Where the brace opened at `start` closes, or -1. */
function closingBrace(text: string, start: number, end: number): number {
  let depth = 0;
  for (let at = start; at < end; at++) {
    const character = text[at];
    if (character === '\\') at++;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) return at;
  }
  return -1;
}

function find(text: string, closing: string, from: number, end: number): number {
  for (let at = from; at + closing.length <= end; at++) {
    if (text.startsWith(closing, at)) return at;
    if (text[at] === '\\') at++;
  }
  return -1;
}

interface Found {
  source: string;
  display: boolean;
  end: number;
}

/** The formula that begins at `at`, if one does. */
export function formulaAt(text: string, at: number, end: number): Found | null {
  if (text.startsWith('$$', at)) {
    const close = find(text, '$$', at + 2, end);
    if (close < 0 || !text.slice(at + 2, close).trim()) return null;
    return { source: text.slice(at + 2, close), display: true, end: close + 2 };
  }
  if (text[at] === '$') {
    if (at + 1 >= end || /[\s$]/.test(text[at + 1] as string)) return null;
    const close = find(text, '$', at + 1, end);
    // "$5 and $10" is money.
    if (close < 0 || /\s/.test(text[close - 1] as string) || /\d/.test(text[close + 1] ?? '')) return null;
    const source = text.slice(at + 1, close);
    if (/\n\s*\n/.test(source)) return null;
    return { source, display: false, end: close + 1 };
  }
  for (const [opening, closing, display] of [['\\(', '\\)', false], ['\\[', '\\]', true]] as const) {
    if (!text.startsWith(opening, at)) continue;
    const close = text.indexOf(closing, at + 2);
    if (close < 0 || close + 2 > end || !text.slice(at + 2, close).trim()) return null;
    return { source: text.slice(at + 2, close), display, end: close + 2 };
  }
  if (text.startsWith('\\boxed{', at)) {
    const close = closingBrace(text, at + 6, end);
    if (close < 0) return null;
    return { source: text.slice(at, close + 1), display: false, end: close + 1 };
  }
  return null;
}

/** Teaches a Markdown parser formulas. */
export function math(md: MarkdownIt): void {
  md.inline.ruler.before('escape', 'math', (state, silent) => {
    const first = state.src[state.pos];
    if (first !== '$' && first !== '\\') return false;
    const found = formulaAt(state.src, state.pos, state.posMax);
    if (!found) return false;
    if (!silent) {
      const token = state.push('math', '', 0);
      token.content = found.source.trim();
      token.meta = { display: found.display };
    }
    state.pos = found.end;
    return true;
  });
  // A displayed formula may hold blank lines and what looks like lists, so it is a block.
  md.block.ruler.before(
    'fence',
    'math_block',
    (state, startLine, endLine, silent) => {
      const begin = (state.bMarks[startLine] as number) + (state.tShift[startLine] as number);
      if ((state.sCount[startLine] as number) - state.blkIndent >= 4) return false;
      const opening = state.src.slice(begin, begin + 2);
      const closing = opening === '$$' ? '$$' : opening === '\\[' ? '\\]' : null;
      if (!closing) return false;
      for (let line = startLine; line < endLine; line++) {
        if (line > startLine && (state.sCount[line] as number) < state.blkIndent) return false;
        const from = line === startLine ? begin + 2 : (state.bMarks[line] as number);
        const to = state.eMarks[line] as number;
        const close = state.src.slice(from, to).indexOf(closing);
        if (close < 0) continue;
        if (state.src.slice(from + close + 2, to).trim()) return false; // text goes on behind it
        if (silent) return true;
        const lines = state.getLines(startLine, line + 1, state.blkIndent, false).trim();
        const token = state.push('math', '', 0);
        token.block = true;
        token.content = lines.slice(2, lines.lastIndexOf(closing)).trim();
        token.meta = { display: true };
        token.map = [startLine, line + 1];
        state.line = line + 1;
        return true;
      }
      return false;
    },
    { alt: ['paragraph', 'reference', 'blockquote', 'list'] },
  );
  md.renderer.rules.math = (tokens, index) => {
    const token = tokens[index]!;
    const { display } = token.meta as { display: boolean };
    const html = formula(token.content, display, md.utils.escapeHtml);
    return token.block ? `<p>${html}</p>\n` : html;
  };
}
