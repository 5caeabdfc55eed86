// A question that is asked before something is done that is hard to undo.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { onEscape } from "../data/keys";

interface Props {
  title: string;
  yes: string;
  no: string;
  error: string;
  onYes: () => void;
  onNo: () => void;
  children: ComponentChildren;
}

export function Confirm({ title, yes, no, error, onYes, onNo, children }: Props) {
  const sheet = useRef<HTMLDialogElement>(null);
  useEffect(() => sheet.current?.showModal(), []);
  useEffect(() => onEscape(onNo), []);
  return (
    <dialog ref={sheet} class="help confirm" aria-label={title} onClose={onNo} onCancel={onNo} onClick={(event) => event.stopPropagation()}>
      <h2>{title}</h2>
      <p>{children}</p>
      {error && (
        <p class="tone-fail said" role="alert">
          {error}
        </p>
      )}
      <div class="choices">
        <button type="button" class="danger" onClick={onYes}>
          {yes}
        </button>
        <button type="button" onClick={onNo} autofocus>
          {no}
        </button>
      </div>
    </dialog>
  );
}
