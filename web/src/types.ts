// What the server's /api sends and takes. Times are seconds since 1970.

export interface Settings {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  max_tokens?: number;
  think?: boolean;
  think_budget?: number;
  seed?: number;
}

export interface Stats {
  prompt_tokens?: number;
  cached_tokens?: number;
  completion_tokens?: number;
  reasoning_tokens?: number;
  thought_seconds?: number | null;
  tokens_per_second?: number | null;
  first_token_seconds?: number | null;
  context_used?: number;
}

export interface Failure {
  message: string;
  code: string | null;
}

export interface Message {
  id: string;
  parent: string | null;
  role: 'user' | 'assistant';
  content: string;
  reasoning: string;
  created: number;
  state: 'running' | 'done' | 'stopped' | 'failed';
  finish_reason: string | null;
  stats: Stats | null;
  error: Failure | null;
}

export interface Summary {
  id: string;
  title: string;
  created: number;
  updated: number;
  messages: number;
  snippet?: string | null;
}

export interface Conversation {
  id: string;
  title: string;
  created: number;
  updated: number;
  system: string | null;
  settings: Settings;
  leaf: string | null;
  messages: Message[];
}

export interface Info {
  model: {
    name: string;
    architecture: string;
    parameters: number;
    weight_bytes: number;
    bits_per_weight: number;
    max_context: number;
    details: Record<string, string | number>;
  };
  version: string;
  language: 'en' | 'zh';
  defaults: { [K in keyof Settings]?: Settings[K] | null };
  privacy: { conversations: string; kv_store: string | null; prompts_logged: boolean };
}

export interface Load {
  running: number;
  waiting: number;
  kv_bytes: number;
  rss_bytes: number;
  memory_budget: number | null;
}
