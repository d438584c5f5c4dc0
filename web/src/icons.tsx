// Icons, drawn on a 24 by 24 grid.
const shapes = {
  menu: 'M4 7h16M4 12h16M4 17h16',
  plus: 'M12 5v14M5 12h14',
  edit: 'M4 20h4L19 9a2.1 2.1 0 0 0-3-3L5 17v3M14 8l3 3',
  compose: 'M11 5H6a2 2 0 0 0-2 2v11a2 2 0 0 0 2 2h11a2 2 0 0 0 2-2v-5M18.4 3.6a2 2 0 0 1 2.9 2.9L13 14.8 9 16l1.2-4z',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
  close: 'M6 6l12 12M18 6L6 18',
  dots: 'M12 6h.01M12 12h.01M12 18h.01',
  send: 'M12 19V5M6 11l6-6 6 6',
  copy: 'M9 9h10v10H9zM5 15H4V5a1 1 0 0 1 1-1h10v1',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  again: 'M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9M20 4v5h-5',
  left: 'M14.5 6l-6 6 6 6',
  right: 'M9.5 6l6 6-6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  chevron: 'M9 6l6 6-6 6',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM9 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z',
  thought: 'M9 18h6M10 21h4M12 3a6 6 0 0 0-3.8 10.7c.6.5.8 1 .8 1.8h6c0-.8.2-1.3.8-1.8A6 6 0 0 0 12 3z',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5',
  pen: 'M4 20l1-4L16.5 4.5a2 2 0 0 1 3 3L8 19z',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  upload: 'M12 16V5M7 9l5-5 5 5M5 20h14',
  lock: 'M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z',
} as const;

export function Icon({ name }: { name: keyof typeof shapes }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={shapes[name]} />
    </svg>
  );
}

export function StopIcon() {
  return (
    <svg class="icon icon-stop" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <rect x="7" y="7" width="10" height="10" rx="2" />
    </svg>
  );
}

/** The mark: a pocket with a thought in it. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect class="mark-ground" width="32" height="32" rx="8" />
      <path class="mark-pocket" d="M8 9.5h16v8a8 8 0 0 1-16 0z" />
      <circle class="mark-dot" cx="12.5" cy="15.5" r="1.5" />
      <circle class="mark-dot" cx="16" cy="15.5" r="1.5" />
      <circle class="mark-dot" cx="19.5" cy="15.5" r="1.5" />
    </svg>
  );
}
