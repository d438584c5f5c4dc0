// Names of files that a conversation is exported under.

const MOST = 60; // characters of the title

/** A file name from a title, good on every system; `fallback` where nothing is left of it. */
export function exportName(title: string, format: 'json' | 'markdown', fallback = 'conversation'): string {
  const cleaned = Array.from(title.normalize('NFC'))
    .map((character) => (/[\u0000-\u001f\u007f-\u009f<>:"/\\|?*\u200b-\u200f\u202a-\u202e\u2066-\u2069]/.test(character) ? ' ' : character))
    .join('')
    .replace(/\s+/g, ' ')
    .trim();
  const name = Array.from(cleaned)
    .slice(0, MOST)
    .join('')
    .replace(/^[. ]+|[. ]+$/g, '');
  const reserved = /^(con|prn|aux|nul|com\d|lpt\d)$/i.test(name);
  return `${name && !reserved ? name : fallback}.${format === 'json' ? 'json' : 'md'}`;
}
