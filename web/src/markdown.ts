// What a model writes, as HTML that runs nothing and loads nothing.
import MarkdownIt from 'markdown-it';
import type { Token } from 'markdown-it';
import DOMPurify from 'dompurify';
import type { WindowLike } from 'dompurify';
import { highlight } from './highlight';
import { math } from './math';

export interface Labels {
  copy: string;
  image: string;
  code: string;
}

const LINK = /^(https?:|mailto:)/i;
// DOMPurify asks this of every attribute, so that what is no address at all must pass as well.
const ATTRIBUTE = /^(?:(?:https?|mailto):|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i;

function parser(labels: Labels): MarkdownIt {
  // Models end a line where they mean it, above all in thoughts.
  const md = new MarkdownIt({ html: false, linkify: true, breaks: true, typographer: false });
  md.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
  md.validateLink = (url) => LINK.test(url.trim());
  md.use(math);
  const escape = md.utils.escapeHtml;
  const code = (token: Token): string => {
    const language = token.info.trim().split(/\s+/)[0] ?? '';
    const { html, name } = highlight(token.content.replace(/\n$/, ''), language, escape);
    return (
      `<div class="code"><div class="code-bar"><span>${escape(name)}</span>` +
      `<button type="button" class="code-copy" data-copy="">${escape(labels.copy)}</button></div>` +
      `<pre tabindex="0" role="region" aria-label="${escape(labels.code)}"><code>${html}</code></pre></div>\n`
    );
  };
  md.renderer.rules.fence = (tokens, index) => code(tokens[index]!);
  md.renderer.rules.code_block = (tokens, index) => code(tokens[index]!);
  const attributes = 'target="_blank" rel="noopener noreferrer nofollow"';
  md.renderer.rules.link_open = (tokens, index) =>
    `<a href="${escape(String(tokens[index]!.attrGet('href') ?? ''))}" ${attributes}>`;
  // A picture from elsewhere would tell its server who reads what.
  md.renderer.rules.image = (tokens, index, options, env, self) => {
    const token = tokens[index]!;
    const text = self.renderInlineAsText(token.children ?? [], options, env) || labels.image;
    const source = String(token.attrGet('src') ?? '');
    return `<a class="picture" href="${escape(source)}" ${attributes}>${escape(text)}</a>`;
  };
  md.renderer.rules.table_open = () => '<div class="table" tabindex="0"><table>\n';
  md.renderer.rules.table_close = () => '</table></div>\n';
  return md;
}

/** Renders Markdown; made anew when the language changes. */
export class Renderer {
  private readonly md: MarkdownIt;
  private readonly purify: ReturnType<typeof DOMPurify>;

  constructor(labels: Labels, window?: WindowLike) {
    this.md = parser(labels);
    this.purify = window ? DOMPurify(window) : DOMPurify;
  }

  render(text: string): string {
    return this.clean(this.md.render(text, {}));
  }

  /** HTML of each top-level block with the line at which it begins. */
  blocks(text: string): { line: number; html: string }[] {
    const env = {};
    const tokens = this.md.parse(text, env);
    const found: { line: number; html: string }[] = [];
    let begin = 0;
    tokens.forEach((token, index) => {
      if (token.level !== 0 || token.nesting === 1) return;
      const part = tokens.slice(begin, index + 1);
      const line = part[0]?.map?.[0] ?? found[found.length - 1]?.line ?? 0;
      found.push({ line, html: this.clean(this.md.renderer.render(part, this.md.options, env)) });
      begin = index + 1;
    });
    return found;
  }

  private clean(html: string): string {
    return this.purify.sanitize(html, {
      USE_PROFILES: { html: true, mathMl: true, svg: true },
      ADD_TAGS: ['semantics', 'annotation'],
      ADD_ATTR: ['encoding', 'target'],
      FORBID_TAGS: ['style', 'img', 'image', 'picture', 'video', 'audio', 'source', 'form', 'input', 'use'],
      ALLOWED_URI_REGEXP: ATTRIBUTE,
    });
  }
}

/**
 * Markdown that grows: blocks that can no longer change are kept, and only the last two are
 * rendered again, so that a long answer costs no more per token than a short one.
 */
export class Growing {
  private settled = 0; // characters
  private text = '';

  constructor(private readonly renderer: Renderer) {}

  /** HTML of the blocks that became final since the last call, and of those that may change. */
  update(text: string): { restart: boolean; final: string; open: string } {
    const restart = !text.startsWith(this.text);
    if (restart) this.settled = 0;
    this.text = text;
    const tail = text.slice(this.settled);
    const blocks = this.renderer.blocks(tail);
    if (blocks.length <= 2) return { restart, final: '', open: blocks.map((block) => block.html).join('') };
    const cut = blocks[blocks.length - 2]!.line;
    let at = 0;
    for (let line = 0; line < cut; line++) at = tail.indexOf('\n', at) + 1;
    const closed = blocks.filter((block) => block.line < cut);
    this.settled += at;
    return {
      restart,
      final: closed.map((block) => block.html).join(''),
      open: blocks
        .slice(closed.length)
        .map((block) => block.html)
        .join(''),
    };
  }
}
