// Settings: how answers are drawn, what the model is, the page's language and colours, privacy.
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { api } from './api';
import { bytes, count, large } from './format';
import { Icon } from './icons';
import { Modal } from './modal';
import {
  changeSettings, choices, choose, conversation, dialog, importFile, info, language, load, place, refreshLoad, settings, t,
  theme, thinks,
} from './store';
import type { Theme } from './store';
import type { Language } from './texts';
import type { Settings } from './types';

type Numeric = Exclude<keyof Settings, 'think'>;

function system(): string {
  return conversation.value ? (conversation.value.system ?? '') : (choices.value.system ?? '');
}

function change(wanted: Settings): void {
  void changeSettings(wanted);
}

interface NumberProps {
  name: Numeric;
  label: string;
  hint?: string;
  low: number;
  high: number;
  step?: number;
  empty?: string;
}

function NumberField({ name, label, hint, low, high, step, empty }: NumberProps) {
  const own = settings.value[name];
  const draft = useSignal<string | null>(null);
  const wrong = useSignal(false);
  const given = info.value?.defaults[name];
  const whole = step === undefined;
  const commit = (text: string) => {
    const rest = { ...settings.value };
    delete rest[name];
    const value = Number(text);
    if (text.trim() === '') {
      wrong.value = false;
      draft.value = null;
      if (own !== undefined) change(rest);
    } else if (!Number.isFinite(value) || value < low || value > high || (whole && !Number.isInteger(value))) {
      wrong.value = true;
    } else {
      wrong.value = false;
      draft.value = null;
      if (value !== own) change({ ...rest, [name]: value });
    }
  };
  const range = whole ? t.value.whole(count(low), count(high)) : t.value.range(String(low), String(high));
  return (
    <div class="field number">
      <label for={`set-${name}`}>
        {label}
        {hint ? <small>{hint}</small> : null}
      </label>
      <input
        id={`set-${name}`}
        type="text"
        inputMode={whole ? 'numeric' : 'decimal'}
        autocomplete="off"
        value={draft.value ?? (own === undefined ? '' : String(own))}
        placeholder={typeof given === 'number' ? String(given) : (empty ?? t.value.byModel)}
        aria-invalid={wrong.value}
        aria-describedby={wrong.value ? `wrong-${name}` : undefined}
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onChange={(event) => commit(event.currentTarget.value)}
      />
      {wrong.value ? (
        <p class="field-error" id={`wrong-${name}`} role="alert">
          {range}
        </p>
      ) : null}
    </div>
  );
}

function Answers() {
  const most = info.value?.model.max_context ?? 131_072;
  const used = Object.keys(settings.value).length > 0 || system() !== '';
  return (
    <>
      <p class="lead">{t.value.settingsScope}</p>
      <label class="switch">
        <span>{t.value.thinkLabel}</span>
        <input
          type="checkbox"
          role="switch"
          checked={thinks.value}
          onChange={(event) => change({ ...settings.value, think: event.currentTarget.checked })}
        />
        <i aria-hidden="true" />
      </label>
      <div class="grid" key={conversation.value?.id ?? ''}>
        <NumberField name="think_budget" label={t.value.budget} hint={t.value.budgetHint} low={1} high={most} empty={t.value.unlimited} />
        <NumberField name="max_tokens" label={t.value.maxTokens} hint={t.value.maxTokensHint} low={1} high={most} empty={t.value.unlimited} />
        <NumberField name="temperature" label={t.value.temperature} low={0} high={2} step={0.05} />
        <NumberField name="top_p" label={t.value.topP} low={0.01} high={1} step={0.01} />
        <NumberField name="top_k" label={t.value.topK} low={0} high={1000} empty={t.value.off} />
        <NumberField name="min_p" label={t.value.minP} low={0} high={1} step={0.01} empty={t.value.off} />
        <NumberField name="repetition_penalty" label={t.value.repetition} low={0.5} high={2} step={0.01} />
        <NumberField name="seed" label={t.value.seed} hint={t.value.seedHint} low={0} high={4_294_967_295} empty={t.value.random} />
      </div>
      <label class="field">
        <span>{t.value.systemPrompt}</span>
        <textarea
          rows={3}
          value={system()}
          aria-describedby="system-hint"
          onChange={(event) => void changeSettings(settings.value, event.currentTarget.value.trim())}
        />
        <small id="system-hint">{t.value.systemHint}</small>
      </label>
      {used ? (
        <button type="button" class="button" onClick={() => void changeSettings({}, '')}>
          {t.value.reset}
        </button>
      ) : null}
    </>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Model() {
  useEffect(() => {
    void refreshLoad();
    const timer = setInterval(() => void refreshLoad(), 2000);
    return () => clearInterval(timer);
  }, []);
  const known = info.value;
  if (!known) return <p>{t.value.loading}</p>;
  const { model } = known;
  const now = load.value;
  return (
    <dl class="facts">
      <Fact name={t.value.modelName}>{model.name}</Fact>
      <Fact name={t.value.architecture}>{model.architecture}</Fact>
      <Fact name={t.value.parameters}>{large(model.parameters)}</Fact>
      <Fact name={t.value.weightBytes}>{bytes(model.weight_bytes)}</Fact>
      <Fact name={t.value.bits}>{model.bits_per_weight.toFixed(2)}</Fact>
      <Fact name={t.value.maxContext}>{t.value.tokens(count(model.max_context))}</Fact>
      {now ? (
        <>
          <Fact name={t.value.memoryUsed}>
            {bytes(now.rss_bytes)}
            {now.memory_budget ? ` / ${bytes(now.memory_budget)}` : ''}
          </Fact>
          <Fact name={t.value.keysValues}>{bytes(now.kv_bytes)}</Fact>
          <Fact name={t.value.running}>
            {now.running}, {now.waiting}
          </Fact>
        </>
      ) : null}
      {Object.entries(model.details ?? {}).map(([name, value]) => (
        <Fact key={name} name={name.replace(/_/g, ' ')}>
          {String(value)}
        </Fact>
      ))}
      <Fact name={t.value.version}>{known.version}</Fact>
    </dl>
  );
}

function Choice<T extends string>({ label, value, options, act }: { label: string; value: T; options: [T, string][]; act: (value: T) => void }) {
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      <div class="segments">
        {options.map(([option, text]) => (
          <label key={option} class={option === value ? 'segment on' : 'segment'} lang={label === t.value.language ? option : undefined}>
            <input type="radio" name={label} value={option} checked={option === value} onChange={() => act(option)} />
            <span>{text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function Page() {
  return (
    <>
      <Choice<Language>
        label={t.value.language}
        value={language.value}
        options={[
          ['en', 'English'],
          ['zh', '中文'],
        ]}
        act={(value) => choose({ language: value })}
      />
      <Choice<Theme>
        label={t.value.theme}
        value={theme.value}
        options={[
          ['auto', t.value.auto],
          ['light', t.value.light],
          ['dark', t.value.dark],
        ]}
        act={(value) => choose({ theme: value })}
      />
      <h3>{t.value.shortcuts}</h3>
      <dl class="facts">
        {t.value.keys.map(([key, what]) => (
          <div class="fact" key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Data() {
  const privacy = info.value?.privacy;
  const file = useRef<HTMLInputElement>(null);
  return (
    <>
      <p class="lead">{t.value.privacyLead(place.value)}</p>
      {privacy ? (
        <ul class="plain">
          <li>
            {t.value.storedConversations} <code>{privacy.conversations}</code>
          </li>
          <li>
            {privacy.kv_store ? (
              <>
                {t.value.storedKv} <code>{privacy.kv_store}</code>
              </>
            ) : (
              t.value.storedNone
            )}
          </li>
          <li>{privacy.prompts_logged ? t.value.logged : t.value.notLogged}</li>
          <li>{t.value.browserKeeps}</li>
        </ul>
      ) : null}
      <div class="stack">
        <a class="button" href={api.exportUrl(null, 'json')} download="pocketr1-conversations.json">
          <Icon name="download" />
          {t.value.exportAll}
        </a>
        <button type="button" class="button" aria-describedby="import-hint" onClick={() => file.current?.click()}>
          <Icon name="upload" />
          {t.value.import}
        </button>
        <small id="import-hint">{t.value.importHint}</small>
        <input
          ref={file}
          type="file"
          id="import-file"
          hidden
          accept=".json,.md,application/json,text/markdown"
          onChange={(event) => {
            const chosen = event.currentTarget.files?.[0];
            event.currentTarget.value = '';
            if (!chosen) return;
            dialog.value = null;
            void importFile(chosen);
          }}
        />
        <button type="button" class="button danger" onClick={() => (dialog.value = { kind: 'erase' })}>
          <Icon name="trash" />
          {t.value.eraseAll}
        </button>
      </div>
    </>
  );
}

const tabs = ['answers', 'model', 'page', 'data'] as const;

export function SettingsDialog({ tab }: { tab: string }) {
  const names = {
    answers: t.value.tabAnswers,
    model: t.value.tabModel,
    page: t.value.tabPage,
    data: t.value.tabData,
  };
  const shown = tabs.find((name) => name === tab) ?? 'answers';
  const go = (name: string, focus = false) => {
    dialog.value = { kind: 'settings', tab: name };
    if (focus) queueMicrotask(() => document.getElementById(`tab-${name}`)?.focus());
  };
  const keys = (event: KeyboardEvent) => {
    const at = tabs.indexOf(shown);
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    go(tabs[(at + step + tabs.length) % tabs.length]!, true);
  };
  return (
    <Modal title={t.value.settings} wide>
      <div class="tabs" role="tablist" aria-label={t.value.settings} onKeyDown={keys}>
        {tabs.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={name === shown}
            aria-controls="panel"
            tabIndex={name === shown ? 0 : -1}
            class={name === shown ? 'tab on' : 'tab'}
            onClick={() => go(name)}
          >
            {names[name]}
          </button>
        ))}
      </div>
      <div class="panel" role="tabpanel" id="panel" aria-labelledby={`tab-${shown}`} tabIndex={0} key={shown}>
        {shown === 'answers' ? <Answers /> : shown === 'model' ? <Model /> : shown === 'page' ? <Page /> : <Data />}
      </div>
    </Modal>
  );
}
