// Markdown on the screen: whole, or growing.
import { computed } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { Growing, Renderer } from './markdown';
import { language, t } from './store';

const renderer = computed(
  () => new Renderer({ copy: t.value.copy, image: t.value.image, code: t.value.code }),
);

/** Puts text on the clipboard, also where the page came by plain HTTP from another machine. */
export async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement as HTMLElement | null;
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'hidden';
    area.setAttribute('readonly', '');
    document.body.append(area);
    area.select();
    let done = false;
    try {
      done = document.execCommand('copy');
    } catch {
      // Neither way is open.
    }
    area.remove();
    before?.focus();
    return done;
  }
}

async function copyCode(event: MouseEvent): Promise<void> {
  const button = (event.target as Element).closest<HTMLButtonElement>('button[data-copy]');
  if (!button) return;
  const code = button.closest('.code')?.querySelector('code')?.textContent ?? '';
  if (!(await toClipboard(code))) return;
  button.textContent = t.value.copied;
  setTimeout(() => {
    if (button.isConnected) button.textContent = t.value.copy;
  }, 1500);
}

export function Markdown({ text }: { text: string }) {
  const html = useMemo(() => ({ __html: renderer.value.render(text) }), [text, language.value]);
  return <div class="markdown" onClick={(event) => void copyCode(event)} dangerouslySetInnerHTML={html} />;
}

export function GrowingMarkdown({ text }: { text: ReadonlySignal<string> }) {
  const final = useRef<HTMLDivElement>(null);
  const open = useRef<HTMLDivElement>(null);
  const growing = useMemo(() => new Growing(renderer.value), [language.value]);
  const now = text.value;
  useLayoutEffect(() => {
    if (!final.current || !open.current) return;
    const update = growing.update(now);
    if (update.restart) final.current.replaceChildren();
    if (update.final) final.current.insertAdjacentHTML('beforeend', update.final);
    open.current.innerHTML = update.open;
  }, [now, growing]);
  // Made anew with the language: what is final would stay in the old one.
  return (
    <div class="markdown growing" key={language.value} onClick={(event) => void copyCode(event)}>
      <div class="part" ref={final} />
      <div class="part" ref={open} />
    </div>
  );
}
