// The open conversation: header, messages, and the field to ask in.
import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { bytes, count, rate } from './format';
import { Icon, Mark, StopIcon } from './icons';
import { openMenu } from './menu';
import { OneMessage, sends } from './message';
import { actionsFor } from './sidebar';
import {
  again, changeSettings, conversation, dialog, drawer, info, live, load, newConversation, opening, path, place, running,
  say, sending, settings, stop, t, thinks,
} from './store';

export function Header() {
  const opened = conversation.value;
  const title = opened?.title || t.value.untitled;
  return (
    <header class="header">
      <button type="button" class="icon-button drawer-open" aria-label={t.value.openList} onClick={() => (drawer.value = true)}>
        <Icon name="menu" />
      </button>
      <div class="header-title">
        <h1>{opened ? title : t.value.newChat}</h1>
        {info.value ? (
          <button type="button" class="model" onClick={() => (dialog.value = { kind: 'settings', tab: 'model' })}>
            {info.value.model.name}
          </button>
        ) : null}
      </div>
      {opened ? (
        <button
          type="button"
          class="icon-button"
          aria-label={t.value.menu}
          aria-haspopup="menu"
          aria-expanded="false"
          onClick={(event) => openMenu(event.currentTarget, t.value.menu, actionsFor(opened.id, opened.title))}
        >
          <Icon name="dots" />
        </button>
      ) : null}
      <button type="button" class="icon-button header-new" aria-label={t.value.newChat} onClick={newConversation}>
        <Icon name="compose" />
      </button>
    </header>
  );
}

function Welcome() {
  const here = place.value;
  const small = (info.value?.model.parameters ?? Infinity) < 1e8;
  const prompts = small ? t.value.sums : t.value.prompts;
  return (
    <div class="welcome">
      <Mark />
      <h2>{t.value.welcome}</h2>
      {info.value ? <p>{t.value.welcomeText(info.value.model.name, here)}</p> : null}
      <ul class="prompts">
        {prompts.map((prompt) => (
          <li key={prompt}>
            <button type="button" disabled={sending.value !== null} onClick={() => void say(prompt, null)}>
              {prompt}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Below a question that has no answer: it was imported so. */
function Unanswered({ question }: { question: string }) {
  return (
    <div class="row">
      <button type="button" class="button" onClick={() => void again(question)}>
        {t.value.answer}
      </button>
    </div>
  );
}

const NEAR = 48; // pixels from the end that count as being there

export function Messages() {
  const scroller = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const away = useSignal(false);
  const opened = conversation.value?.id;
  const shown = path.value;
  const last = shown[shown.length - 1]?.id;
  const end = () => {
    const box = scroller.current;
    if (box) box.scrollTop = box.scrollHeight;
  };
  useLayoutEffect(() => {
    const box = scroller.current;
    const content = inner.current;
    if (!box || !content) return;
    // Whoever scrolled up to read is left there.
    const watch = new ResizeObserver(() => atEnd.current && end());
    watch.observe(content);
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    atEnd.current = true;
    away.value = false;
    end();
  }, [opened, shown.length, last]);
  return (
    <div class="scroll-frame">
      <div
        class="messages"
        ref={scroller}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={t.value.messages}
        onScroll={() => {
          const box = scroller.current;
          if (!box) return;
          atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
          away.value = !atEnd.current;
        }}
      >
        <div class="column" ref={inner}>
          {opening.value ? (
            <p class="pending loading">{t.value.loading}</p>
          ) : shown.length ? (
            shown.map((message) => <OneMessage key={message.id} message={message} />)
          ) : sending.value ? null : (
            <Welcome />
          )}
          {shown[shown.length - 1]?.role === 'user' && sending.value === null ? <Unanswered question={last!} /> : null}
          {sending.value ? (
            <article class="message question sending" aria-label={t.value.you}>
              <div class="bubble">{sending.value}</div>
            </article>
          ) : null}
        </div>
      </div>
      {away.value ? (
        <button
          type="button"
          class="icon-button to-end"
          aria-label={t.value.down}
          onClick={() => {
            atEnd.current = true;
            end();
          }}
        >
          <Icon name="down" />
        </button>
      ) : null}
    </div>
  );
}

function Status() {
  const figures = live.value?.figures.value;
  let used = figures?.context_used;
  // Of an answer that is whole it stands below the answer.
  const speed = figures?.tokens_per_second;
  for (let at = path.value.length - 1; at >= 0 && used === undefined; at--) used = path.value[at]!.stats?.context_used;
  const most = info.value?.model.max_context;
  const memory = load.value;
  const share = most && used ? Math.min(1, used / most) : 0;
  return (
    <div class="status">
      {most && used !== undefined ? (
        <span class="status-item">
          <span
            class={share > 0.85 ? 'context full' : 'context'}
            role="meter"
            aria-label={t.value.contextLabel}
            aria-valuemin={0}
            aria-valuemax={most}
            aria-valuenow={used}
          >
            <span style={{ width: `${share * 100}%` }} />
          </span>
          {t.value.context(count(used), count(most))}
        </span>
      ) : null}
      {speed ? <span class="status-item">{t.value.rate(rate(speed))}</span> : null}
      {memory && memory.rss_bytes ? (
        <span class="status-item">
          {memory.memory_budget
            ? t.value.memoryOf(bytes(memory.rss_bytes), bytes(memory.memory_budget))
            : t.value.memory(bytes(memory.rss_bytes))}
        </span>
      ) : null}
    </div>
  );
}

const TALLEST = 220; // pixels

export function Composer() {
  const area = useRef<HTMLTextAreaElement>(null);
  const draft = useSignal('');
  const busy = running.value !== null || sending.value !== null;
  useLayoutEffect(() => {
    const box = area.current;
    if (!box) return;
    box.style.height = 'auto';
    box.style.height = `${Math.min(box.scrollHeight, TALLEST)}px`;
  }, [draft.value]);
  useEffect(() => {
    // On a phone the keyboard would cover what there is to read.
    if (matchMedia('(min-width: 860px)').matches) area.current?.focus();
  }, []);
  const submit = async () => {
    const text = draft.value.trim();
    if (!text || busy) return;
    const kept = draft.value;
    draft.value = '';
    const last = path.value[path.value.length - 1];
    // Behind a question that has no answer nothing can follow: this one stands beside it.
    const parent = last?.role === 'user' ? last.parent : (last?.id ?? null);
    // A failed question is not lost.
    if (!(await say(text, parent)) && !draft.value) draft.value = kept;
  };
  const toggle = () => void changeSettings({ ...settings.value, think: !thinks.value });
  return (
    <div class="composer">
      <form
        class="composer-box"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <textarea
          id="question"
          ref={area}
          rows={1}
          value={draft.value}
          placeholder={t.value.ask}
          aria-label={t.value.message}
          autocomplete="off"
          onInput={(event) => (draft.value = event.currentTarget.value)}
          onKeyDown={(event) => {
            if (sends(event)) {
              event.preventDefault();
              void submit();
            }
          }}
        />
        <div class="composer-row">
          <button
            type="button"
            class={thinks.value ? 'toggle on' : 'toggle'}
            aria-pressed={thinks.value}
            title={thinks.value ? t.value.thinkOn : t.value.thinkOff}
            onClick={toggle}
          >
            <Icon name="thought" />
            {t.value.think}
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label={t.value.settings}
            title={t.value.settings}
            onClick={() => (dialog.value = { kind: 'settings', tab: 'answers' })}
          >
            <Icon name="settings" />
          </button>
          <span class="spacer" />
          {busy ? (
            <button type="button" class="send stop" aria-label={t.value.stop} title={t.value.stop} onClick={() => void stop()}>
              <StopIcon />
            </button>
          ) : (
            <button type="submit" class="send" aria-label={t.value.send} title={t.value.send} disabled={!draft.value.trim()}>
              <Icon name="send" />
            </button>
          )}
        </div>
      </form>
      <Status />
    </div>
  );
}
