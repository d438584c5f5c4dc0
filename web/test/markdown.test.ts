import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JSDOM } from 'jsdom';
import { Growing, Renderer } from '../src/markdown';
import { formulaAt } from '../src/math';

const { window } = new JSDOM('<!doctype html><body></body>');
const renderer = new Renderer({ copy: 'Copy', image: 'Image', code: 'Code' }, window as never);

function shown(text: string): HTMLElement {
  const box = window.document.createElement('div');
  box.innerHTML = renderer.render(text);
  return box as unknown as HTMLElement;
}

const attacks = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<svg onload=alert(1)><a xlink:href="javascript:alert(1)">x</a></svg>',
  '[x](javascript:alert(1))',
  '[x](JaVaScRiPt:alert(1))',
  '[x](java&#10;script:alert(1))',
  '[x](data:text/html,<script>alert(1)</script>)',
  '[x](vbscript:msgbox)',
  '![x](javascript:alert(1))',
  '![x](https://example.org/pixel.png)',
  '![](data:image/svg+xml;base64,PHN2Zy8+)',
  '<https://example.org/"onmouseover="alert(1)>',
  '[x](https://example.org "\\" onclick=alert(1)")',
  '```"><img src=x onerror=alert(1)>\ncode\n```',
  '```html\n<img src=x onerror=alert(1)><script>alert(1)</script>\n```',
  '`<img src=x onerror=alert(1)>`',
  '<iframe src="https://example.org"></iframe><style>*{display:none}</style>',
  '<form action="https://example.org"><input name=q><button>go</button></form>',
  '<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>',
  '$\\href{javascript:alert(1)}{x}$',
  '$\\url{javascript:alert(1)}$',
  '$\\includegraphics{https://example.org/pixel.png}$',
  '$\\htmlData{a=b}{x}$ $\\htmlStyle{background:url(https://example.org/x)}{y}$',
  '$\\text{<img src=x onerror=alert(1)>}$',
  '$<img src=x onerror=alert(1)>$',
  '\\(\\color{red;background:url(https://example.org)}x\\)',
  '| <img src=x onerror=alert(1)> |\n|---|\n| a |',
  '[a]: javascript:alert(1)\n\n[a]',
];

for (const attack of attacks)
  test(`nothing runs or loads: ${attack.slice(0, 60).replace(/\n/g, '⏎')}`, () => {
    const box = shown(attack);
    assert.equal(box.querySelector('script,img,image,iframe,style,form,input,object,embed,link,meta,base,video,audio,source,use'), null);
    for (const element of box.querySelectorAll('*')) {
      for (const { name, value } of Array.from(element.attributes)) {
        assert.ok(!name.startsWith('on'), `${name} in ${box.innerHTML}`);
        assert.ok(!/url\(|expression|@import/i.test(name === 'style' ? value : ''), box.innerHTML);
        if (['href', 'src', 'xlink:href', 'action'].includes(name)) assert.match(value, /^(https?:|mailto:)/i);
      }
    }
  });

test('links open elsewhere and tell nothing of where they were followed', () => {
  const link = shown('[a](https://example.org/x) https://example.com').querySelectorAll('a');
  assert.equal(link.length, 2);
  for (const one of link) {
    assert.equal(one.getAttribute('target'), '_blank');
    assert.match(one.getAttribute('rel') ?? '', /noopener/);
  }
});

test('a picture becomes a link with its text', () => {
  const link = shown('![a **cat**](https://example.org/cat.png)').querySelector('a.picture');
  assert.equal(link?.textContent, 'a cat');
  assert.equal(link?.getAttribute('href'), 'https://example.org/cat.png');
});

test('code is coloured, keeps its text and can be copied', () => {
  const box = shown('```python\nprint("<b>" < 3)\n```');
  assert.equal(box.querySelector('code')?.textContent, 'print("<b>" < 3)');
  assert.ok(box.querySelector('.hljs-string'));
  assert.ok(box.querySelector('button[data-copy]'));
});

test('formulas in every notation are set', () => {
  for (const text of ['$a^2$', '$$a^2$$', '\\(a^2\\)', '\\[a^2\\]', 'so \\boxed{a^2}', '$$\na^2\n$$', '\\[\na^2\n\n+b\n\\]', '- \\[a^2\\]'])
    assert.ok(shown(text).querySelector('.katex'), text);
});

test('displayed formulas stand alone and inline ones in the line', () => {
  assert.ok(shown('$$x$$').querySelector('.katex-display'));
  assert.ok(shown('\\[x\\]').querySelector('.katex-display'));
  assert.equal(shown('a $x$ b').querySelector('.katex-display'), null);
});

test('money is not a formula', () => {
  assert.equal(shown('It costs $5 and then $10.').querySelector('.katex'), null);
  assert.equal(shown('from $5 to 10$5').querySelector('.katex'), null);
});

test('a formula with nested braces in \\boxed is found whole', () => {
  const text = 'x \\boxed{\\frac{1}{2}} y';
  assert.deepEqual(formulaAt(text, 2, text.length), { source: '\\boxed{\\frac{1}{2}}', display: false, end: text.length - 2 });
  assert.equal(formulaAt('\\boxed{\\frac{1}{2}', 0, 18), null);
});

test('a formula that cannot be set is shown as its source', () => {
  const box = shown('$\\frac{1}{$');
  assert.equal(box.querySelector('.math-source')?.textContent, '\\frac{1}{');
});

test('formulas in code stay text', () => {
  assert.equal(shown('`$a$`').querySelector('.katex'), null);
  assert.equal(shown('```\n$$a$$\n```').querySelector('.katex'), null);
});

test('formulas carry MathML for screen readers', () => {
  assert.ok(shown('$a^2$').querySelector('math annotation'));
});

test('endless macros end', () => {
  const box = shown('$\\def\\a{\\a\\a}\\a$');
  assert.ok(box.querySelector('.math-source'));
});

const long = [
  '# Title', '', 'One *two* three.', '', '- a', '- b', '', '  more of b', '', '```js', 'let x = 1;', '', 'x++', '```', '',
  '$$', 'a', '$$', '', '> quote', 'still', '', '1. x', '', '2. y', '', '| a | b |', '|---|---|', '| 1 | 2 |', '', 'End.', '',
].join('\n');

test('Markdown that grows ends as what it is rendered whole', () => {
  const growing = new Growing(renderer);
  let final = '';
  let open = '';
  for (let at = 1; at <= long.length; at++) {
    const update = growing.update(long.slice(0, at));
    if (update.restart) final = '';
    final += update.final;
    open = update.open;
  }
  assert.equal(final + open, renderer.render(long));
});

test('what is settled is not rendered again', () => {
  const growing = new Growing(renderer);
  const text = Array.from({ length: 400 }, (_, at) => `Paragraph ${at}.`).join('\n\n');
  growing.update(text.slice(0, -4));
  const { final, open } = growing.update(text);
  assert.equal(final, '');
  assert.ok(open.length < 200);
});

test('a text that is another one begins anew', () => {
  const growing = new Growing(renderer);
  growing.update('a\n\nb\n\nc\n\nd');
  const update = growing.update('x');
  assert.ok(update.restart);
  assert.equal(update.open, '<p>x</p>\n');
});
