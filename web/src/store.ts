// What the page knows, and what can be done. Components read the signals and call the functions.
import { batch, computed, signal } from '@preact/signals';
import { api, ApiError, onLocked } from './api';
import { Follower } from './follow';
import { fromMarkdown } from './imported';
import { firstLanguage, texts } from './texts';
import type { Language } from './texts';
import { Tree } from './tree';
import type { Conversation, Info, Load, Message, Settings, Summary } from './types';

// ---- choices that this browser keeps

export type Theme = 'auto' | 'light' | 'dark';
interface Choices {
  language?: Language;
  theme?: Theme;
  settings?: Settings;
  system?: string;
}
const KEPT = 'pocketr1';

function readChoices(): Choices {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEPT) ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Choices) : {};
  } catch {
    return {};
  }
}
export const choices = signal<Choices>(readChoices());

export function choose(change: Choices): void {
  choices.value = { ...choices.value, ...change };
  try {
    localStorage.setItem(KEPT, JSON.stringify(choices.value));
  } catch {
    // A private window keeps nothing; the choice holds until it is closed.
  }
}

// Another tab has chosen: what is kept here must not be written over it.
addEventListener('storage', (event) => {
  if (event.key === KEPT || event.key === null) choices.value = readChoices();
});

export const language = computed<Language>(() => firstLanguage(choices.value.language ?? null, navigator.languages));
export const t = computed(() => texts[language.value]);
/** Where the model and the conversations are, in words. */
export const place = computed(() =>
  /^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname) ? t.value.thisDevice : t.value.server,
);
export const theme = computed<Theme>(() => choices.value.theme ?? 'auto');

// ---- notices and dialogs

export interface Notice {
  text: string;
  kind: 'error' | 'done';
}
export const notice = signal<Notice | null>(null);
/** What a screen reader is told, politely. */
export const announcement = signal('');

export type Dialog =
  | { kind: 'settings'; tab?: string }
  | { kind: 'rename'; id: string; title: string }
  | { kind: 'delete'; id: string; title: string }
  | { kind: 'erase' }
  | { kind: 'key'; wrong: boolean; given: () => void };
export const dialog = signal<Dialog | null>(null);
export const drawer = signal(false);

/** What a failure means to the person who meets it. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : t.value.unknownError;
  if (error.status === 0) return t.value.offline;
  if (error.status === 404) return t.value.gone;
  return error.message || `${t.value.unknownError} (${error.status})`;
}

function complain(error: unknown): void {
  notice.value = { text: explain(error), kind: 'error' };
}

let unlocking: Promise<void> | null = null;
onLocked(() => {
  unlocking ??= new Promise<void>((resolve) => {
    dialog.value = {
      kind: 'key',
      wrong: false,
      given: () => {
        unlocking = null;
        dialog.value = null;
        resolve();
      },
    };
  });
  return unlocking;
});

export async function giveKey(key: string): Promise<void> {
  const asked = dialog.value;
  if (asked?.kind !== 'key') return;
  try {
    await api.session(key);
    asked.given();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) dialog.value = { ...asked, wrong: true };
    else complain(error);
  }
}

// ---- the server

export const info = signal<Info | null>(null);
export const load = signal<Load | null>(null);

export async function refreshLoad(): Promise<void> {
  try {
    load.value = await api.load();
  } catch {
    // The figures are a service, not worth a complaint.
  }
}

// ---- the list

export const query = signal('');
export const list = signal<Summary[]>([]);
export const next = signal<string | null>(null);
export const listed = signal(false);
let asked = 0;

export async function refreshList(): Promise<void> {
  const mine = ++asked;
  try {
    const answer = await api.list(query.value.trim(), null);
    if (mine !== asked) return; // a newer question is under way
    batch(() => {
      list.value = answer.conversations;
      next.value = answer.next;
      listed.value = true;
    });
  } catch (error) {
    if (mine === asked) complain(error);
  }
}

export async function moreOfList(): Promise<void> {
  if (next.value === null) return;
  const mine = ++asked;
  try {
    const answer = await api.list(query.value.trim(), next.value);
    if (mine !== asked) return;
    const known = new Set(list.value.map((entry) => entry.id));
    batch(() => {
      list.value = [...list.value, ...answer.conversations.filter((entry) => !known.has(entry.id))];
      next.value = answer.next;
    });
  } catch (error) {
    complain(error);
  }
}

// ---- the open conversation

export const conversation = signal<Conversation | null>(null);
export const opening = signal(false);
export const tree = computed(() => new Tree(conversation.value?.messages ?? []));
export const path = computed(() => tree.value.path(conversation.value?.leaf ?? null));
/** Settings in force: the conversation's, or those for new ones. */
export const settings = computed<Settings>(() => conversation.value?.settings ?? choices.value.settings ?? {});
export const thinks = computed(() => settings.value.think ?? info.value?.defaults.think ?? true);
export const running = computed(() => {
  const last = path.value[path.value.length - 1];
  return last?.state === 'running' ? last : null;
});
/** The question that is being sent; empty: another answer is asked for. */
export const sending = signal<string | null>(null);

function current(id: string): boolean {
  return conversation.value?.id === id;
}

function put(message: Message, leaf?: string): void {
  const now = conversation.value;
  if (!now) return;
  const known = now.messages.some((other) => other.id === message.id);
  conversation.value = {
    ...now,
    leaf: leaf ?? now.leaf,
    messages: known
      ? now.messages.map((other) => (other.id === message.id ? message : other))
      : [...now.messages, message],
  };
}

function show(opened: Conversation | null): void {
  conversation.value = opened;
  const address = opened ? `#/c/${opened.id}` : '#/';
  if (location.hash !== address && !(address === '#/' && location.hash === '')) history.pushState(null, '', address);
  attach();
}

export function newConversation(): void {
  batch(() => {
    leave();
    opening.value = false;
    drawer.value = false;
    notice.value = null;
    show(null);
  });
  // Behind the next drawing: a list that is open keeps the rest from the focus.
  setTimeout(() => document.getElementById('question')?.focus(), 30);
}

let opens = 0;
export async function open(id: string): Promise<void> {
  drawer.value = false;
  if (current(id)) return;
  leave();
  const mine = opens;
  opening.value = true;
  try {
    const opened = await api.get(id);
    if (mine === opens) {
      notice.value = null;
      show(opened);
    }
  } catch (error) {
    if (mine !== opens) return;
    show(null);
    complain(error);
    if (error instanceof ApiError && error.status === 404) void refreshList();
  } finally {
    if (mine === opens) opening.value = false;
  }
}

/** Opens what the address names. */
export function openAddressed(): void {
  const match = /^#\/c\/([\w-]{1,64})$/.exec(location.hash);
  if (match?.[1]) void open(match[1]);
  else if (conversation.value) {
    leave();
    show(null);
  }
}

function leave(): void {
  opens++;
  live.value?.follower.stop();
  live.value = null;
}

// ---- the running answer

export class Live {
  readonly reasoning = signal('');
  readonly answer = signal('');
  readonly phase = signal<'waiting' | 'thinking' | 'answering'>('waiting');
  /** The model is full; the server waits for room. */
  readonly crowded = signal(false);
  readonly connected = signal(true);
  readonly thoughtSeconds = signal<number | null>(null);
  readonly figures = signal<{ tokens: number; tokens_per_second: number | null; context_used: number } | null>(null);
  readonly follower: Follower;
  readonly hasThought = computed(() => this.phase.value === 'thinking' || this.reasoning.value !== '');
  /** When the thought began, in milliseconds of this browser's clock. */
  thoughtBegan = 0;
  private fresh = true;
  private grownReasoning = '';
  private grownAnswer = '';
  private frame = 0;

  constructor(
    readonly conversation: string,
    readonly message: Message,
    joined: boolean,
  ) {
    this.reasoning.value = message.reasoning;
    this.answer.value = message.content;
    const began = joined ? Math.min(message.created * 1000, Date.now()) : Date.now();
    this.follower = new Follower(message.id, {
      waiting: () => {
        if (!this.crowded.value) announcement.value = t.value.crowded;
        this.crowded.value = true;
      },
      begun: ({ thinking }) => {
        this.crowded.value = false;
        this.thoughtBegan = joined ? began : Date.now();
        if (thinking) this.phase.value = 'thinking';
      },
      piece: (kind, text) => this.grow(kind, text),
      stats: (figures) => {
        this.figures.value = figures;
      },
      ended: (ended) => this.end(ended),
      failed: (error) => {
        this.flush();
        this.end({
          ...message,
          reasoning: this.reasoning.value,
          content: this.answer.value,
          state: 'failed',
          error,
        });
      },
      connected: (yes) => {
        this.connected.value = yes;
      },
      over: async () => {
        let kept: Conversation;
        try {
          kept = await api.get(this.conversation);
        } catch (error) {
          if (!(error instanceof ApiError) || error.status !== 404) throw error;
          if (current(this.conversation)) {
            show(null);
            complain(error);
          }
          return 'settled';
        }
        const found = kept.messages.find((other) => other.id === this.message.id);
        if (found?.state === 'running') return 'running';
        if (found) this.end(found);
        return 'settled';
      },
    });
  }

  private grow(kind: 'reasoning' | 'answer', text: string): void {
    if (this.fresh) {
      // The events tell everything from the beginning.
      this.fresh = false;
      this.grownReasoning = this.grownAnswer = '';
    }
    if (kind === 'reasoning') {
      if (this.phase.value === 'waiting') this.phase.value = 'thinking';
      if (!this.thoughtBegan) this.thoughtBegan = Date.now();
      this.grownReasoning += text;
    } else {
      if (this.phase.value !== 'answering') {
        if (this.phase.value === 'thinking' && this.thoughtBegan)
          this.thoughtSeconds.value = (Date.now() - this.thoughtBegan) / 1000;
        this.phase.value = 'answering';
      }
      this.grownAnswer += text;
    }
    // A screen shows 60 pictures a second, however many tokens come. A hidden page draws none.
    if (this.frame) return;
    this.frame = document.hidden
      ? window.setTimeout(() => this.flush(), 250)
      : requestAnimationFrame(() => this.flush());
  }

  private flush(): void {
    this.frame = 0;
    if (this.fresh) return;
    batch(() => {
      this.reasoning.value = this.grownReasoning;
      this.answer.value = this.grownAnswer;
    });
  }

  private end(message: Message): void {
    this.follower.stop();
    batch(() => {
      if (live.value === this) live.value = null;
      if (current(this.conversation)) put(message);
    });
    if (message.state === 'done' && message.content) announcement.value = t.value.answered(plain(message.content));
    else if (message.state === 'stopped') announcement.value = t.value.stopped;
    else if (message.state === 'failed') announcement.value = t.value.failedReply;
    void refreshList();
    void refreshLoad();
    if (current(this.conversation)) void refreshTitle(this.conversation);
  }
}

export const live = signal<Live | null>(null);
/** Messages whose thought is open. */
export const unfolded = signal<ReadonlySet<string>>(new Set());

function plain(markdown: string): string {
  return markdown
    .replace(/\\boxed\{([^{}]*)\}/g, '$1')
    .replace(/[*_`#>$\\]/g, '')
    .slice(0, 1500);
}

async function refreshTitle(id: string): Promise<void> {
  try {
    const kept = await api.get(id);
    if (conversation.value?.id === id) conversation.value = { ...conversation.value, title: kept.title };
  } catch {
    // The title can wait.
  }
}

/** Follows the answer that runs at the end of the open branch, if one does. */
function attach(began = false): void {
  const message = running.value;
  const opened = conversation.value;
  if (live.value && live.value.message.id === message?.id) return;
  live.value?.follower.stop();
  live.value = null;
  if (!message || !opened) return;
  live.value = new Live(opened.id, message, !began);
  live.value.follower.start();
  if (began) announcement.value = t.value.answering;
}

/** For when the page is shown again or the network is back. */
export function nudge(): void {
  live.value?.follower.nudge();
}

let caughtUp = 0; // milliseconds

/** Sees what another tab, another device or the terminal has changed meanwhile. */
export async function catchUp(): Promise<void> {
  if (Date.now() - caughtUp < 1000) return;
  caughtUp = Date.now();
  void refreshList();
  const opened = conversation.value;
  const busy = () => live.value !== null || sending.value !== null || !opened || conversation.value !== opened;
  if (!opened || busy()) return;
  try {
    const kept = await api.get(opened.id);
    if (busy()) return;
    const shown = path.value[path.value.length - 1]?.id;
    const goesOn = !shown || new Tree(kept.messages).path(kept.leaf).some((message) => message.id === shown);
    conversation.value = { ...kept, leaf: goesOn ? kept.leaf : opened.leaf };
    attach();
  } catch (error) {
    if (busy() || !(error instanceof ApiError) || error.status !== 404) return;
    show(null);
    complain(error);
  }
}

// ---- asking

/** A question whose sending broke off: the server may have it all the same. */
let lost: { conversation: string; parent: string | null; text: string; known: Set<string> } | null = null;

/** Returns the lost question, where this is it and the server has it. */
async function found(id: string, parent: string | null, text: string): Promise<{ user: Message; reply: Message } | null> {
  if (lost?.conversation !== id || lost.parent !== parent || lost.text !== text) return null;
  const { messages } = await api.get(id);
  const known = lost.known;
  const user = messages.find(
    (one) => one.role === 'user' && one.parent === parent && one.content === text && !known.has(one.id),
  );
  const reply = user && messages.find((one) => one.parent === user.id);
  return reply ? { user, reply } : null;
}

/** Sends a question below `parent`; true once the server has it. */
export async function say(text: string, parent: string | null): Promise<boolean> {
  if (sending.value !== null) return false;
  const mine = opens;
  let at = conversation.value;
  sending.value = text;
  try {
    if (!at) {
      const { settings: wanted, system } = choices.value;
      at = await api.create({ ...(wanted ? { settings: wanted } : {}), ...(system ? { system } : {}) });
      if (mine === opens) show(at);
    }
    const done = (await found(at.id, parent, text)) ?? (await api.say(at.id, { parent, content: text }));
    lost = null;
    if (current(at.id)) {
      notice.value = null;
      batch(() => {
        put(done.user, done.reply.id);
        put(done.reply, done.reply.id);
      });
      attach(true);
    }
    void refreshList();
    void refreshLoad();
    return true;
  } catch (error) {
    if (at && error instanceof ApiError && error.status === 0)
      lost = { conversation: at.id, parent, text, known: new Set(at.messages.map((one) => one.id)) };
    complain(error);
    return false;
  } finally {
    sending.value = null;
  }
}

/** Asks for an answer to a question; beside those that it has. */
export async function again(question: string): Promise<void> {
  const opened = conversation.value;
  if (!opened || sending.value !== null || running.value) return;
  sending.value = '';
  try {
    const { reply } = await api.again(opened.id, { parent: question });
    if (!current(opened.id)) return;
    notice.value = null;
    put(reply, reply.id);
    attach(true);
  } catch (error) {
    complain(error);
  } finally {
    sending.value = null;
  }
}

export async function stop(): Promise<void> {
  const message = running.value;
  if (!message) return;
  try {
    // Its end comes as an event as well; whichever is first ends it.
    const stopped = await api.stop(message.id);
    if (stopped.state !== 'running' && live.value?.message.id === message.id) {
      live.value.follower.stop();
      live.value = null;
      put(stopped);
      announcement.value = t.value.stopped;
      void refreshList();
    }
  } catch (error) {
    complain(error);
  }
}

/** Shows another branch. */
export async function turnTo(message: Message): Promise<void> {
  const opened = conversation.value;
  if (!opened) return;
  const leaf = tree.value.leafBelow(message.id);
  conversation.value = { ...opened, leaf };
  attach();
  try {
    await api.change(opened.id, { leaf });
  } catch (error) {
    complain(error);
  }
}

// ---- changing

export async function rename(id: string, title: string): Promise<void> {
  try {
    const changed = await api.change(id, { title });
    if (conversation.value?.id === id) conversation.value = { ...conversation.value, title: changed.title };
    list.value = list.value.map((entry) => (entry.id === id ? { ...entry, title: changed.title } : entry));
  } catch (error) {
    complain(error);
  }
}

export async function remove(id: string): Promise<void> {
  try {
    await api.remove(id);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) return complain(error);
  }
  if (current(id)) newConversation();
  await refreshList();
}

export async function eraseAll(): Promise<void> {
  try {
    await api.eraseAll();
    choose({ system: '' }); // what somebody wrote, as the conversations are
    newConversation();
    await refreshList();
    notice.value = { text: t.value.erased, kind: 'done' };
  } catch (error) {
    complain(error);
  }
}

export async function importFile(file: File): Promise<void> {
  try {
    const text = await file.text();
    const body = /\.(md|markdown|txt)$/i.test(file.name) ? JSON.stringify(fromMarkdown(text, file.name)) : text;
    const { imported } = await api.import(body);
    notice.value = { text: t.value.imported(imported), kind: 'done' };
    await refreshList();
  } catch (error) {
    if (error instanceof ApiError && error.status !== 400) complain(error);
    else {
      const more = error instanceof ApiError && error.message ? ` (${error.message})` : '';
      notice.value = { text: t.value.importBad + more, kind: 'error' };
    }
  }
}

/** Settings for the open conversation and for those to come; without a `system`, both keep theirs. */
export async function changeSettings(wanted: Settings, system?: string): Promise<void> {
  const given = system !== undefined;
  choose({ settings: wanted, ...(given ? { system } : {}) });
  const opened = conversation.value;
  if (!opened) return;
  try {
    const changed = await api.change(opened.id, { settings: wanted, ...(given ? { system: system || null } : {}) });
    if (conversation.value?.id === opened.id)
      conversation.value = { ...conversation.value, settings: changed.settings, system: changed.system };
  } catch (error) {
    complain(error);
  }
}

/** Asks the server for what the page needs, until it answers. */
export async function begin(): Promise<void> {
  openAddressed();
  void refreshList();
  for (let pause = 1000; ; pause = Math.min(pause * 2, 10_000)) {
    try {
      info.value = await api.info();
      break;
    } catch (error) {
      complain(error);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  if (notice.value?.text === t.value.offline) {
    notice.value = null;
    openAddressed();
  }
  void refreshLoad();
  if (!listed.value) void refreshList();
}
