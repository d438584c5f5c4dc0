// Asks the server. Every failure becomes an ApiError, which says what to do.
import type { Conversation, Info, Load, Message, Settings, Summary } from './types';

export class ApiError extends Error {
  constructor(
    /** 0: the server could not be reached. */
    readonly status: number,
    readonly code: string | null,
    message: string,
  ) {
    super(message);
  }
}

/** Called when a key is needed; resolves once it was given. */
export type Unlock = () => Promise<void>;
let unlock: Unlock | null = null;
export function onLocked(handler: Unlock): void {
  unlock = handler;
}

async function failure(response: Response): Promise<ApiError> {
  let message = '';
  let code: string | null = null;
  try {
    const body = (await response.json()) as { error?: { message?: unknown; code?: unknown } };
    if (typeof body.error?.message === 'string') message = body.error.message;
    if (typeof body.error?.code === 'string') code = body.error.code;
  } catch {
    // Not ours: a proxy's page, say.
  }
  return new ApiError(response.status, code, message);
}

async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  for (;;) {
    let response: Response;
    try {
      response = await fetch(path, {
        method,
        credentials: 'same-origin',
        cache: 'no-store',
        ...(body === undefined
          ? {}
          : {
              headers: { 'Content-Type': 'application/json' },
              body: typeof body === 'string' ? body : JSON.stringify(body),
            }),
      });
    } catch {
      throw new ApiError(0, 'offline', '');
    }
    if (response.ok) return response;
    if (response.status === 401 && unlock && path !== '/api/session') {
      await unlock();
      continue;
    }
    throw await failure(response);
  }
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await ask(method, path, body);
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(0, 'offline', ''); // cut off on the way
  }
}

const id = encodeURIComponent;

export const api = {
  info: () => json<Info>('GET', '/api/info'),
  load: () => json<Load>('GET', '/api/load'),
  list: (q: string, before: string | null) => {
    const query = new URLSearchParams({ limit: '50' });
    if (q) query.set('q', q);
    if (before) query.set('before', before);
    return json<{ conversations: Summary[]; next: string | null }>('GET', `/api/conversations?${query}`);
  },
  create: (body: { title?: string; system?: string; settings?: Settings }) =>
    json<Conversation>('POST', '/api/conversations', body),
  get: (conversation: string) => json<Conversation>('GET', `/api/conversations/${id(conversation)}`),
  change: (conversation: string, body: { title?: string; system?: string | null; settings?: Settings; leaf?: string }) =>
    json<Conversation>('PATCH', `/api/conversations/${id(conversation)}`, body),
  remove: async (conversation: string) => void (await ask('DELETE', `/api/conversations/${id(conversation)}`)),
  eraseAll: async () => void (await ask('DELETE', '/api/conversations')),
  say: (conversation: string, body: { parent: string | null; content: string; settings?: Settings }) =>
    json<{ user: Message; reply: Message }>('POST', `/api/conversations/${id(conversation)}/messages`, body),
  again: (conversation: string, body: { parent: string; settings?: Settings }) =>
    json<{ reply: Message }>('POST', `/api/conversations/${id(conversation)}/replies`, body),
  stop: (reply: string) => json<Message>('POST', `/api/replies/${id(reply)}/stop`),
  import: (text: string) => json<{ imported: number }>('POST', '/api/import', text),
  session: async (key: string) => void (await ask('POST', '/api/session', { key })),
  exportUrl: (conversation: string | null, format: 'json' | 'markdown') =>
    conversation === null ? `/api/export?format=${format}` : `/api/conversations/${id(conversation)}/export?format=${format}`,
};
