// The page.
import { effect } from '@preact/signals';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import 'katex/dist/katex.css';
import './style.css';
import { Composer, Header, Messages } from './chat';
import { Dialogs } from './dialogs';
import { Icon } from './icons';
import { MenuLayer } from './menu';
import { Sidebar } from './sidebar';
import {
  announcement, begin, catchUp, conversation, dialog, drawer, language, newConversation, notice, nudge, openAddressed, refreshLoad, running,
  stop, t, theme,
} from './store';

function Toast() {
  const now = notice.value;
  useEffect(() => {
    if (now?.kind !== 'done') return;
    const timer = setTimeout(() => (notice.value = null), 4000);
    return () => clearTimeout(timer);
  }, [now]);
  return (
    <div class="toasts" role={now?.kind === 'error' ? 'alert' : 'status'}>
      {now ? (
        <div class={`toast ${now.kind}`}>
          <p>{now.text}</p>
          <button type="button" class="icon-button small" aria-label={t.value.dismiss} onClick={() => (notice.value = null)}>
            <Icon name="close" />
          </button>
        </div>
      ) : null}
    </div>
  );
}

function App() {
  return (
    <div class="app">
      <Sidebar />
      <main class="main" inert={drawer.value}>
        <Header />
        <Messages />
        <Toast />
        <Composer />
      </main>
      <MenuLayer />
      <Dialogs />
      <div class="hidden" aria-live="polite" id="announcement">
        {announcement.value}
      </div>
    </div>
  );
}

function keys(event: KeyboardEvent): void {
  if (event.isComposing || dialog.value || event.defaultPrevented) return;
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (command && !event.altKey && !event.shiftKey && key === 'k') {
    event.preventDefault();
    if (matchMedia('(max-width: 859px)').matches) drawer.value = true;
    setTimeout(() => document.getElementById('search')?.focus());
  } else if (command && event.shiftKey && key === 'o') {
    event.preventDefault();
    newConversation();
  } else if (event.key === 'Escape' && drawer.value) {
    event.preventDefault();
    drawer.value = false;
  } else if (event.key === 'Escape' && running.value) {
    event.preventDefault();
    void stop();
  }
}

// The keyboard of a phone makes the part that is seen smaller, not always the page.
function fit(): void {
  const seen = visualViewport;
  if (!seen) return;
  document.documentElement.style.setProperty('--seen', `${seen.height}px`);
  if (seen.offsetTop > 0) scrollTo(0, 0);
}

effect(() => {
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en';
  if (theme.value === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
effect(() => {
  const title = conversation.value?.title;
  document.title = title ? `${title} – Pocket R1` : 'Pocket R1';
});
effect(() => {
  if (!running.value) return;
  const timer = setInterval(() => {
    if (!document.hidden) void refreshLoad();
  }, 2000);
  return () => clearInterval(timer);
});
addEventListener('keydown', keys);
addEventListener('popstate', openAddressed);
addEventListener('online', nudge);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  nudge();
  void catchUp();
});
addEventListener('focus', () => void catchUp());
visualViewport?.addEventListener('resize', fit);
visualViewport?.addEventListener('scroll', fit);
fit();

render(<App />, document.getElementById('root')!);
void begin();
