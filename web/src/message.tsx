// One message: a question or an answer, with what can be done with it.
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { count, duration, rate } from './format';
import { Icon } from './icons';
import { GrowingMarkdown, Markdown, toClipboard } from './rendered';
import { again, live, load, running, say, sending, t, tree, turnTo, unfolded } from './store';
import type { Live } from './store';
import type { Message } from './types';

function Branches({ message }: { message: Message }) {
  const siblings = tree.value.siblings(message);
  if (siblings.length < 2) return null;
  const at = siblings.findIndex((other) => other.id === message.id);
  const go = (to: number) => {
    const other = siblings[to];
    if (other) void turnTo(other);
  };
  return (
    <span class="branches" role="group" aria-label={t.value.branch(at + 1, siblings.length)}>
      <button type="button" class="icon-button small" aria-label={t.value.previousBranch} disabled={at === 0} onClick={() => go(at - 1)}>
        <Icon name="left" />
      </button>
      <span aria-hidden="true">
        {at + 1}/{siblings.length}
      </span>
      <button
        type="button"
        class="icon-button small"
        aria-label={t.value.nextBranch}
        disabled={at === siblings.length - 1}
        onClick={() => go(at + 1)}
      >
        <Icon name="right" />
      </button>
    </span>
  );
}

function CopyButton({ text, label }: { text: string; label: string }) {
  const done = useSignal(false);
  return (
    <button
      type="button"
      class="icon-button small"
      aria-label={done.value ? t.value.copied : label}
      title={label}
      onClick={() =>
        void toClipboard(text).then((copied) => {
          if (!copied) return;
          done.value = true;
          setTimeout(() => (done.value = false), 1500);
        })
      }
    >
      <Icon name={done.value ? 'check' : 'copy'} />
    </button>
  );
}

interface ThoughtProps {
  id: string;
  label: ComponentChildren;
  busy: boolean;
  children: () => ComponentChildren;
}

function Thought({ id, label, busy, children }: ThoughtProps) {
  const open = unfolded.value.has(id);
  const toggle = () => {
    const now = new Set(unfolded.value);
    if (!now.delete(id)) now.add(id);
    unfolded.value = now;
  };
  return (
    <div class={open ? 'thought open' : 'thought'}>
      <button type="button" class="thought-head" aria-expanded={open} onClick={toggle}>
        <span class={busy ? 'thought-icon busy' : 'thought-icon'}>
          <Icon name="thought" />
        </span>
        <span class="thought-label">{label}</span>
        <Icon name="chevron" />
      </button>
      {open ? <div class="thought-body">{children()}</div> : null}
    </div>
  );
}

/** Seconds since a moment, told anew each second. */
function Ticking({ since }: { since: () => number }) {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => (now.value = Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  const began = since();
  if (!began) return <>{t.value.thinking}</>;
  return <>{t.value.thinkingFor(duration(Math.floor(Math.max(0, now.value - began) / 1000), t.value))}</>;
}

function thoughtLabel(message: Message, growing: Live | null): ComponentChildren {
  if (growing) {
    if (growing.phase.value !== 'answering') return <Ticking since={() => growing.thoughtBegan} />;
    const seconds = growing.thoughtSeconds.value;
    return seconds === null ? t.value.thought : t.value.thoughtFor(duration(seconds, t.value));
  }
  if (message.state !== 'done' && !message.content) return t.value.thoughtStopped;
  const seconds = message.stats?.thought_seconds;
  return typeof seconds === 'number' && seconds > 0 ? t.value.thoughtFor(duration(seconds, t.value)) : t.value.thought;
}

function AnswerLive({ answer }: { answer: Live }) {
  const silent = answer.answer.value === '';
  return (
    <>
      {answer.phase.value === 'waiting' && silent ? (
        <p class="pending">
          <span class="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {answer.crowded.value ? t.value.crowded : load.value?.waiting ? t.value.waiting : t.value.reading}
        </p>
      ) : null}
      {silent ? null : <GrowingMarkdown text={answer.answer} />}
      {answer.connected.value ? null : (
        <p class="pending" role="status">
          {t.value.reconnecting}
        </p>
      )}
    </>
  );
}

function Figures({ message }: { message: Message }) {
  const stats = message.stats;
  const shown: string[] = [];
  if (stats?.tokens_per_second) shown.push(t.value.rate(rate(stats.tokens_per_second)));
  if (stats?.completion_tokens) shown.push(t.value.tokens(count(stats.completion_tokens)));
  return shown.length ? <span class="figures">{shown.join(' · ')}</span> : null;
}

function Answer({ message }: { message: Message }) {
  const growing = live.value?.message.id === message.id ? live.value : null;
  // One element while it streams and after: whoever has opened it, or stands on it, goes on there.
  const thought = growing ? growing.hasThought.value : message.reasoning.trim() !== '';
  return (
    <article class="message answer" aria-label={t.value.assistant}>
      {thought ? (
        <Thought
          id={message.id}
          label={thoughtLabel(message, growing)}
          busy={growing !== null && growing.phase.value !== 'answering'}
        >
          {() => (growing ? <GrowingMarkdown text={growing.reasoning} /> : <Markdown text={message.reasoning} />)}
        </Thought>
      ) : null}
      {growing ? (
        <AnswerLive answer={growing} />
      ) : (
        <>
          {message.content ? <Markdown text={message.content} /> : null}
          {message.state === 'stopped' ? <p class="mark-line">{t.value.stopped}</p> : null}
          {message.state === 'done' && message.finish_reason === 'length' ? (
            <p class="mark-line">
              {t.value.lengthReached}. {t.value.goesOn}
            </p>
          ) : null}
          {message.state !== 'failed' && message.error ? <p class="mark-line">{message.error.message}</p> : null}
          {message.state === 'failed' ? (
            <div class="failed">
              <p>
                <strong>{t.value.failedReply}.</strong> {message.error?.code?.startsWith('context-') ? t.value.full : message.error?.message}
              </p>
              <button type="button" class="button" onClick={() => message.parent !== null && void again(message.parent)}>
                {t.value.retry}
              </button>
            </div>
          ) : null}
        </>
      )}
      {growing ? null : (
        <div class="tools">
          <Branches message={message} />
          {message.content ? <CopyButton text={message.content} label={t.value.copyAnswer} /> : null}
          <button
            type="button"
            class="icon-button small"
            aria-label={t.value.regenerate}
            title={t.value.regenerate}
            disabled={running.value !== null || sending.value !== null}
            onClick={() => message.parent !== null && void again(message.parent)}
          >
            <Icon name="again" />
          </button>
          <Figures message={message} />
        </div>
      )}
    </article>
  );
}

function Question({ message }: { message: Message }) {
  const draft = useSignal<string | null>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const editing = draft.value !== null;
  useEffect(() => {
    const box = area.current;
    if (!box) return;
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }, [editing]);
  const cancel = () => {
    draft.value = null;
    queueMicrotask(() => opener.current?.focus());
  };
  const submit = async () => {
    const text = (draft.value ?? '').trim();
    if (!text || running.value) return;
    if (await say(text, message.parent)) {
      draft.value = null;
      document.getElementById('question')?.focus();
    }
  };
  if (editing)
    return (
      <article class="message question" aria-label={t.value.you}>
        <form
          class="edit-form"
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          <textarea
            ref={area}
            aria-label={t.value.editing}
            rows={Math.min(10, Math.max(2, (draft.value ?? '').split('\n').length))}
            value={draft.value ?? ''}
            onInput={(event) => (draft.value = event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Escape') {
                event.preventDefault();
                event.stopPropagation();
                cancel();
              } else if (sends(event)) {
                event.preventDefault();
                void submit();
              }
            }}
          />
          <div class="row end">
            <button type="button" class="button" onClick={cancel}>
              {t.value.cancel}
            </button>
            <button type="submit" class="button primary" disabled={!draft.value?.trim() || running.value !== null || sending.value !== null}>
              {t.value.sendEdited}
            </button>
          </div>
        </form>
      </article>
    );
  return (
    <article class="message question" aria-label={t.value.you}>
      <div class="bubble">{message.content}</div>
      <div class="tools">
        <Branches message={message} />
        <CopyButton text={message.content} label={t.value.copy} />
        <button
          type="button"
          class="icon-button small"
          ref={opener}
          aria-label={t.value.edit}
          title={t.value.edit}
          disabled={running.value !== null || sending.value !== null}
          onClick={() => (draft.value = message.content)}
        >
          <Icon name="pen" />
        </button>
      </div>
    </article>
  );
}

/** Whether a key press means "send": Enter, but not the one that ends a composition (Chinese input). */
export function sends(event: KeyboardEvent): boolean {
  // Safari ends the composition before it tells of the key, whose code is 229 then.
  return event.key === 'Enter' && !event.shiftKey && !event.altKey && !event.isComposing && event.keyCode !== 229;
}

export function OneMessage({ message }: { message: Message }) {
  return message.role === 'user' ? <Question message={message} /> : <Answer message={message} />;
}
