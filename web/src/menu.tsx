// A menu of actions, drawn above everything, closed by Esc, a choice or a click elsewhere.
import { signal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { Icon } from './icons';

export interface Item {
  label: string;
  icon: Parameters<typeof Icon>[0]['name'];
  danger?: boolean;
  act?: () => void;
  /** A file to save instead. */
  href?: string;
  download?: string;
}

const opened = signal<{ items: Item[]; opener: HTMLElement; label: string } | null>(null);

export function openMenu(opener: HTMLElement, label: string, items: Item[]): void {
  opened.value = opened.value?.opener === opener ? null : { items, opener, label };
}

export function MenuLayer() {
  const menu = opened.value;
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const box = root.current;
    if (!menu || !box) return;
    const at = menu.opener.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.right - box.offsetWidth), innerWidth - box.offsetWidth - 8);
    const below = at.bottom + 4 + box.offsetHeight < innerHeight;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - box.offsetHeight - 4)}px`;
    box.querySelector<HTMLElement>('[role=menuitem]')?.focus();
    menu.opener.setAttribute('aria-expanded', 'true');
    return () => menu.opener.setAttribute('aria-expanded', 'false');
  }, [menu]);
  useEffect(() => {
    if (!menu) return;
    const away = (event: Event) => {
      if (!root.current?.contains(event.target as Node) && !menu.opener.contains(event.target as Node)) opened.value = null;
    };
    const resized = () => (opened.value = null);
    addEventListener('pointerdown', away, true);
    addEventListener('resize', resized);
    return () => {
      removeEventListener('pointerdown', away, true);
      removeEventListener('resize', resized);
    };
  }, [menu]);
  if (!menu) return null;
  const close = (refocus: boolean) => {
    opened.value = null;
    if (refocus) menu.opener.focus();
  };
  const keys = (event: KeyboardEvent) => {
    const items = Array.from(root.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? []);
    const at = items.indexOf(document.activeElement as HTMLElement);
    const go = (to: number) => {
      event.preventDefault();
      items[(to + items.length) % items.length]?.focus();
    };
    if (event.key === 'ArrowDown') go(at + 1);
    else if (event.key === 'ArrowUp') go(at - 1);
    else if (event.key === 'Home') go(0);
    else if (event.key === 'End') go(items.length - 1);
    else if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      close(true);
    } else if (event.key === 'Tab') close(true);
  };
  return (
    <div class="menu" role="menu" aria-label={menu.label} ref={root} onKeyDown={keys}>
      {menu.items.map((item) =>
        item.href ? (
          <a role="menuitem" tabIndex={-1} class="menu-item" href={item.href} download={item.download} onClick={() => close(true)}>
            <Icon name={item.icon} />
            {item.label}
          </a>
        ) : (
          <button
            type="button"
            role="menuitem"
            tabIndex={-1}
            class={item.danger ? 'menu-item danger' : 'menu-item'}
            onClick={() => {
              close(true);
              item.act?.();
            }}
          >
            <Icon name={item.icon} />
            {item.label}
          </button>
        ),
      )}
    </div>
  );
}
