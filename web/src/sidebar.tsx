// The list of conversations: searched, opened, renamed, exported, deleted.
import { useEffect, useRef } from 'preact/hooks';
import { api } from './api';
import { age } from './format';
import type { Age } from './format';
import { Icon, Mark } from './icons';
import { openMenu } from './menu';
import type { Item } from './menu';
import { exportName } from './names';
import {
  conversation, dialog, drawer, list, listed, moreOfList, newConversation, next, open, place, query, refreshList, t,
} from './store';
import type { Summary } from './types';

export function actionsFor(id: string, title: string): Item[] {
  const shown = title || t.value.untitled;
  return [
    { label: t.value.rename, icon: 'pen', act: () => (dialog.value = { kind: 'rename', id, title }) },
    {
      label: t.value.exportMarkdown,
      icon: 'download',
      href: api.exportUrl(id, 'markdown'),
      download: exportName(title, 'markdown'),
    },
    { label: t.value.exportJson, icon: 'download', href: api.exportUrl(id, 'json'), download: exportName(title, 'json') },
    { label: t.value.remove, icon: 'trash', danger: true, act: () => (dialog.value = { kind: 'delete', id, title: shown }) },
  ];
}

function Entry({ entry }: { entry: Summary }) {
  const here = conversation.value?.id === entry.id;
  const title = entry.title || t.value.untitled;
  return (
    <li class={here ? 'entry here' : 'entry'}>
      <a
        href={`#/c/${entry.id}`}
        aria-current={here ? 'page' : undefined}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          void open(entry.id);
        }}
      >
        <span class="entry-title">{title}</span>
        {query.value.trim() && entry.snippet ? <span class="entry-snippet">{entry.snippet}</span> : null}
      </a>
      <button
        type="button"
        class="icon-button small"
        aria-label={t.value.menuFor(title)}
        aria-haspopup="menu"
        aria-expanded="false"
        onClick={(event) => openMenu(event.currentTarget, t.value.menuFor(title), actionsFor(entry.id, entry.title))}
      >
        <Icon name="dots" />
      </button>
    </li>
  );
}

export function Sidebar() {
  const timer = useRef(0);
  const root = useRef<HTMLElement>(null);
  const opened = drawer.value;
  useEffect(() => {
    if (!opened) return;
    root.current?.querySelector<HTMLElement>('.drawer-close')?.focus();
    return () => {
      // What opened the list could not keep the focus: it cannot be reached while the list is open.
      const now = document.activeElement;
      if (now === null || now === document.body || root.current?.contains(now))
        document.querySelector<HTMLElement>('.drawer-open')?.focus();
    };
  }, [opened]);
  const groups = new Map<Age, Summary[]>();
  const now = new Date();
  for (const entry of list.value) {
    const group = age(entry.updated, now);
    groups.set(group, [...(groups.get(group) ?? []), entry]);
  }
  const searched = query.value.trim() !== '';
  return (
    <>
      <div class={opened ? 'scrim shown' : 'scrim'} onClick={() => (drawer.value = false)} />
      <nav
        class={opened ? 'sidebar shown' : 'sidebar'}
        aria-label={t.value.conversations}
        ref={root}
      >
        <div class="brand">
          <Mark />
          <span class="brand-name">Pocket R1</span>
          <button type="button" class="icon-button drawer-close" aria-label={t.value.closeList} onClick={() => (drawer.value = false)}>
            <Icon name="close" />
          </button>
        </div>
        <button type="button" class="new-chat" onClick={newConversation}>
          <Icon name="compose" />
          {t.value.newChat}
        </button>
        <div class="search" role="search">
          <Icon name="search" />
          <input
            id="search"
            type="search"
            value={query.value}
            placeholder={t.value.search}
            aria-label={t.value.search}
            autocomplete="off"
            enterkeyhint="search"
            onInput={(event) => {
              query.value = event.currentTarget.value;
              clearTimeout(timer.current);
              timer.current = window.setTimeout(() => void refreshList(), 180);
            }}
            onKeyDown={(event) => {
              if (event.key === 'Escape' && query.value) {
                event.stopPropagation();
                query.value = '';
                void refreshList();
              }
            }}
          />
        </div>
        <div class="entries">
          {(['today', 'yesterday', 'week', 'earlier'] as const).map((group) =>
            groups.has(group) ? (
              <section key={group} aria-label={t.value[group]}>
                <h2>{t.value[group]}</h2>
                <ul>
                  {groups.get(group)!.map((entry) => (
                    <Entry key={entry.id} entry={entry} />
                  ))}
                </ul>
              </section>
            ) : null,
          )}
          {listed.value && list.value.length === 0 ? (
            <p class="empty" role="status">
              {searched ? t.value.noneFound : t.value.noneYet(place.value)}
            </p>
          ) : null}
          {next.value !== null ? (
            <button type="button" class="more" onClick={() => void moreOfList()}>
              {t.value.more}
            </button>
          ) : null}
        </div>
        <div class="sidebar-foot">
          <button type="button" class="foot-button" onClick={() => (dialog.value = { kind: 'settings', tab: 'data' })}>
            <Icon name="lock" />
            {t.value.tabData}
          </button>
          <button type="button" class="foot-button" onClick={() => (dialog.value = { kind: 'settings' })}>
            <Icon name="settings" />
            {t.value.settings}
          </button>
        </div>
      </nav>
    </>
  );
}
