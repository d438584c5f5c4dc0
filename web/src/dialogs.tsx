// Small dialogs: a new title, a question before something is erased, the key.
import { useSignal } from '@preact/signals';
import { dialog, eraseAll, giveKey, place, remove, rename, t } from './store';
import { Modal } from './modal';
import { SettingsDialog } from './settings';

function Confirm({ title, text, act }: { title: string; text: string; act: () => void }) {
  const close = () => (dialog.value = null);
  return (
    <Modal title={title}>
      <p>{text}</p>
      <div class="row end">
        <button type="button" class="button" autoFocus onClick={close}>
          {t.value.cancel}
        </button>
        <button
          type="button"
          class="button danger"
          onClick={() => {
            close();
            act();
          }}
        >
          {t.value.remove}
        </button>
      </div>
    </Modal>
  );
}

function Rename({ id, title }: { id: string; title: string }) {
  const value = useSignal(title);
  return (
    <Modal title={t.value.rename}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const wanted = value.value.trim();
          dialog.value = null;
          if (wanted && wanted !== title) void rename(id, wanted);
        }}
      >
        <label class="field">
          <span>{t.value.title}</span>
          <input type="text" value={value.value} maxLength={200} autoFocus onInput={(event) => (value.value = event.currentTarget.value)} />
        </label>
        <div class="row end">
          <button type="button" class="button" onClick={() => (dialog.value = null)}>
            {t.value.cancel}
          </button>
          <button type="submit" class="button primary" disabled={!value.value.trim()}>
            {t.value.save}
          </button>
        </div>
      </form>
    </Modal>
  );
}

function Key({ wrong }: { wrong: boolean }) {
  const value = useSignal('');
  return (
    <Modal title={t.value.keyAsk} firm>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (value.value.trim()) void giveKey(value.value.trim());
        }}
      >
        <p>{t.value.keyWhat}</p>
        <label class="field">
          <span>{t.value.key}</span>
          <input
            type="password"
            autocomplete="current-password"
            autoFocus
            value={value.value}
            aria-invalid={wrong}
            onInput={(event) => (value.value = event.currentTarget.value)}
          />
        </label>
        {wrong ? (
          <p class="field-error" role="alert">
            {t.value.keyWrong}
          </p>
        ) : null}
        <div class="row end">
          <button type="submit" class="button primary" disabled={!value.value.trim()}>
            {t.value.unlock}
          </button>
        </div>
      </form>
    </Modal>
  );
}

export function Dialogs() {
  const now = dialog.value;
  switch (now?.kind) {
    case 'settings':
      return <SettingsDialog tab={now.tab ?? 'answers'} />;
    case 'rename':
      return <Rename key={now.id} id={now.id} title={now.title} />;
    case 'delete':
      return <Confirm title={t.value.deleteAsk(now.title)} text={t.value.deleteWhat(place.value)} act={() => void remove(now.id)} />;
    case 'erase':
      return <Confirm title={t.value.eraseAsk} text={t.value.eraseWhat(place.value)} act={() => void eraseAll()} />;
    case 'key':
      return <Key wrong={now.wrong} />;
    default:
      return null;
  }
}
