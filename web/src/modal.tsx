// A dialog in the browser's own element, which keeps the focus inside and closes on Esc.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icons';
import { dialog, t } from './store';

interface Props {
  title: string;
  children: ComponentChildren;
  wide?: boolean;
  /** Cannot be closed without an answer. */
  firm?: boolean;
}

export function Modal({ title, children, wide, firm }: Props) {
  const root = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    root.current?.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  const close = () => {
    if (!firm) dialog.value = null;
  };
  return (
    <dialog
      ref={root}
      class={wide ? 'modal wide' : 'modal'}
      aria-labelledby="modal-title"
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onMouseDown={(event) => {
        if (event.target === root.current) close();
      }}
    >
      <div class="modal-inner">
        <div class="modal-head">
          <h2 id="modal-title">{title}</h2>
          {firm ? null : (
            <button type="button" class="icon-button" aria-label={t.value.close} onClick={close}>
              <Icon name="close" />
            </button>
          )}
        </div>
        {children}
      </div>
    </dialog>
  );
}
