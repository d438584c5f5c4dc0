// A conversation is a tree: an edited question or another answer is a branch beside the first.
import type { Message } from './types';

export class Tree {
  private readonly byId = new Map<string, Message>();
  private readonly children = new Map<string | null, Message[]>();

  constructor(messages: readonly Message[]) {
    for (const message of messages) this.byId.set(message.id, message);
    for (const message of messages) {
      // A parent that is missing would hide what hangs on it.
      const parent = message.parent !== null && this.byId.has(message.parent) ? message.parent : null;
      const siblings = this.children.get(parent);
      if (siblings) siblings.push(message);
      else this.children.set(parent, [message]);
    }
  }

  get(id: string): Message | undefined {
    return this.byId.get(id);
  }

  /** The messages with the same parent, oldest first, with this one among them. */
  siblings(message: Message): Message[] {
    const parent = message.parent !== null && this.byId.has(message.parent) ? message.parent : null;
    return this.children.get(parent) ?? [message];
  }

  /** The newest leaf below a message: where its branch was left. */
  leafBelow(id: string): string {
    const seen = new Set<string>();
    let at = id;
    for (;;) {
      if (seen.has(at)) return at;
      seen.add(at);
      const below = this.children.get(at);
      const last = below?.[below.length - 1];
      if (!last) return at;
      at = last.id;
    }
  }

  /** The messages from the first to `leaf`; without a leaf that is known, to the newest. */
  path(leaf: string | null): Message[] {
    let at = leaf !== null ? this.byId.get(leaf) : undefined;
    if (!at) {
      const roots = this.children.get(null);
      const root = roots?.[roots.length - 1];
      if (!root) return [];
      at = this.byId.get(this.leafBelow(root.id));
    }
    const path: Message[] = [];
    const seen = new Set<string>();
    while (at && !seen.has(at.id)) {
      seen.add(at.id);
      path.push(at);
      at = at.parent === null ? undefined : this.byId.get(at.parent);
    }
    return path.reverse();
  }
}
