// Follows a running answer over Server-Sent Events, and takes it up again where it broke off.
import type { Failure, Message } from './types';

export interface Heard {
  /** The model is full; the server asks it again in `retry_after` seconds. */
  waiting(data: { retry_after: number }): void;
  begun(data: { prompt_tokens: number; cached_tokens: number; thinking: boolean }): void;
  piece(kind: 'reasoning' | 'answer', text: string): void;
  stats(data: { tokens: number; tokens_per_second: number | null; context_used: number }): void;
  ended(message: Message): void;
  failed(failure: Failure): void;
  /** false: the connection broke and is being made again. */
  connected(yes: boolean): void;
  /** The server has nothing more to say, but the end was not heard: look at what it kept. */
  over(): Promise<'running' | 'settled'>;
}

/** The part of EventSource that is used. */
export interface Source {
  readonly readyState: number;
  onopen: ((event: Event) => void) | null;
  onerror: ((event: Event) => void) | null;
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
  close(): void;
}

const CLOSED = 2;
const LONGEST_PAUSE = 8000; // milliseconds
// They tell of a moment, without a number of their own.
const passing = new Set(['waiting', 'stats']);

/** One reader of one reply. */
export class Follower {
  private source: Source | null = null;
  private last = 0;
  private pause = 250;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private finished = false;

  constructor(
    private readonly reply: string,
    private readonly heard: Heard,
    private readonly open: (url: string) => Source = (url) => new EventSource(url) as Source,
  ) {}

  /** Number of the last event heard. */
  get position(): number {
    return this.last;
  }

  start(): void {
    if (this.finished || this.source) return;
    const source = this.open(`/api/replies/${encodeURIComponent(this.reply)}/events?after=${this.last}`);
    this.source = source;
    source.onopen = () => {
      this.pause = 250;
      this.heard.connected(true);
    };
    source.onerror = () => {
      if (this.finished || this.source !== source) return;
      this.heard.connected(false);
      // The browser itself asks again, with Last-Event-ID, unless the server answered otherwise.
      if (source.readyState === CLOSED) void this.look();
    };
    const on = (type: string, act: (data: never) => void) => {
      source.addEventListener(type, (event) => {
        if (this.finished || this.source !== source) return;
        const id = Number(event.lastEventId);
        if (!passing.has(type) && Number.isSafeInteger(id) && id > 0) {
          if (id <= this.last) return; // heard before the connection broke
          this.last = id;
        }
        let data: unknown;
        try {
          data = JSON.parse(event.data);
        } catch {
          return;
        }
        act(data as never);
      });
    };
    on('waiting', (data: Parameters<Heard['waiting']>[0]) => {
      // Behind the beginning it is an old one.
      if (this.last === 0) this.heard.waiting(data);
    });
    on('begun', (data: Parameters<Heard['begun']>[0]) => this.heard.begun(data));
    on('piece', (data: { kind: 'reasoning' | 'answer'; text: string }) => this.heard.piece(data.kind, data.text));
    on('stats', (data: Parameters<Heard['stats']>[0]) => this.heard.stats(data));
    on('ended', (data: Message) => {
      this.stop();
      this.heard.ended(data);
    });
    on('failed', (data: Failure) => {
      this.stop();
      this.heard.failed(data);
    });
  }

  /** Asks again at once: for when the device has its network back or the page is shown again. */
  nudge(): void {
    if (this.finished || (this.source && this.source.readyState === 1)) return;
    this.drop();
    this.start();
  }

  stop(): void {
    this.finished = true;
    this.drop();
  }

  private drop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.source?.close();
    this.source = null;
  }

  private async look(): Promise<void> {
    this.drop();
    let state: 'running' | 'settled' | 'unknown' = 'unknown';
    try {
      state = await this.heard.over();
    } catch {
      // The server cannot be reached now.
    }
    if (this.finished || this.source) return;
    if (state === 'settled') {
      this.stop();
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = null;
      this.start();
    }, this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }
}

